package panel

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"

	"ustack/cmd/ustack/internal/latest"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/stack/trace/pcapng"
)

// What a recorder keeps at most.
const (
	keptPackets  = 1000             // the last ones
	keptOctets   = 256              // of each
	keptSamples  = 100              // round-trip times, the last ones
	keptChanges  = 100              // of state and phase, the last ones
	recorderRing = 512              // events that may wait for it
	recorderTime = 10 * time.Minute // without anybody asking; then it ends
	maxRecorders = 16
)

// A recorder keeps what one connection does, from the first time that its client asked for it.
type recorder struct {
	flow  flow
	since time.Time
	ring  *trace.Ring
	idle  *time.Timer

	mu      sync.Mutex
	lost    uint64
	causes  map[string]uint64
	held    map[string]uint64
	drops   map[string]uint64
	samples latest.List[sample]
	changes latest.List[change]
	packets latest.List[packet]
	asked   exchanges
	joiner  trace.Joiner
}

// sample is a round-trip time that was measured, and what it made of the smoothed one. Times are in ms.
type sample struct {
	At     float64 `json:"at_ms"` // since the recording began
	RTT    float64 `json:"rtt_ms"`
	SRTT   float64 `json:"srtt_ms"`
	RTTVar float64 `json:"rttvar_ms"`
}

// change is a state or a phase that the connection came to.
type change struct {
	At    float64 `json:"at_ms"` // since the recording began
	State string  `json:"state"`
	Phase string  `json:"phase"`
}

// recorder returns the recorder of f, and makes it if start is true. Nil: there is none, or there are too many already.
func (p *Panel) recorder(f flow, start bool) *recorder {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.recorders[f]
	switch {
	case r != nil:
		r.idle.Reset(recorderTime)
	case start && len(p.recorders) < maxRecorders && !p.isClosed():
		r = newRecorder(f)
		r.idle = time.AfterFunc(recorderTime, r.ring.Close)
		p.recorders[f] = r
		go func() {
			r.follow()
			p.forget(r)
		}()
		p.hub.Add(r.ring)
	}
	return r
}

func newRecorder(f flow) *recorder {
	return &recorder{
		flow: f, since: time.Now(), ring: trace.NewRing(recorderRing, keptOctets),
		causes: map[string]uint64{}, held: map[string]uint64{}, drops: map[string]uint64{},
		samples: latest.New[sample](keptSamples), changes: latest.New[change](keptChanges), packets: latest.New[packet](keptPackets),
	}
}

// forget takes a recorder out that has ended.
func (p *Panel) forget(r *recorder) {
	r.idle.Stop()
	r.ring.Close()
	p.hub.Remove(r.ring)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.recorders, r.flow)
}

// follow takes events from the ring until the connection or the recording ends.
func (r *recorder) follow() {
	var rec trace.Record
	for r.ring.Next(&rec) {
		if !r.add(&rec) {
			return
		}
	}
}

// add reports whether more may come.
func (r *recorder) add(rec *trace.Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost += rec.Lost
	if rec.Local != r.flow.local || rec.Remote != r.flow.remote {
		return true
	}
	r.joiner.Add(&rec.Event)
	r.asked.add(rec, r.since)
	at, s := millis(tcb.Time(rec.Time.Sub(r.since))), rec.State
	switch {
	case rec.Kind == trace.Ended:
		return false
	case rec.Kind == trace.Held:
		r.held[rec.Held.String()]++
	case rec.Kind == trace.Changed:
		*r.changes.Place() = change{at, s.State.String(), s.Phase.String()}
	case rec.Kind == trace.Sampled:
		*r.samples.Place() = sample{at, millis(s.Sample), millis(s.SRTT), millis(s.RTTVar)}
	case rec.Kind == trace.PacketOut:
		r.causes[rec.Cause.String()]++
	case rec.Drop != "":
		r.drops[rec.Drop]++
	}
	if rec.Pieces != nil {
		r.packets.Place().keep(rec, &r.joiner)
	}
	return true
}

// packet is one that was kept: its octets, and behind them its comment.
type packet struct {
	at        time.Time
	offload   link.Offload
	direction link.Direction
	refused   bool
	length    int // on the link
	octets    int // of them in text
	text      []byte
}

// packetRoom is what a packet and its comment take, but for uncommonly long ones.
const packetRoom = keptOctets + 256

// keep makes p a copy of the packet of an event.
func (p *packet) keep(rec *trace.Record, j *trace.Joiner) {
	text := p.text[:0]
	if text == nil {
		text = make([]byte, 0, packetRoom)
	}
	text = append(text, rec.Pieces[0]...)
	*p = packet{at: rec.Time, offload: rec.Offload, refused: rec.Drop != "", length: rec.Len, octets: len(text)}
	if rec.Kind == trace.PacketOut {
		p.direction = link.Out
	}
	p.text = j.AppendComment(text, &rec.Event)
}

// captured returns a copy of p for a capture.
func (p *packet) captured() pcapng.Packet {
	return pcapng.Packet{
		Time: p.at, Offload: p.offload, Direction: p.direction, Refused: p.refused, Len: p.length,
		Pieces: [][]byte{bytes.Clone(p.text[:p.octets])}, Comments: []string{string(p.text[p.octets:])},
	}
}

// capture writes the packets as a pcapng file.
func (r *recorder) capture(out io.Writer, about string) error {
	packets, forgotten := r.captured()
	if forgotten > 0 {
		about += "; " + strconv.FormatUint(forgotten, 10) + " packets before these are forgotten"
	}
	w, err := pcapng.NewWriter(out, pcapng.Options{SnapLen: keptOctets, Comment: about})
	if err != nil {
		return err
	}
	for i := range packets {
		w.Write(&packets[i]) // Close returns the first error
	}
	return w.Close()
}

// captured returns copies of the packets, and how many there were before them.
func (r *recorder) captured() (list []pcapng.Packet, forgotten uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.packets.All() {
		list = append(list, p.captured())
	}
	return list, r.packets.Forgotten()
}

func millis(t tcb.Time) float64 { return float64(t/1000) / 1000 }
