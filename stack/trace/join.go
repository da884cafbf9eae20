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
	aborted  bool
	text     string // status and request
}

// Add takes an event.
func (j *Joiner) Add(e *Event) {
	flow := flowEnds{e.Local, e.Remote}
	f := j.flows[flow]
	switch {
	case e.Kind == Response || e.Kind == ResponseEnd:
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
	i := slices.IndexFunc(f.answers, func(a answer) bool { return a.number == x.Number })
	if i < 0 {
		if e.Kind == ResponseEnd {
			return
		}
		j.makeRoom(flow)
		i = len(f.answers)
		f.answers = append(f.answers, answer{number: x.Number})
		j.answers++
	}
	f.answers[i] = answer{x.Number, x.Out, x.OutEnd, e.Kind == ResponseEnd && x.Aborted, string(x.appendAnswer(nil))}
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
	return appendRest(j.AppendNames(appendWhat(b, e), e, 0, e.Payload), e)
}

// AppendNames appends, each behind a " · ", what AppendComment says of the answers that begin or end in a part of the
// packet that e is about: in so many octets of its payload, if there are, behind the first skip of them.
func (j *Joiner) AppendNames(b []byte, e *Event, skip, octets int) []byte {
	f := j.flows[flowEnds{e.Local, e.Remote}]
	if f == nil || e.Kind != PacketOut || e.Segment == nil || e.State == nil {
		return b
	}
	from := f.place(e.Offset())
	octets = min(octets, e.Payload-skip)
	return f.appendNames(b, from+int64(skip), from+int64(skip+octets))
}

// appendNames names the answers that begin or end between two offsets.
func (f *joined) appendNames(b []byte, from, to int64) []byte {
	named, more := 0, 0
	for _, a := range f.answers {
		begins := from <= a.from && a.from < to
		ends := a.from < a.to && from < a.to && a.to <= to
		switch {
		case !begins && !ends:
		case named == maxNamed:
			more++
		default:
			b = a.append(append(b, " · "...), begins, ends)
			named++
		}
	}
	if more > 0 {
		b = strconv.AppendInt(append(b, " · and "...), int64(more), 10)
		b = append(b, " more answers"...)
	}
	return b
}

func (a *answer) append(b []byte, begins, ends bool) []byte {
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
