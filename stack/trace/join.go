package trace

import (
	"net/netip"
	"slices"
	"strconv"

	"ustack/tcpseg"
)

// What a Joiner remembers at most.
const (
	maxJoined  = 4096 // answers, of all connections
	maxPerFlow = 256  // of one
	maxNamed   = 4    // in the comment of one packet
)

// A Joiner knows which answers begin and end in which packets. It is shown the events of a stack, in order, and forgets
// what has been acknowledged and who has ended. The zero value is ready.
type Joiner struct {
	flows   map[flowEnds]*joined
	answers int // in flows
	names   Names
}

type flowEnds struct{ local, remote netip.AddrPort }

// joined are the answers on their way to one peer.
type joined struct {
	una     int64 // octets of the stream that the peer has, as far as is known: tells which round of 2^32 an offset is in
	answers []answer
}

// An answer is a part of a stream: up to an offset that is not known yet, it may be.
type answer struct {
	number   int
	from, to int64 // to is -1: not known
	interim  bool  // an informational one: the final one follows
	aborted  bool
	text     string // status and request
}

// Answers returns the kinds of events that tell of answers: a Joiner names nothing without them.
func Answers() []Kind { return []Kind{Interim, Response, ResponseEnd} }

// Add takes an event.
func (j *Joiner) Add(e *Event) {
	flow := flowEnds{e.Local, e.Remote}
	f := j.flows[flow]
	switch {
	case e.Kind == Interim || e.Kind == Response || e.Kind == ResponseEnd:
		j.learn(flow, e)
	case f == nil:
	case e.Kind == Ended || e.Kind == PacketIn && e.Segment != nil && e.Segment.Flags.Has(tcpseg.SYN) && e.Drop == "":
		j.forget(flow)
	case e.State != nil:
		f.una = f.place(e.State.Acked())
		j.acknowledged(flow, f)
	}
}

// place returns the offset near to una that is this one modulo 2^32.
func (f *joined) place(offset uint32) int64 { return f.una + int64(int32(offset-uint32(f.una))) }

// learn takes what is told of an answer. One that takes the place of another is told again.
func (j *Joiner) learn(flow flowEnds, e *Event) {
	x, f := e.HTTP, j.flows[flow]
	if f == nil {
		if e.Kind == ResponseEnd {
			return // there is none, or it has been acknowledged already
		}
		f = &joined{una: x.Out}
		if j.flows == nil {
			j.flows = make(map[flowEnds]*joined)
		}
		j.flows[flow] = f
	}
	i := -1
	if e.Kind != Interim {
		i = slices.IndexFunc(f.answers, func(a answer) bool { return a.number == x.Number && !a.interim })
	}
	if i < 0 {
		if e.Kind == ResponseEnd {
			return
		}
		j.makeRoom(flow)
		i = len(f.answers)
		f.answers = append(f.answers, answer{})
		j.answers++
	}
	f.answers[i] = answer{
		number: x.Number, from: x.Out, to: x.OutEnd, interim: e.Kind == Interim, aborted: e.Kind == ResponseEnd && x.Aborted,
		text: string(x.appendAnswer(nil)),
	}
}

// makeRoom forgets what is oldest of flow, and whole other flows, until one answer more may be known.
func (j *Joiner) makeRoom(flow flowEnds) {
	if f := j.flows[flow]; len(f.answers) >= maxPerFlow {
		f.answers = slices.Delete(f.answers, 0, 1)
		j.answers--
	}
	for other := range j.flows {
		if j.answers < maxJoined {
			return
		}
		if other != flow {
			j.forget(other)
		}
	}
}

func (j *Joiner) forget(flow flowEnds) {
	j.answers -= len(j.flows[flow].answers)
	delete(j.flows, flow)
}

// acknowledged forgets the answers that the peer has all of.
func (j *Joiner) acknowledged(flow flowEnds, f *joined) {
	n := 0
	for n < len(f.answers) && f.answers[n].to >= 0 && f.answers[n].to <= f.una {
		n++
	}
	if n == len(f.answers) {
		j.forget(flow)
		return
	}
	f.answers = slices.Delete(f.answers, 0, n)
	j.answers -= n
}

// AppendComment is the function AppendComment for an event that the Joiner has been shown, with the answers named that
// begin or end in the packet:
//
//	new data · answer 3 begins: 200 GET /bytes/100000 · cwnd 14600 …
func (j *Joiner) AppendComment(b []byte, e *Event) []byte {
	j.Find(&j.names, e)
	return appendRest(j.names.Append(appendWhat(b, e), 0, e.Payload), e)
}

// Names are the answers that begin or end in one packet. They stay what they are when the Joiner learns more. The zero
// value is none.
type Names struct {
	answers  []answer
	from, to int64 // the packet's payload in the stream
}

// Find makes n the answers that begin or end in the packet that e is about, an event that the Joiner has been shown.
func (j *Joiner) Find(n *Names, e *Event) {
	n.answers = n.answers[:0]
	f := j.flows[flowEnds{e.Local, e.Remote}]
	if f == nil || e.Kind != PacketOut || e.Segment == nil || e.State == nil {
		return
	}
	n.from = f.place(e.Offset())
	n.to = n.from + int64(e.Payload)
	for _, a := range f.answers {
		if begins, ends := a.within(n.from, n.to); begins || ends {
			n.answers = append(n.answers, a)
		}
	}
}

// Append appends, each behind a " · ", what AppendComment says of the answers that begin or end in a part of the packet:
// in so many octets of its payload, if there are, behind the first skip of them.
func (n *Names) Append(b []byte, skip, octets int) []byte {
	from := n.from + int64(skip)
	to := from + min(int64(octets), n.to-from)
	named := 0
	for _, a := range n.answers {
		begins, ends := a.within(from, to)
		if !begins && !ends {
			continue
		}
		if named++; named <= maxNamed {
			b = a.append(append(b, " · "...), begins, ends)
		}
	}
	return appendMore(b, named)
}

// AppendOpen appends the answers of the connection that e is about of which its peer has not acknowledged everything, with
// a " · " between them.
func (j *Joiner) AppendOpen(b []byte, e *Event) []byte {
	f := j.flows[flowEnds{e.Local, e.Remote}]
	if f == nil {
		return b
	}
	for i, a := range f.answers[:min(len(f.answers), maxNamed)] {
		if i > 0 {
			b = append(b, " · "...)
		}
		b = a.append(b, true, true)
	}
	return appendMore(b, len(f.answers))
}

// appendMore says how many of so many answers are not named.
func appendMore(b []byte, n int) []byte {
	if n <= maxNamed {
		return b
	}
	b = strconv.AppendInt(append(b, " · and "...), int64(n-maxNamed), 10)
	return append(b, " more answers"...)
}

// within reports whether a begins and ends between two offsets.
func (a *answer) within(from, to int64) (begins, ends bool) {
	return from <= a.from && a.from < to, a.from < a.to && from < a.to && a.to <= to
}

func (a *answer) append(b []byte, begins, ends bool) []byte {
	if a.interim {
		b = append(b, interim...)
	}
	b = strconv.AppendInt(append(b, "answer "...), int64(a.number), 10)
	switch {
	case ends && a.aborted:
		b = append(b, " breaks off: "...)
	case begins && ends:
		b = append(b, ": "...)
	case begins:
		b = append(b, " begins: "...)
	default:
		b = append(b, " ends: "...)
	}
	return append(b, a.text...)
}
