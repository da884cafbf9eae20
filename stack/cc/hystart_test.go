package cc

import "testing"

const milli = Time(1e6)

// rounds feeds h with rounds of n samples each, and returns after how many it ended slow start; 0: it did not.
func rounds(h *hystart, n int, rtts ...Time) int {
	for i, rtt := range rtts {
		for j := range n {
			if h.onAck(Ack{RTT: rtt * milli, RoundStart: j == 0}) {
				return i + 1
			}
		}
	}
	return 0
}

// A round-trip time that grows by an eighth, or four milliseconds, or sixteen, whichever of the three stands in the
// middle, makes slow start cautious; five rounds later it is over.
// req: 9406-01 9406-02 9406-05
func TestHyStart(t *testing.T) {
	for _, c := range []struct{ rtt, below, from Time }{{8, 3, 4}, {40, 4, 5}, {400, 15, 16}} {
		var h hystart
		if rounds(&h, 10, c.rtt, c.rtt+c.below); h.cautious {
			t.Errorf("round trip of %d ms: cautious at %d ms more", c.rtt, c.below)
		}
		h = hystart{}
		if rounds(&h, 10, c.rtt, c.rtt+c.from); !h.cautious {
			t.Errorf("round trip of %d ms: not cautious at %d ms more", c.rtt, c.from)
		}
		if n := rounds(&h, 10, 999, 999, 999, 999, 999, 999); n != 5 {
			t.Errorf("slow start ended after %d rounds of caution", n)
		}
	}
}

// Fewer than eight samples in a round tell nothing.
// req: 9406-01
func TestHyStartNeedsSamples(t *testing.T) {
	var h hystart
	if rounds(&h, 7, 40, 90, 190); h.cautious {
		t.Error("cautious after seven samples a round")
	}
}

// Jitter that passes is forgotten.
// req: 9406-04
func TestHyStartResumes(t *testing.T) {
	var h hystart
	if rounds(&h, 10, 40, 50); !h.cautious {
		t.Fatal("not cautious")
	}
	if rounds(&h, 10, 42); h.cautious {
		t.Error("still cautious although the round-trip time is below where caution began")
	}
}

// req: 9406-03 9406-05 9406-06 9438-11
func TestCubicLeavesSlowStart(t *testing.T) {
	p := Params{MSS: 1000, InitialWindow: 10}
	c := NewCubic(p).(*Cubic)
	ack := func(bytes int, rtt Time, start bool) int {
		before := c.Window()
		c.OnAck(Ack{Now: milli, Bytes: bytes, RTT: rtt * milli, SRTT: rtt * milli, RoundStart: start})
		return c.Window() - before
	}
	if n := ack(20_000, 40, true); n != 8000 {
		t.Errorf("a stretch ACK of 20 segments opened the window by %d", n) // L = 8
	}
	for i := range 40 {
		ack(1000, 40+Time(i/10)*20, i%10 == 0)
	}
	if n := ack(4000, 200, false); n != 1000 {
		t.Errorf("cautious, an ACK of 4 segments opened the window by %d", n)
	}
	for i := range 50 {
		ack(1000, 200, i%10 == 0)
	}
	if c.SSThresh() == infinite || c.SSThresh() > c.Window() {
		t.Errorf("ssthresh %d, cwnd %d", c.SSThresh(), c.Window())
	}

	c = NewCubic(p).(*Cubic)
	c.OnRTO(Loss{InFlight: 100_000})
	for i := range 40 {
		ack(1000, 40+Time(i/10)*20, i%10 == 0)
	}
	if c.Window() != 41_000 {
		t.Errorf("slow start after a time-out reached %d, want 41000", c.Window())
	}

	p.NoHyStart = true
	c = NewCubic(p).(*Cubic)
	for i := range 40 {
		ack(1000, 40+Time(i/10)*20, i%10 == 0)
	}
	if c.Window() != 50_000 {
		t.Errorf("without HyStart++ slow start reached %d, want 50000", c.Window())
	}
}

// train gives h a round of ACKs that come every 0.2 ms for so many ms, on a path of 20 ms, with a pause after the first
// half; it reports whether slow start is over.
func train(h *hystart, now *Time, length, pause Time) bool {
	const step = milli / 5
	over := false
	for i := range length * 5 {
		if i == length*5/2 {
			*now += pause * milli
		}
		over = h.onAck(Ack{Now: *now, RTT: 20 * milli, MinRTT: 20 * milli, RoundStart: i == 0}) || over
		*now += step
	}
	*now += 20*milli - length*milli
	return over
}

// ACKs that come one after the other for half of the round-trip time, twice in a row, mean that the path is full.
func TestACKTrain(t *testing.T) {
	now := 1000 * milli
	var h hystart
	if train(&h, &now, 10, 0) || h.cautious {
		t.Error("a train of half of the round-trip time is a long one")
	}
	if train(&h, &now, 11, 0) || !h.cautious {
		t.Error("slow start is over, or goes on as before, after one long train")
	}
	if !train(&h, &now, 11, 0) {
		t.Error("slow start goes on after two long trains")
	}
	h = hystart{}
	train(&h, &now, 11, 0)
	train(&h, &now, 5, 0)
	if train(&h, &now, 5, 0); h.cautious {
		t.Error("cautious after a round without a long train")
	}
	h = hystart{}
	if train(&h, &now, 15, 3); h.cautious {
		t.Error("a pause of 3 ms does not end a train")
	}
	h = hystart{}
	train(&h, &now, 11, 0)
	if !h.cautious || rounds(&h, 10, 30) != 1 {
		t.Error("slow start goes on although the round-trip time has grown as well")
	}
}
