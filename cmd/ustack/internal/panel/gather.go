package panel

import (
	"sync"
	"time"

	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// What one message of the stream holds at most: beyond it, lines and segments are left out and counted.
const (
	maxLines     = 60  // of all connections
	maxFlowLines = 8   // of one connection, but for those that say something out of the ordinary
	maxSent      = 150 // segments of one connection
	maxFlows     = 32  // connections
)

// bucket is how close two points of a curve lie at least.
const bucket = 15 // ms

// batch is what has happened since the message before.
type batch struct {
	Now     int64              `json:"now"` // ms since the stream began
	Flows   map[string]*curves `json:"flows"`
	Lines   []line             `json:"lines"`
	Skipped uint64             `json:"skipped"` // events that Lines has no room for
	Lost    uint64             `json:"lost"`    // events that came too fast to be looked at
}

// curves are what the page draws of one connection. Times are milliseconds since the stream began.
type curves struct {
	Windows []windowsAt `json:"windows,omitempty"`
	Sent    []sentAt    `json:"sent,omitempty"`
	Acked   [][2]int64  `json:"acked,omitempty"`  // time; how far the peer has acknowledged
	States  [][2]any    `json:"states,omitempty"` // time; name
	Left    int         `json:"left,omitempty"`   // segments that Sent has no room for

	lines int // of this connection in the batch
}

// windowsAt are time, cwnd, ssthresh (0: none yet), octets in flight, the peer's window.
type windowsAt [5]int64

// sentAt is a segment, or several of new data in a row: when, from where to where, and whether it went before.
type sentAt struct {
	At    int64 `json:"t"`
	From  int64 `json:"a"`
	To    int64 `json:"b"`
	Again bool  `json:"again,omitempty"`
}

// line is an event for people.
type line struct {
	At      int64  `json:"t"`
	Flow    string `json:"flow,omitempty"`
	Kind    string `json:"kind"` // of the event; drop
	Segment string `json:"segment,omitempty"`
	Text    string `json:"text"`
	Notable bool   `json:"notable,omitempty"` // out of the ordinary
	Again   bool   `json:"again,omitempty"`   // a segment that was sent before
}

// gatherer makes batches of events.
type gatherer struct {
	start time.Time
	skip  func(flow) bool // connections that nothing is told of

	mu    sync.Mutex
	batch *batch // nil: nothing has happened

	// flows are what is known of connections, and joiner what of their answers; the reader of the ring owns both.
	flows  map[flow]*known
	joiner trace.Joiner
	text   []byte
}

// known is what events of a connection are compared with.
type known struct {
	name   string
	last   tcpseg.Seq
	wide   int64
	counts bool // there is a last
}

func newGatherer(start time.Time, skip func(flow) bool) *gatherer {
	return &gatherer{start: start, skip: skip, flows: make(map[flow]*known)}
}

// follow takes events from r until it is closed.
func (g *gatherer) follow(r *trace.Ring) {
	var rec trace.Record
	for r.Next(&rec) {
		g.add(&rec)
	}
}

// take returns what has happened since it was called last; nil: nothing.
func (g *gatherer) take() *batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.batch
	g.batch = nil
	if b != nil {
		b.Now = g.now()
	}
	return b
}

// now returns the time since the stream began, in ms.
func (g *gatherer) now() int64 { return time.Since(g.start).Milliseconds() }

func (g *gatherer) add(rec *trace.Record) {
	f := flow{unmap(rec.Local), unmap(rec.Remote)}
	skip := g.skip(f)
	if skip && rec.Lost == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.batch == nil {
		g.batch = &batch{Flows: make(map[string]*curves), Lines: []line{}}
	}
	b, e := g.batch, &rec.Event
	b.Lost += rec.Lost
	if skip {
		return
	}
	g.joiner.Add(e)
	at := e.Time.Sub(g.start).Milliseconds()
	if !e.Local.IsValid() {
		g.tell(nil, nil, at, e, e.Drop != "")
		return
	}
	k := g.known(f, e)
	c := b.Flows[k.name]
	if c == nil && len(b.Flows) < maxFlows {
		c = new(curves)
		b.Flows[k.name] = c
	}
	if c != nil {
		c.enter(e, at)
		c.draw(k, e, at)
	}
	g.tell(k, c, at, e, isNotable(e))
	if e.Kind == trace.Ended {
		delete(g.flows, f)
	}
}

// known returns what is known of f, whose first event may be e.
func (g *gatherer) known(f flow, e *trace.Event) *known {
	k := g.flows[f]
	opens := e.Kind == trace.PacketOut && e.Segment != nil && e.Segment.Flags.Has(tcpseg.SYN)
	if k == nil || opens {
		k = &known{name: f.String()}
		if len(g.flows) >= maxKnown {
			clear(g.flows)
		}
		g.flows[f] = k
	}
	if !k.counts {
		k.begin(e)
	}
	return k
}

// begin makes the first sequence number that e tells of the one to count from.
func (k *known) begin(e *trace.Event) {
	switch {
	case e.State != nil:
		k.last, k.counts = e.State.Una, true
	case e.Kind == trace.PacketOut && e.Segment != nil:
		k.last, k.counts = e.Segment.Seq, true
	}
}

// maxKnown bounds what a stream keeps of connections whose end it has not seen.
const maxKnown = 4096

// wideOf counts a sequence number on from the first one that was seen.
func (k *known) wideOf(s tcpseg.Seq) int64 {
	k.wide += int64(s.Sub(k.last))
	k.last = s
	return k.wide
}

// isNotable reports whether e is out of the ordinary.
func isNotable(e *trace.Event) bool {
	return e.Drop != "" || e.Kind == trace.Ended || e.Kind == trace.Changed || e.Cause.Resends() ||
		e.Segment != nil && e.Segment.Flags&(tcpseg.SYN|tcpseg.FIN|tcpseg.RST) != 0
}

// enter notes the states that e tells of.
func (c *curves) enter(e *trace.Event, at int64) {
	switch {
	case e.Kind == trace.Changed && e.State.State != e.Was:
		c.States = append(c.States, [2]any{at, e.State.State.String()})
	case e.State == nil && answersSYN(e):
		c.States = append(c.States, [2]any{at, "LISTEN"}, [2]any{at, tcb.SynReceived.String()})
	}
}

// answersSYN reports whether e is a SYN,ACK: the state of a connection that is not complete is not told otherwise.
func answersSYN(e *trace.Event) bool {
	return e.Kind == trace.PacketOut && e.Segment != nil && e.Segment.Flags.Has(tcpseg.SYN|tcpseg.ACK)
}

// draw adds what e says to the curves.
func (c *curves) draw(k *known, e *trace.Event, at int64) {
	if e.State == nil {
		return
	}
	s := e.State
	c.window(windowsAt{at, int64(s.Cwnd), int64(threshold(s)), int64(s.InFlight), int64(s.SndWnd)})
	switch {
	case e.Kind == trace.PacketOut && e.Payload > 0:
		from := k.wideOf(e.Segment.Seq)
		c.send(sentAt{at, from, from + int64(e.Payload), e.Cause.Resends()})
	case e.Kind == trace.PacketIn:
		una := k.wideOf(s.Una)
		if n := len(c.Acked); n > 0 && c.Acked[n-1][0]/bucket == at/bucket {
			c.Acked[n-1][1] = una
		} else {
			c.Acked = append(c.Acked, [2]int64{at, una})
		}
	}
}

// window adds a point, in place of the one before if that is too close.
func (c *curves) window(w windowsAt) {
	if n := len(c.Windows); n > 0 && c.Windows[n-1][0]/bucket == w[0]/bucket {
		c.Windows[n-1] = w
		return
	}
	c.Windows = append(c.Windows, w)
}

// send adds a segment, to the one before if it is new data that follows closely.
func (c *curves) send(s sentAt) {
	if n := len(c.Sent); n > 0 {
		if last := &c.Sent[n-1]; !s.Again && !last.Again && last.To == s.From && last.At/bucket == s.At/bucket {
			last.To = s.To
			return
		}
	}
	if len(c.Sent) >= maxSent {
		c.Left++
		return
	}
	c.Sent = append(c.Sent, s)
}

// tell adds a line about e, if there is room. k and c are of its connection; nil: it has none, or it is not drawn.
func (g *gatherer) tell(k *known, c *curves, at int64, e *trace.Event, notable bool) {
	b := g.batch
	if len(b.Lines) >= maxLines || c != nil && !notable && c.lines >= maxFlowLines || k != nil && c == nil {
		b.Skipped++
		return
	}
	l := line{At: at, Kind: e.Kind.String(), Notable: notable, Again: e.Cause.Resends()}
	if e.Drop != "" {
		l.Kind = "drop"
	}
	if k != nil {
		l.Flow = k.name
	}
	if c != nil {
		c.lines++
	}
	if e.Segment != nil {
		l.Segment = segmentText(e)
	}
	g.text = g.joiner.AppendComment(g.text[:0], e)
	l.Text = string(g.text)
	b.Lines = append(b.Lines, l)
}
