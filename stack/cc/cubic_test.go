package cc

import (
	"math"
	"testing"
)

// reduced makes a CUBIC that has just cut a window of n segments.
func reduced(n int) *Cubic {
	c := NewCubic(Params{MSS: mss, InitialWindow: n}).(*Cubic)
	c.OnLoss(Loss{InFlight: n * mss})
	return c
}

// near reports whether two windows agree to half a segment.
func near(got, want float64) bool { return math.Abs(got-want) <= mss/2 }

// A cut from 100 segments: K = ∛(30/0.4) = 4.217 s; the curve is at
// 0.4·(t−K)³ + 100 segments.
// req: 9438-01
func TestCubicCurve(t *testing.T) {
	c := reduced(100)
	c.OnAck(Ack{Now: sec, Bytes: mss, SRTT: 100 * ms})
	if math.Abs(c.k-4.2172) > 0.0001 || c.wMax != 100*mss {
		t.Fatalf("K = %v, Wmax = %v", c.k, c.wMax)
	}
	for _, tt := range []struct {
		t    Time
		want float64 // segments
	}{{0, 70}, {sec, 86.680}, {2 * sec, 95.639}, {4217163327, 100}, {6 * sec, 102.267}, {10 * sec, 177.354}} {
		if got := c.curve(tt.t) / mss; math.Abs(got-tt.want) > 0.01 {
			t.Errorf("W(%v s) = %.3f, want %.3f", float64(tt.t)/1e9, got, tt.want)
		}
	}
}

// A whole window acknowledged each round trip makes cwnd follow the curve.
// req: 9438-01 9438-02
func TestCubicFollowsCurve(t *testing.T) {
	const rtt = 100 * ms
	c := reduced(1000) // a window so large that Reno never catches up
	epoch := sec
	for now := epoch; now < epoch+15*sec; {
		segments := c.Window() / mss
		for i := range segments {
			c.OnAck(Ack{Now: now + rtt*Time(i)/Time(segments), Bytes: mss, SRTT: rtt})
		}
		now += rtt
		if want := c.curve(c.elapsed + rtt); math.Abs(float64(c.Window())-want) > want/50 {
			t.Fatalf("at %d ms cwnd is %d, the curve at %.0f", (now-epoch)/ms, c.Window(), want)
		}
	}
	if c.Window() < 1000*mss {
		t.Errorf("cwnd %d never came back to the plateau", c.Window())
	}
}

// req: 9438-02
func TestCubicTargetClamps(t *testing.T) {
	state := func(cwnd float64, wMax, k float64) *Cubic {
		c := NewCubic(Params{MSS: mss, InitialWindow: 10}).(*Cubic)
		c.cwnd, c.ssthresh = int(cwnd), int(cwnd)
		c.wMax, c.k, c.inEpoch, c.wEst, c.cwndPrior = wMax, k, true, 1, 1e9
		return c
	}
	one := Ack{Now: sec, Bytes: mss, SRTT: 100 * ms}
	// Far below the curve: at most half a window each window.
	c := state(100*mss, 1000*mss, 0)
	c.OnAck(one)
	if got := c.Window() - 100*mss; got != mss/2 {
		t.Errorf("upper clamp: grew by %d, want %d", got, mss/2)
	}
	// Above the curve: no shrinking.
	c = state(100*mss, 50*mss, 0)
	c.OnAck(one)
	if c.Window() != 100*mss {
		t.Errorf("lower clamp: cwnd %d", c.Window())
	}
	// Between: (W(0.1 s) − cwnd)/cwnd of a segment, here (110.0004−100)/100.
	c = state(100*mss, 110*mss, 0)
	c.OnAck(one)
	if got := c.Window() - 100*mss; got != 100 {
		t.Errorf("between the clamps: grew by %d, want 100", got)
	}
}

// On a path with little bandwidth × delay the curve is slower than Reno, and
// cwnd is what Reno of α = 0.529, and of α = 1 beyond the old window, would have.
// req: 9438-03
func TestCubicRenoFriendly(t *testing.T) {
	c := reduced(20) // to 14 segments
	const rtt = ms
	want, now := 14.0, sec
	for range 40 {
		alpha := cubicAlpha
		if want >= 20 {
			alpha = 1
		}
		for left := c.Window(); left > 0; left -= mss {
			c.OnAck(Ack{Now: now, Bytes: min(mss, left), SRTT: rtt})
		}
		want += alpha
		now += rtt
		if !near(float64(c.Window()), want*mss) {
			t.Fatalf("cwnd %d, Reno would have %.0f", c.Window(), want*mss)
		}
	}
	if c.Window() < 40*mss {
		t.Errorf("cwnd %d after forty round trips", c.Window())
	}
}

// req: 9438-04
func TestCubicIdleDoesNotJump(t *testing.T) {
	for _, how := range []string{"idle", "application-limited"} {
		c := reduced(100)
		now := sec
		for range 70 {
			c.OnAck(Ack{Now: now, Bytes: mss, SRTT: 100 * ms})
		}
		before := c.Window()
		if how == "idle" {
			now += 10 * sec
			c.OnIdle(now)
			c.cwnd = before // as with the idle restart switched off
		} else {
			for range 100 {
				now += 100 * ms
				c.OnAck(Ack{Now: now, Bytes: mss, SRTT: 100 * ms, AppLimited: true})
			}
		}
		c.OnAck(Ack{Now: now + ms, Bytes: mss, SRTT: 100 * ms})
		if c.elapsed > ms {
			t.Errorf("%s: the epoch's clock went on to %d ms", how, c.elapsed/ms)
		}
		if got := c.Window() - before; got > mss/10 {
			t.Errorf("%s: cwnd jumped by %d", how, got)
		}
	}
}

// req: 9438-07
func TestCubicFastConvergence(t *testing.T) {
	c := reduced(100)
	if c.wMax != 100*mss {
		t.Fatalf("first loss: Wmax %v", c.wMax)
	}
	c.OnLoss(Loss{InFlight: 70 * mss}) // at 70, below the plateau: Wmax = 70·0.85
	if math.Abs(c.wMax-59500) > 1 {
		t.Errorf("second loss: Wmax %v, want 59500", c.wMax)
	}
	wantWindow(t, c, 49*mss, 49*mss)
}

// req: 9438-08 9438-11
func TestCubicAfterTimeout(t *testing.T) {
	c := reduced(100)
	c.OnRTO(Loss{InFlight: 70 * mss})
	wantWindow(t, c, mss, 49*mss)
	now := sec
	for c.inSlowStart() {
		c.OnAck(Ack{Now: now, Bytes: mss, SRTT: 100 * ms})
	}
	if c.Window() != 49*mss {
		t.Fatalf("slow start ended at %d", c.Window())
	}
	c.OnAck(Ack{Now: now, Bytes: mss, SRTT: 100 * ms})
	if c.k != 0 || c.wMax != 49*mss {
		t.Errorf("after a time-out K = %v, Wmax = %v", c.k, c.wMax)
	}
	// One second on, W(1.1 s) = 49 + 0.4·1.331: with a window's worth of ACKs cwnd gets there.
	for range 49 {
		c.OnAck(Ack{Now: now + sec, Bytes: mss, SRTT: 100 * ms})
	}
	if want := 49532.4; !near(float64(c.Window()), want) {
		t.Errorf("cwnd %d a second later, want %.0f", c.Window(), want)
	}
}

// A spurious loss brings the whole curve back.
// req: 9438-10
func TestCubicSpuriousRestoresCurve(t *testing.T) {
	c := reduced(100)
	for i := range 200 {
		c.OnAck(Ack{Now: sec + Time(i)*10*ms, Bytes: mss, SRTT: 100 * ms})
	}
	before := c.cubicState
	c.OnLoss(Loss{InFlight: c.Window()})
	for i := range 5 {
		c.OnAck(Ack{Now: 3*sec + Time(i)*10*ms, Bytes: mss, SRTT: 100 * ms})
	}
	c.OnSpurious()
	before.lastAck = 0 // the time between is nobody's
	if c.cubicState != before {
		t.Errorf("restored %+v, want %+v", c.cubicState, before)
	}
}
