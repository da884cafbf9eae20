package netsim_test

import (
	"fmt"

	"ustack/stack/cc"
	"ustack/stack/netsim"
	"ustack/stack/tcb"
)

// gentle is a congestion controller of one's own: like Reno it adds so many segments a round trip and
// gives way to a loss by a factor, but both are smaller. The pair is as fast as Reno where losses are
// random (RFC 9438 §4.3) and asks for a smaller queue.
type gentle struct {
	mss, cwnd, ssthresh int
	prior               int     // cwnd before the last loss
	credit              float64 // growth of less than an octet
}

const (
	gentleBeta  = 7.0 / 8
	gentleAlpha = 3 * (1 - gentleBeta) / (1 + gentleBeta) // 0.2 segments a round trip
)

// newGentle is a cc.New: what tcb.Options.CC takes.
func newGentle(p cc.Params) cc.Controller {
	return &gentle{mss: p.MSS, cwnd: p.InitialWindowBytes(), ssthresh: cc.MaxWindow}
}

func (g *gentle) OnAck(a cc.Ack) {
	switch {
	case a.AppLimited || a.ECE: // the window was not tried, or is full
	case g.cwnd < g.ssthresh:
		g.cwnd += min(a.Bytes, 2*g.mss)
	default:
		g.credit += gentleAlpha * float64(g.mss) * float64(a.Bytes) / float64(g.cwnd)
		g.cwnd += int(g.credit)
		g.credit -= float64(int(g.credit))
	}
	g.cwnd = min(g.cwnd, cc.MaxWindow)
}

func (g *gentle) OnLoss(l cc.Loss) {
	g.prior = g.cwnd
	g.ssthresh = max(int(gentleBeta*float64(l.InFlight)), 2*g.mss)
	g.cwnd = min(g.cwnd, g.ssthresh)
}

func (g *gentle) OnECN(l cc.Loss) { g.OnLoss(l) }

func (g *gentle) OnRTO(l cc.Loss) {
	if !l.Again {
		g.OnLoss(l)
	}
	g.cwnd = g.mss
}

func (g *gentle) OnSpurious() { g.cwnd = max(g.cwnd, g.prior) }

func (g *gentle) OnIdle(cc.Time) { g.cwnd = min(g.cwnd, 10*g.mss) }

func (g *gentle) SetMSS(mss int) {
	g.mss = mss
	g.cwnd = max(g.cwnd, mss)
}

func (g *gentle) Window() int     { return g.cwnd }
func (g *gentle) SSThresh() int   { return g.ssthresh }
func (g *gentle) PacingRate() int { return 0 } // not paced
func (g *gentle) Name() string    { return "gentle" }

// A congestion controller of one's own beside CUBIC, each alone on a line whose queue holds a round trip's worth.
func Example_controller() {
	for _, controller := range []cc.New{cc.NewCubic, newGentle} {
		s := netsim.New(1)
		neck := netsim.Bottleneck{Rate: 20 * netsim.Mbit, Queue: 125_000}
		d := s.Dumbbell(neck, netsim.Wire{Delay: 25 * netsim.Millisecond})
		bulk := netsim.Endpoint{Script: netsim.Bulk(1 << 40)}
		bulk.CC = controller
		flow := d.Flow(0, bulk)
		if err := s.RunFor(20 * netsim.Second); err != nil {
			fmt.Println(err)
		}
		var now tcb.Snapshot
		flow.TCB().Snapshot(&now)
		fmt.Printf("%s: %.0f Mbit/s\n", now.CC, flow.Stats().Goodput()/netsim.Mbit)
	}
	// Output:
	// cubic: 19 Mbit/s
	// gentle: 19 Mbit/s
}
