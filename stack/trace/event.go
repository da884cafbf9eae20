// Package trace tells what a stack does, and why: each packet with its cause, each pause with what it waits for, each
// refusal with its reason and the section that asks for it.
package trace

import (
	"net/netip"
	"slices"
	"time"

	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// Kind is what an Event is about.
type Kind uint8

const (
	PacketIn  Kind = iota // a packet has come in and been dealt with
	PacketOut             // a packet is about to be written
	Held                  // a connection sends nothing more now: Event.Held says what it waits for
	Ended                 // a connection has left the stack, or gone to TIME-WAIT
	Changed               // the state or the phase of a connection is another than was told before
	Sampled               // the segment just told of has shown a round-trip time: Event.State.Sample

	// A server above the stack tells of these: Event.HTTP.
	Request     // the head of a request has been read
	Interim     // an informational answer (1xx) is about to be written
	Response    // the first octet of its answer is about to be written
	ResponseEnd // nothing more of the answer will be written
)

var kindNames = [...]string{"in", "out", "held", "ended", "state", "rtt", "request", "interim", "response", "response-end"}

// Kinds returns the names of all kinds.
func Kinds() []string { return slices.Clone(kindNames[:]) }

// String returns the name that the kind has in JSON.
func (k Kind) String() string { return kindNames[k] }

// Event is one thing that a stack has done. It is lent: it and what it refers to are valid during the call only.
type Event struct {
	Kind Kind
	Time time.Time
	// Local and Remote are the ends of the flow; zero in packets that are not TCP, or not whole.
	Local, Remote netip.AddrPort

	// Pieces are the octets of the packet, from the IP header on, in order; nil if the event is about none. What the
	// device has left undone of it, or is to do, is in Offload.
	Pieces  [][]byte
	Offload link.Offload

	Segment *tcpseg.Header // the TCP header; nil: none
	Payload int            // octets of TCP payload
	Cause   tcb.Cause      // of PacketOut, why the segment is sent
	Acks    int            // octets, and the FIN, that it is the first to acknowledge: with payload, a piggyback; SYNs do not count
	Held    tcb.Held       // of Held
	Drop    string         // of PacketIn, why it was refused in whole or in part, as a counter of Stats.Drops; "": it was not

	Err error // of Ended: why; nil: both ends were done

	// Of Changed: what was told before. Was is tcb.Closed when it is the first time.
	Was      tcb.State
	WasPhase tcb.Phase

	HTTP *Exchange // of Request, Interim, Response and ResponseEnd

	// State is the connection after the event; nil: the packet belongs to none, or to a record of a handshake or of
	// TIME-WAIT, or the event is told by somebody who cannot know.
	State *tcb.Snapshot
}

// Offset returns where the payload of e's segment begins in its sender's stream, in octets, modulo 2^32. The event must
// have a Segment and a State.
func (e *Event) Offset() uint32 {
	first := e.State.IRS
	if e.Kind == PacketOut {
		first = e.State.ISS
	}
	return uint32(e.Segment.Seq - first - 1)
}
