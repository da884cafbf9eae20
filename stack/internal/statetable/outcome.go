package statetable

import "fmt"

// Sent is a segment that answers.
type Sent struct {
	Flags    string // tcpdump's letters
	Seq, Ack int
}

// Seen is what a host did about the segment of a case, its numbers relative as those of the case.
type Seen struct {
	Sent     []Sent
	State    string // its name; of a host that has forgotten the connection LISTEN or CLOSED
	Readable int    // octets that became readable
	Urgent   bool   // the user was told of urgent data
	Una      int    // SND.UNA, where there still is a connection
	Error    string // what the user of a connection that ended is told: "", "reset", "refused" …
	Reused   bool   // TIME-WAIT made room for a new incarnation (RFC 6191)
}

// Outcome writes down what was seen as a cell has it.
//
//   - nothing
//     A        one ACK of all that has come, <SEQ=SND.NXT><ACK=RCV.NXT>
//     S        the SYN,ACK
//     R        a reset that takes its number from the segment, <SEQ=SEG.ACK><CTL=RST>
//     Z        a reset for a segment without ACK, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
//     X        a reset that ends the connection, <SEQ=SND.NXT>
//     D        the text is delivered
//     U        the user is told of urgent data
//   - the ACK moves SND.UNA
//     N        the segment opens a new incarnation of a connection in TIME-WAIT
//     K, k, C  CLOSED: reset, and the user is told; ended in order; refused
//     >ES      another state
func (c *Case) Outcome(s Seen) string {
	if s.Reused {
		return "N"
	}
	out := ""
	for _, sent := range s.Sent {
		out += c.answer(sent, s)
	}
	switch s.Readable {
	case 0:
	case c.Text:
		out += "D"
	default:
		out += fmt.Sprintf("[%d octets]", s.Readable)
	}
	if s.Urgent {
		out += "U"
	}
	if ended := s.State == CL.String() && c.State != CL; ended {
		return out + ends(s.Error)
	}
	if c.advances(s) {
		out += "+"
	}
	if s.State != c.State.String() {
		out += ">" + string(short(s.State))
	}
	if out == "" {
		return "-"
	}
	return out
}

// advances reports whether SND.UNA moved in a connection that was open before. In TIME-WAIT there is nothing left to be acknowledged.
func (c *Case) advances(s Seen) bool {
	switch c.State {
	case CL, LI, SS, SR, SRA, TW:
		return false
	}
	return s.State != TW.String() && s.Una != c.Una && s.Una == c.Ack
}

func ends(err string) string {
	switch err {
	case "reset":
		return "K"
	case "refused":
		return "C"
	case "":
		return "k"
	}
	return ">CL(" + err + ")"
}

// answer is the letter of a segment that was sent.
func (c *Case) answer(sent Sent, s Seen) string {
	rcv := c.Rcv + s.Readable
	if c.State == SS {
		rcv = 1 + s.Readable // the segment was a SYN
	}
	if takesFIN(c.State, short(s.State)) {
		rcv++
	}
	switch sent {
	case Sent{".", c.Nxt, rcv}:
		return "A"
	case Sent{"S.", 0, 1}:
		return "S"
	case Sent{"R", c.Ack, 0}:
		return "R"
	case Sent{"R.", 0, c.Seq + c.Text + c.controls()}:
		return "Z"
	case Sent{"R.", c.Nxt, rcv}:
		return "X"
	}
	return fmt.Sprintf("[%s %d ack %d]", sent.Flags, sent.Seq, sent.Ack)
}

// controls are the numbers that SYN and FIN of the segment take.
func (c *Case) controls() int {
	n := 0
	for _, f := range c.Segment {
		switch f {
		case 'S', 'F':
			n++
		case ' ':
			return n
		}
	}
	return n
}

// takesFIN reports whether the way between two states is that of the peer's FIN.
func takesFIN(from, to State) bool {
	heard := map[State]bool{CW: true, CG: true, LA: true, TW: true}
	return !heard[from] && heard[to]
}
