package cc

import (
	"math/rand/v2"
	"slices"
	"testing"
)

const (
	mss = 1000
	ms  = Time(1e6)
	sec = Time(1e9)
)

// start makes a controller whose window is cwnd segments in congestion avoidance.
func start(t *testing.T, name string, cwnd int) Controller {
	t.Helper()
	n, ok := ByName(name)
	if !ok {
		t.Fatalf("no controller %q", name)
	}
	c := n(Params{MSS: mss, InitialWindow: cwnd})
	return c
}

func ack(n int) Ack { return Ack{Now: sec, Bytes: n, SRTT: 100 * ms} }

func wantWindow(t *testing.T, c Controller, cwnd, ssthresh int) {
	t.Helper()
	if c.Window() != cwnd || c.SSThresh() != ssthresh {
		t.Errorf("%s: cwnd %d ssthresh %d, want %d and %d", c.Name(), c.Window(), c.SSThresh(), cwnd, ssthresh)
	}
}

func TestNames(t *testing.T) {
	if got := Names(); !slices.Equal(got, []string{"cubic", "reno"}) {
		t.Errorf("Names() = %q", got)
	}
	for _, name := range Names() {
		if c := start(t, name, 10); c.Name() != name || c.PacingRate() != 0 {
			t.Errorf("%q makes %q, pacing %d", name, c.Name(), c.PacingRate())
		}
	}
	if _, ok := ByName("bbr"); ok {
		t.Error("ByName knows bbr")
	}
}

// req: 6928-01 6928-04 P-6
func TestInitialWindow(t *testing.T) {
	for _, tt := range []struct{ mss, segments, want int }{
		{536, 10, 5360}, {1460, 10, 14600}, {8960, 10, 17920}, {1460, 0, 14600}, {1460, 1, 1460}, {0, 10, 10},
	} {
		for _, name := range Names() {
			n, _ := ByName(name)
			c := n(Params{MSS: tt.mss, InitialWindow: tt.segments})
			if c.Window() != tt.want {
				t.Errorf("%s: MSS %d, %d segments: %d, want %d", name, tt.mss, tt.segments, c.Window(), tt.want)
			}
			// req: 5681-03
			if c.SSThresh() < 65535<<14 {
				t.Errorf("%s: ssthresh starts at %d", name, c.SSThresh())
			}
		}
	}
}

// req: 5681-04 MUST-19
func TestSlowStart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		acked int
		want  int // growth
	}{
		{"reno", 1000, 1000},
		{"reno", 20000, 1000}, // a stretch ACK grows by one segment
		{"reno", 10, 10},      // ACK division gains nothing
		{"cubic", 1000, 1000},
		{"cubic", 8000, 8000},
		{"cubic", 20000, 8000}, // L = 8
		{"cubic", 10, 10},
	} {
		c := start(t, tt.name, 10)
		c.OnAck(ack(tt.acked))
		if got := c.Window() - 10*mss; got != tt.want {
			t.Errorf("%s: an ACK of %d grows cwnd by %d, want %d", tt.name, tt.acked, got, tt.want)
		}
	}
}

// A hundred ACKs of ten octets grow the window as one of a thousand does.
// req: 5681-04
func TestACKDivision(t *testing.T) {
	for _, name := range Names() {
		c := start(t, name, 10)
		for range 100 {
			c.OnAck(ack(10))
		}
		if c.Window() != 11*mss {
			t.Errorf("%s: cwnd %d, want %d", name, c.Window(), 11*mss)
		}
	}
}

// req: 5681-05 MUST-19
func TestRenoAvoidance(t *testing.T) {
	c := start(t, "reno", 40)
	c.OnLoss(Loss{InFlight: 40 * mss})
	wantWindow(t, c, 20*mss, 20*mss)
	for i := range 10 {
		for sent := c.Window(); sent > 0; sent -= mss {
			c.OnAck(ack(mss))
		}
		if want := (21 + i) * mss; c.Window() != want {
			t.Fatalf("after %d windows cwnd is %d, want %d", i+1, c.Window(), want)
		}
	}
	// One ACK for three windows still brings one segment.
	before := c.Window()
	c.OnAck(ack(3 * before))
	if got := c.Window() - before; got != mss {
		t.Errorf("an ACK of three windows grew cwnd by %d", got)
	}
}

// req: 5681-06 5681-07 5681-08 9438-08
func TestRTO(t *testing.T) {
	for _, tt := range []struct {
		name     string
		ssthresh int
	}{{"reno", 6 * mss}, {"cubic", 8400}} {
		c := start(t, tt.name, 40) // the application keeps only 12 in flight
		c.OnRTO(Loss{InFlight: 12 * mss})
		wantWindow(t, c, mss, tt.ssthresh)
		for range 2 {
			c.OnRTO(Loss{InFlight: mss, Again: true})
			wantWindow(t, c, mss, tt.ssthresh)
		}
		for _, flight := range []int{2, 4} { // 1, 2, 4 segments a round
			for sent := c.Window(); sent > 0; sent -= mss {
				c.OnAck(ack(mss))
			}
			wantWindow(t, c, flight*mss, tt.ssthresh)
		}
		// The second time-out in another place does lower ssthresh, to no less than two segments.
		c.OnRTO(Loss{InFlight: 2 * mss})
		wantWindow(t, c, mss, 2*mss)
	}
}

// req: 9438-05
func TestLoss(t *testing.T) {
	for _, tt := range []struct {
		name           string
		cwnd, inFlight int // segments
		want, ssthresh int // octets
	}{
		{"reno", 100, 100, 50000, 50000},
		{"reno", 100, 60, 30000, 30000}, // FlightSize counts, not cwnd
		{"reno", 4, 3, 2000, 2000},
		{"reno", 4, 20, 4000, 10000}, // no loss opens the window
		{"cubic", 100, 100, 70000, 70000},
		{"cubic", 100, 60, 42000, 42000},
		{"cubic", 3, 2, 2000, 2000},
	} {
		c := start(t, tt.name, tt.cwnd)
		c.OnLoss(Loss{InFlight: tt.inFlight * mss})
		wantWindow(t, c, tt.want, tt.ssthresh)
	}
}

// req: 9438-09
func TestECN(t *testing.T) {
	c := start(t, "cubic", 4)
	for _, want := range []int{2800, 1960, 1372, 1000, 1000} {
		c.OnECN(Loss{InFlight: c.Window()})
		wantWindow(t, c, want, max(want, 2*mss))
	}
	r := start(t, "reno", 10)
	r.OnECN(Loss{InFlight: 10 * mss})
	wantWindow(t, r, 5*mss, 5*mss)
}

// req: 5681-17 6928-03
func TestIdle(t *testing.T) {
	for _, name := range Names() {
		c := start(t, name, 10)
		for range 30 {
			c.OnAck(ack(mss))
		}
		wantWindow(t, c, 40*mss, infinite)
		c.OnIdle(2 * sec)
		wantWindow(t, c, 10*mss, infinite)
		c.OnRTO(Loss{InFlight: 10 * mss})
		c.OnIdle(4 * sec)
		if c.Window() != mss {
			t.Errorf("%s: idleness raised cwnd to %d", name, c.Window())
		}
	}
}

// req: 9438-12 9438-06 OPT-2
func TestAppLimited(t *testing.T) {
	for _, name := range Names() {
		for _, reduced := range []bool{false, true} {
			c := start(t, name, 20)
			if reduced {
				c.OnLoss(Loss{InFlight: 20 * mss})
			}
			before := c.Window()
			for i := range 600 {
				c.OnAck(Ack{Now: sec + Time(i)*100*ms, Bytes: mss, SRTT: 100 * ms, AppLimited: true})
			}
			if c.Window() != before {
				t.Errorf("%s: an application-limited minute took cwnd from %d to %d", name, before, c.Window())
			}
		}
	}
}

// req: 5681-18
func TestSetMSS(t *testing.T) {
	for _, name := range Names() {
		n, _ := ByName(name)
		c := n(Params{MSS: 1460, InitialWindow: 10})
		c.OnLoss(Loss{InFlight: 14600})
		segments := c.Window() / 1460
		c.SetMSS(560)
		wantWindow(t, c, segments*560, segments*560)
		c.SetMSS(1460) // a larger segment leaves the octets alone
		wantWindow(t, c, segments*560, max(segments*560, 2*1460))
		c.SetMSS(9000) // but one always fits
		wantWindow(t, c, 9000, 18000)
	}
}

// req: 9438-10
func TestSpurious(t *testing.T) {
	for _, name := range Names() {
		c := start(t, name, 40)
		c.OnSpurious() // nothing to take back
		wantWindow(t, c, 40*mss, infinite)

		c.OnLoss(Loss{InFlight: 40 * mss})
		c.OnSpurious()
		wantWindow(t, c, 40*mss, infinite)

		c.OnRTO(Loss{InFlight: 40 * mss})
		c.OnRTO(Loss{InFlight: 40 * mss, Again: true})
		c.OnAck(ack(mss))
		c.OnSpurious()
		wantWindow(t, c, 40*mss, infinite)

		c.OnSpurious() // once only
		wantWindow(t, c, 40*mss, infinite)
	}
}

// A window that has outgrown the one before the reduction stays.
// req: 9438-10
func TestSpuriousOutgrown(t *testing.T) {
	c := start(t, "cubic", 4)
	c.OnRTO(Loss{InFlight: 40 * mss})
	for range 9 {
		c.OnAck(ack(mss))
	}
	c.OnSpurious()
	wantWindow(t, c, 10*mss, 28*mss)
}

// Whatever happens, a window is at least one segment and at most MaxWindow.
func TestBounds(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, name := range Names() {
			n, _ := ByName(name)
			size := 1 + rng.IntN(9000)
			c := n(Params{MSS: size, InitialWindow: 1 + rng.IntN(10)})
			now := sec
			for range 2000 {
				now += Time(rng.Int64N(int64(200 * ms)))
				l := Loss{Now: now, InFlight: rng.IntN(2*c.Window() + 1), Again: rng.IntN(2) == 0}
				switch rng.IntN(60) {
				case 0:
					c.OnLoss(l)
				case 1:
					c.OnRTO(l)
				case 2:
					c.OnECN(l)
				case 3:
					c.OnSpurious()
				case 4:
					c.OnIdle(now)
				case 5:
					size = 1 + rng.IntN(9000)
					c.SetMSS(size)
				default:
					c.OnAck(Ack{Now: now, Bytes: rng.IntN(1 << 22), SRTT: Time(rng.Int64N(int64(sec))), AppLimited: rng.IntN(4) == 0})
				}
				if w := c.Window(); w < size || w > MaxWindow {
					t.Fatalf("%s seed %d: window %d with an MSS of %d", name, seed, w, size)
				}
				if s := c.SSThresh(); s < 2*size {
					t.Fatalf("%s seed %d: ssthresh %d with an MSS of %d", name, seed, s, size)
				}
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, name := range Names() {
		c := start(t, name, 10)
		now := sec
		if n := testing.AllocsPerRun(100, func() {
			now += 10 * ms
			c.OnAck(Ack{Now: now, Bytes: mss, SRTT: 100 * ms})
			c.OnLoss(Loss{Now: now, InFlight: c.Window()})
			c.OnAck(Ack{Now: now, Bytes: mss, SRTT: 100 * ms})
			c.OnRTO(Loss{Now: now, InFlight: c.Window()})
			c.OnSpurious()
			c.OnIdle(now)
		}); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// fixed is a third controller: the interface needs nothing that only a
// loss-based one has.
type fixed struct{ window int }

func newFixed(p Params) Controller { return &fixed{4 * p.MSS} }

func (*fixed) OnAck(Ack)         {}
func (*fixed) OnLoss(Loss)       {}
func (*fixed) OnECN(Loss)        {}
func (*fixed) OnRTO(Loss)        {}
func (*fixed) OnSpurious()       {}
func (*fixed) OnIdle(Time)       {}
func (f *fixed) SetMSS(mss int)  { f.window = 4 * mss }
func (f *fixed) Window() int     { return f.window }
func (f *fixed) SSThresh() int   { return f.window }
func (f *fixed) PacingRate() int { return 10 * f.window }
func (*fixed) Name() string      { return "fixed" }

func TestThirdController(t *testing.T) {
	var n New = newFixed
	c := n(Params{MSS: mss})
	c.OnRTO(Loss{})
	if c.Window() != 4*mss || c.PacingRate() != 40*mss {
		t.Errorf("window %d, rate %d", c.Window(), c.PacingRate())
	}
}
