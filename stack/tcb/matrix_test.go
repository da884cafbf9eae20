package tcb

import (
	"fmt"
	"strings"
	"testing"

	"ustack/stack/internal/statetable"
	"ustack/tcpseg"
)

// The segment × state matrix and the segments of CLOSED, LISTEN and SYN-SENT, on the pure core.
// req: MX-a MX-b MX-c MX-d MX-e MX-f MX-g MX-h MX-i MX-j MX-k MX-l MX-m MX-n MX-o MX-p MX-q MX-r 5961-06 MAY-12
// ST-ES1 ST-ES3 ST-ES4 ST-ES5 ST-ES8 ST-CW2 ST-LA2 ST-CL1 ST-CL2 ST-CL3 ST-LI1 ST-LI2 ST-LI3 ST-LI5
// ST-SS1 ST-SS2 ST-SS3 ST-SS4 ST-SS5 ST-SS6 ST-SS7 ST-SS8 ST-SS9 ST-SR1 ST-SR2 ST-SR3 ST-SR4 ST-SR5 ST-SR6 ST-SR7 ST-SR8
// ST-SR9 ST-SR10 ST-SR11 ST-F11 ST-F12 ST-CG1 ST-LA1
func TestStateMatrix(t *testing.T) {
	cases := statetable.Cases()
	everyVariant(t, func(t *testing.T, v pktVariant) {
		for i := range cases {
			if err := runCase(&cases[i], v); err != nil {
				t.Error(err)
			}
		}
	})
}

// runCase returns what goes otherwise than the table has it.
func runCase(c *statetable.Case, v pktVariant) error {
	r := newPktRun(v)
	r.closed = c.State == statetable.CL
	r.cfg.RcvBuf = c.RcvBuf
	fail := func(what error) error {
		return fmt.Errorf("%s %q in %s%v: %w\n%s", c.ID, c.Name, c.State, c.Steps, what, r.events())
	}
	for _, step := range c.Steps {
		words := strings.Fields(step)
		if err := r.act(&pktLine{op: words[0], args: words[1:]}); err != nil {
			return fail(err)
		}
		r.sent = nil
	}
	if err := same(c.State.String(), r.state()); err != nil {
		return fail(err)
	}
	before := r.tcb
	var readable, urgent int
	if before != nil {
		readable, urgent = before.Readable(), before.Urgent()
	}
	reused, err := r.reuses(c.Segment)
	if err == nil && !reused {
		err = r.input(strings.Fields(c.Segment))
	}
	if err != nil {
		return fail(err)
	}
	seen := statetable.Seen{State: r.state(), Reused: reused}
	for _, s := range r.sent {
		seen.Sent = append(seen.Sent, v.sent(&s.out))
	}
	if r.tcb != nil {
		seen.Readable, seen.Urgent = r.tcb.Readable()-readable, r.tcb.Urgent() > urgent
		seen.Una = r.tcb.snd.una.Sub(v.iss)
		seen.Error = pktErrorName(r.tcb.Err())
	}
	if err := same(c.Want, c.Outcome(seen)); err != nil {
		return fail(fmt.Errorf("%s: %w", c.Segment, err))
	}
	return r.err
}

// reuses reports whether a segment opens a new incarnation of a connection in TIME-WAIT, which the host has to do.
func (r *pktRun) reuses(text string) (bool, error) {
	if r.tcb == nil {
		return false, nil
	}
	w, ok := r.tcb.TimeWait()
	seg, err := r.v.parseSegment(strings.Fields(text))
	return ok && err == nil && w.Input(r.now, &seg).Reuse, err
}

// sent writes a segment down for the table.
func (v pktVariant) sent(o *Out) statetable.Sent {
	s := statetable.Sent{Flags: o.Flags.String(), Seq: o.Seq.Sub(v.iss)}
	if o.Flags.Has(tcpseg.ACK) {
		s.Ack = o.Ack.Sub(v.irs)
	}
	return s
}

func pktErrorName(err error) string {
	for name, e := range pktErrors {
		if e == err && e != nil {
			return name
		}
	}
	return ""
}
