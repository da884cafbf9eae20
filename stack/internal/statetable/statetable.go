// Package statetable is the segment × state table of docs/spec/tcp.md §18 as cases for tests: how to bring a host into a state,
// the segment that comes then, and what must follow. The tests of the pure TCB and of the whole stack run the same cases, and a
// test here holds them against the text of the table.
//
// Steps and segments are written as in packet scripts (docs/scripts.md), numbers relative to the initial ones.
package statetable

import (
	"fmt"
	"strings"
)

// State is a column: the states of RFC 9293 by the table's short names.
type State string

// The columns. SYN-RECEIVED has two: of a passive open, and of an active one whose SYN met the peer's.
const (
	CL  State = "CL"
	LI  State = "LI"
	SS  State = "SS"
	SR  State = "SR"
	SRA State = "SR*"
	ES  State = "ES"
	F1  State = "F1"
	F2  State = "F2"
	CW  State = "CW"
	CG  State = "CG"
	LA  State = "LA"
	TW  State = "TW"
)

// matrix are the columns of §18a in the order of a row's cells.
var matrix = []State{SR, SRA, ES, F1, F2, CW, CG, LA, TW}

var names = map[State]string{CL: "CLOSED", LI: "LISTEN", SS: "SYN-SENT", SR: "SYN-RECEIVED", SRA: "SYN-RECEIVED", ES: "ESTABLISHED",
	F1: "FIN-WAIT-1", F2: "FIN-WAIT-2", CW: "CLOSE-WAIT", CG: "CLOSING", LA: "LAST-ACK", TW: "TIME-WAIT"}

// String is the state's name in RFC 9293.
func (s State) String() string { return names[s] }

// short returns the column of a name; of the two of SYN-RECEIVED the passive one.
func short(name string) State {
	for s, n := range names {
		if n == name && s != SRA {
			return s
		}
	}
	return State(name)
}

// before is how much either end has sent, and the other acknowledged, before the case begins: where numbers begin at 0xffffff00 the
// next octet is the last before they wrap.
const before = 254

// setup says how a state is to be reached otherwise than with all acknowledged and all windows open.
type setup uint8

const (
	flight setup = 1 << iota // ten octets more of ours are not acknowledged
	shut                     // the peer has filled our receive window
	gone                     // the user has closed both directions
)

// mark is what a number in a segment is relative to.
type mark uint8

const (
	none     mark = iota
	una           // SND.UNA
	nxt           // SND.NXT
	ordinary      // what a peer acknowledges that has nothing new to say: in SYN-RECEIVED our SYN, else SND.UNA
)

// row is an event in some states.
type row struct {
	id, name string
	with     setup
	flags    string
	at       int // from RCV.NXT, or from the right edge of the window
	edge     bool
	text     int
	ack      mark
	plus     int
	urgent   int
	cells    map[State]string
}

// Case is one cell.
type Case struct {
	ID, Name string // the row of §18, and what the segment is
	State    State
	RcvBuf   int      // 0: the default
	Steps    []string // "connect", "write 10", "read 10", "shutdown", "close", or "< " and a segment
	Segment  string
	Want     string // see Seen.Outcome

	Seq, Text, Ack int // of the segment
	Rcv, Una, Nxt  int // RCV.NXT, SND.UNA and SND.NXT before it
}

// small is the receive buffer of cases that depend on the window.
const small = 2000

// Cases returns every cell that can occur.
func Cases() []Case {
	var all []Case
	for i := range rows {
		for _, st := range append([]State{CL, LI, SS}, matrix...) {
			if want, ok := rows[i].cells[st]; ok {
				all = append(all, rows[i].in(st, want))
			}
		}
	}
	return all
}

// in makes a case of a row and a state.
func (r *row) in(st State, want string) Case {
	c := Case{ID: r.id, Name: r.name, State: st, Want: want, Text: r.text}
	c.reach(r.with)
	c.Seq = c.Rcv + r.at
	if r.edge || r.with&shut != 0 {
		c.RcvBuf = small
	}
	if r.edge && (st == SR || st == SRA) { // elsewhere it is shut, and RCV.NXT is the edge
		c.Seq += small
	}
	ack := ""
	switch {
	case r.ack == none:
	case r.ack == nxt, r.ack == ordinary && (st == SR || st == SRA):
		c.Ack = c.Nxt + r.plus
		ack = fmt.Sprintf(" ack %d", c.Ack)
	default:
		c.Ack = c.Una + r.plus
		ack = fmt.Sprintf(" ack %d", c.Ack)
	}
	c.Segment = segment(r.flags, c.Seq, c.Text) + ack
	if r.urgent != 0 {
		c.Segment += fmt.Sprintf(" urg %d", r.urgent)
	}
	return c
}

func segment(flags string, seq, n int) string {
	return fmt.Sprintf("%s %d:%d(%d)", flags, seq, seq+n, n)
}

// reach fills in the steps to the state.
func (c *Case) reach(with setup) {
	switch c.State {
	case CL, LI:
		return
	case SS, SRA:
		c.do("connect")
		c.Nxt = 1
		if c.State == SRA {
			c.peer("S", 0)
		}
		return
	case SR:
		c.peer("S", 0)
		c.Nxt = 1
		return
	}
	c.peer("S", 0)
	c.Nxt = 1
	c.peer(".", before)
	c.do(fmt.Sprintf("read %d", before))
	c.write(before)
	c.peer(".", 0)
	if with&flight != 0 {
		c.write(10)
	}
	c.end(with)
}

// end brings an established connection into c's state.
func (c *Case) end(with setup) {
	fill := 0
	if with&shut != 0 { // what was read is too little to move the edge (MUST-39)
		fill = (1 + small - c.Rcv) / 2
		c.peerText(".", 1+small-c.Rcv-fill, c.Una)
	}
	hears := c.State == CW || c.State == CG || c.State == LA || c.State == TW
	if fill > 0 && !hears {
		c.peerText(".", fill, c.Una)
	}
	if c.State == CW || c.State == LA {
		c.peerText("F.", max(fill-1, 0), c.Una)
	}
	if c.State != ES && c.State != CW {
		if with&gone != 0 {
			c.do("close")
		} else {
			c.do("shutdown")
		}
		c.Nxt++
	}
	switch c.State {
	case F2:
		c.peer(".", 0)
	case CG:
		c.peerText("F.", max(fill-1, 0), c.Una)
	case TW:
		c.peerText("F.", max(fill-1, 0), c.Nxt)
	}
}

func (c *Case) do(step string) { c.Steps = append(c.Steps, step) }

func (c *Case) write(n int) {
	c.do(fmt.Sprintf("write %d", n))
	c.Nxt += n
}

// peer lets a segment come that acknowledges all.
func (c *Case) peer(flags string, n int) { c.peerText(flags, n, c.Nxt) }

// peerText lets a segment with n octets come.
func (c *Case) peerText(flags string, n, ack int) {
	s := "< " + segment(flags, c.Rcv, n)
	if strings.Contains(flags, ".") {
		s += fmt.Sprintf(" ack %d", ack)
		c.Una = ack
	}
	c.do(s)
	c.Rcv += n
	if strings.ContainsAny(flags, "SF") {
		c.Rcv++
	}
}
