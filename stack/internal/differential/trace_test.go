package differential

import (
	"fmt"
	"slices"
	"strings"

	"ustack/ippkt"
	"ustack/tcpseg"
)

// direction is who sent a packet.
type direction int

const (
	fromFar direction = iota
	fromTested
)

// way is one direction of a flow: what was sent, without what depends on segmentation and timing. Text is counted once, however
// often and in whatever pieces it was sent; pure ACKs are left out, and so are resets after the first.
type way struct {
	begun, reseted bool
	isn            tcpseg.Seq
	next           tcpseg.Seq // behind everything sent
	fin            bool
	shut, opened   bool // the window was shut, and was opened after that
	events         []event

	header  ippkt.Header // of the last packet, as the one below
	segment tcpseg.Header
}

// event is something that was sent, or text between such.
type event struct {
	what string
	text int
}

// note takes a segment into the trace.
func (w *way) note(p *ippkt.Packet, seg *tcpseg.Segment) {
	w.header = ippkt.Header{Src: p.Src, Dst: p.Dst, Proto: ippkt.ProtoTCP, TTL: 64}
	if !seg.Flags.Has(tcpseg.RST) {
		w.segment = seg.Header
	}
	first := !w.begun
	if first {
		w.begun, w.isn, w.next = true, seg.Seq, seg.Seq
	}
	switch {
	case seg.Flags.Has(tcpseg.SYN):
		w.event(flags(seg.Flags, tcpseg.SYN, tcpseg.ACK))
		w.next = tcpseg.Max(w.next, w.isn.Add(1))
	case seg.Flags.Has(tcpseg.RST):
		w.reset(seg)
		return
	}
	w.window(seg)
	w.takeText(seg)
	if seg.Flags.Has(tcpseg.FIN) && !w.fin {
		w.event("FIN")
		w.fin = true
		w.next++
	}
}

// takeText counts what is new.
func (w *way) takeText(seg *tcpseg.Segment) {
	end := seg.Seq.Add(len(seg.Payload))
	if seg.Flags.Has(tcpseg.SYN) || !w.next.Less(end) {
		return
	}
	if n := len(w.events); n == 0 || w.events[n-1].text == 0 {
		w.events = append(w.events, event{})
	}
	w.events[len(w.events)-1].text += end.Sub(w.next)
	w.next = end
	if seg.Flags.Has(tcpseg.URG) {
		w.event("URG")
	}
}

// reset notes a RST, and whether it stands where the other end expects it.
func (w *way) reset(seg *tcpseg.Segment) {
	if w.reseted {
		return
	}
	w.reseted = true
	what := flags(seg.Flags, tcpseg.RST, tcpseg.ACK)
	if off := seg.Seq.Sub(w.next); off != 0 && w.next != w.isn {
		what += fmt.Sprintf("%+d", off)
	}
	w.event(what)
}

// window notes whether the receiver ran out of room, and whether it had some again.
func (w *way) window(seg *tcpseg.Segment) {
	if seg.Flags.Has(tcpseg.SYN) {
		return
	}
	w.opened = w.opened || w.shut && seg.Window != 0
	w.shut = w.shut || seg.Window == 0
}

// event appends one, unless it is the last one again.
func (w *way) event(what string) {
	if n := len(w.events); n == 0 || w.events[n-1].what != what {
		w.events = append(w.events, event{what: what})
	}
}

// describe writes the trace down: events, and between them how many octets of text.
func (w *way) describe(s *script) string {
	var words []string
	for i, e := range w.events {
		switch {
		case i == 0 && s.open == "" && strings.HasPrefix(e.what, "SYN"): // who calls is known
		case e.text == 0:
			words = append(words, e.what)
		case s.some:
			words = append(words, "text")
		default:
			words = append(words, fmt.Sprint(e.text))
		}
	}
	if s.wnd && w.shut {
		words = append(words, "(window shut)")
	}
	if s.wnd && w.opened {
		words = append(words, "(and opened)")
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

// flags writes down which of some flags are set.
func flags(f tcpseg.Flags, some ...tcpseg.Flags) string {
	names := map[tcpseg.Flags]string{tcpseg.SYN: "SYN", tcpseg.ACK: "ACK", tcpseg.RST: "RST"}
	some = slices.DeleteFunc(some, func(s tcpseg.Flags) bool { return !f.Has(s) })
	var set []string
	for _, s := range some {
		set = append(set, names[s])
	}
	return strings.Join(set, ",")
}

// keepAlive builds an ACK from one octet before what this end would send next; nil if it never sent anything.
func (w *way) keepAlive(ack tcpseg.Seq) []byte {
	if !w.begun {
		return nil
	}
	h := tcpseg.Header{SrcPort: w.segment.SrcPort, DstPort: w.segment.DstPort, Seq: w.next.Add(-1), Ack: ack, Flags: tcpseg.ACK, Window: 1000}
	if o := w.segment.Options; o.HasTimestamps {
		h.Options = tcpseg.Options{HasTimestamps: true, TSVal: o.TSVal, TSEcr: o.TSEcr}
	}
	tcp := h.AppendTo(nil)
	sum := ippkt.TransportChecksum(tcp, &[4][]byte{}, ippkt.PseudoSum(w.header.Src, w.header.Dst, ippkt.ProtoTCP, len(tcp)))
	tcp[tcpseg.ChecksumOffset], tcp[tcpseg.ChecksumOffset+1] = byte(sum>>8), byte(sum)
	return append(w.header.AppendTo(nil, len(tcp)), tcp...)
}
