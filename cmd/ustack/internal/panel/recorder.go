package panel

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"

	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/stack/trace/pcapng"
)

// What a recorder keeps at most.
const (
	keptPackets  = 1000             // the last ones
	keptOctets   = 256              // of each
	keptSamples  = 100              // round-trip times, the last ones
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
	samples []sample
	last    tcb.Time // SRTT as it was
	asked   exchanges
	packets []pcapng.Packet
	seen    uint64 // packets
}

// sample is a smoothed round-trip time when it had changed. Times are in ms.
type sample struct {
	At     float64 `json:"at_ms"` // since the recording began
	SRTT   float64 `json:"srtt_ms"`
	RTTVar float64 `json:"rttvar_ms"`
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
		r = &recorder{
			flow: f, since: time.Now(), ring: trace.NewRing(recorderRing, keptOctets),
			causes: map[string]uint64{}, held: map[string]uint64{}, drops: map[string]uint64{},
		}
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
	r.asked.add(rec, r.since)
	switch {
	case rec.Kind == trace.Ended:
		return false
	case rec.Kind == trace.Held:
		r.held[rec.Held.String()]++
	case rec.Kind == trace.PacketOut:
		r.causes[rec.Cause.String()]++
	case rec.Drop != "":
		r.drops[rec.Drop]++
	}
	if s := rec.State; s != nil && s.SRTT != r.last {
		r.last = s.SRTT
		r.samples = appendLast(r.samples, sample{millis(tcb.Time(rec.Time.Sub(r.since))), millis(s.SRTT), millis(s.RTTVar)}, keptSamples)
	}
	if rec.Pieces != nil {
		r.packets = appendLast(r.packets, packetOf(rec), keptPackets)
		r.seen++
	}
	return true
}

// appendLast appends x to list, which forgets its oldest beyond limit.
func appendLast[T any](list []T, x T, limit int) []T {
	if len(list) >= limit {
		copy(list, list[1:])
		list = list[:limit-1]
	}
	return append(list, x)
}

// packetOf returns the packet of an event, with octets of its own.
func packetOf(rec *trace.Record) pcapng.Packet {
	p := pcapng.PacketOf(rec)
	p.Pieces = [][]byte{bytes.Clone(rec.Pieces[0])}
	return p
}

// capture writes the packets as a pcapng file.
func (r *recorder) capture(out io.Writer, about string) error {
	r.mu.Lock()
	packets := append([]pcapng.Packet(nil), r.packets...)
	if n := r.seen - uint64(len(packets)); n > 0 {
		about += "; " + strconv.FormatUint(n, 10) + " packets before these are forgotten"
	}
	r.mu.Unlock()
	w, err := pcapng.NewWriter(out, pcapng.Options{SnapLen: keptOctets, Comment: about})
	if err != nil {
		return err
	}
	for i := range packets {
		w.Write(&packets[i]) // Close returns the first error
	}
	return w.Close()
}

func millis(t tcb.Time) float64 { return float64(t/1000) / 1000 }
