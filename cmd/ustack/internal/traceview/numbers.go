// Package traceview shows the events of a running stack to people: as lines of text, and as a sequence diagram.
package traceview

import (
	"net/netip"
	"strings"

	"ustack/cmd/ustack/internal/control"
)

// flow is a connection by its ends.
type flow struct{ local, remote netip.AddrPort }

func flowOf(e *control.Event) flow { return flow{e.Local, e.Remote} }

// bases are the sequence numbers that count as 0: those of the SYNs, or one before the first that was seen.
type bases struct {
	local, remote         uint32
	knowLocal, knowRemote bool
}

// numbers makes sequence numbers small, as people read them.
type numbers struct{ flows map[flow]*bases }

// maxFlows bounds what numbers remembers: connections that never come about do not end either.
const maxFlows = 10_000

// relative returns the sequence and the acknowledgement number of a segment, counted from the bases; 0 for one it has not.
func (n *numbers) relative(e *control.Event) (seq, ack uint32) {
	b := n.flows[flowOf(e)]
	if b == nil {
		if n.flows == nil || len(n.flows) >= maxFlows {
			n.flows = make(map[flow]*bases)
		}
		b = new(bases)
		n.flows[flowOf(e)] = b
	}
	sender, knowSender, other, knowOther := &b.remote, &b.knowRemote, &b.local, &b.knowLocal
	if e.Event == "out" {
		sender, knowSender, other, knowOther = other, knowOther, sender, knowSender
	}
	switch {
	case strings.Contains(e.Flags, "S"):
		*sender, *knowSender = e.Seq, true // of a new incarnation, it may be
	case !*knowSender:
		*sender, *knowSender = e.Seq-1, true
	}
	if !hasACK(e) {
		return e.Seq - *sender, 0
	}
	if !*knowOther {
		*other, *knowOther = e.Ack-1, true
	}
	return e.Seq - *sender, e.Ack - *other
}

// forget ends the memory of a connection.
func (n *numbers) forget(e *control.Event) { delete(n.flows, flowOf(e)) }

func hasACK(e *control.Event) bool { return strings.Contains(e.Flags, ".") }
