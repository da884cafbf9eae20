package netsim

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// remembered is how many events a journal keeps.
const remembered = 80

// journal keeps the last events of a run. They are formatted only when asked for.
type journal struct {
	ring  [remembered]record
	n     int
	trace io.Writer // nil: silent
}

// record is one event: a segment on the wire, or a note.
type record struct {
	at   Time
	who  string
	port uint16 // 0: none
	note string // what happened, or what became of the segment
	args [2]any // of the note

	hdr          *tcpseg.Header // nil: a note
	length, gso  int
	cause        tcb.Cause
	base, remote tcpseg.Seq // the initial sequence numbers: the rest is printed relative to them
}

func (j *journal) add(r record) {
	j.ring[j.n%remembered] = r
	j.n++
	if j.trace != nil {
		fmt.Fprintln(j.trace, r)
	}
}

func (j *journal) lines() []string {
	var out []string
	for i := max(0, j.n-remembered); i < j.n; i++ {
		out = append(out, j.ring[i%remembered].String())
	}
	return out
}

func (r record) String() string {
	note := r.note
	switch {
	case r.args[1] != nil:
		note = fmt.Sprintf(note, r.args[0], r.args[1])
	case r.args[0] != nil:
		note = fmt.Sprintf(note, r.args[0])
	}
	who := r.who
	if r.port != 0 {
		who += ":" + strconv.Itoa(int(r.port))
	}
	if r.hdr == nil {
		return fmt.Sprintf("%s %s %s", clock(r.at), who, note)
	}
	return fmt.Sprintf("%s %s %s [%v]%s", clock(r.at), who, r.segment(), r.cause, note)
}

// segment prints a segment as tcpdump does, with relative numbers.
func (r record) segment() string {
	var b strings.Builder
	h := r.hdr
	seq := uint32(h.Seq - r.base)
	fmt.Fprintf(&b, "%v %d:%d(%d)", h.Flags, seq, seq+uint32(r.length), r.length)
	if r.gso > 0 {
		fmt.Fprintf(&b, "/%d", r.gso)
	}
	if h.Flags.Has(tcpseg.ACK) {
		fmt.Fprintf(&b, " ack %d", uint32(h.Ack-r.remote))
	}
	fmt.Fprintf(&b, " win %d", h.Window)
	if h.Flags.Has(tcpseg.SYN) {
		fmt.Fprintf(&b, " iss %#x", uint32(h.Seq))
	}
	o := &h.Options
	if o.MSS != 0 {
		fmt.Fprintf(&b, " mss %d", o.MSS)
	}
	if o.SACKPermitted {
		b.WriteString(" sackOK")
	}
	if o.HasScale {
		fmt.Fprintf(&b, " wscale %d", o.Scale)
	}
	if o.HasTimestamps {
		fmt.Fprintf(&b, " TS %d:%d", o.TSVal, o.TSEcr)
	}
	for _, s := range o.Blocks() {
		fmt.Fprintf(&b, " sack %d:%d", uint32(s.Left-r.remote), uint32(s.Right-r.remote))
	}
	return b.String()
}
