package netsim

import (
	"bytes"
	"math"
	"testing"
)

func TestJain(t *testing.T) {
	for _, tt := range []struct {
		shares []float64
		want   float64
	}{
		{nil, 1}, {[]float64{0, 0}, 1}, {[]float64{3}, 1}, {[]float64{5, 5, 5}, 1}, {[]float64{1, 0, 0, 0}, 0.25}, {[]float64{2, 1}, 0.9},
	} {
		if got := Jain(tt.shares...); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("Jain(%v) = %g, want %g", tt.shares, got, tt.want)
		}
	}
}

// Wires that go through one bottleneck share its line and its queue.
func TestSharedBottleneck(t *testing.T) {
	s := New(1)
	neck := &Bottleneck{Rate: 1_520_000, Queue: 15_200}
	a, b, c := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{}), s.AddHost("c", HostConfig{})
	c.turning = true // packets stay in the inbox
	for _, from := range []*Host{a, b} {
		s.ConnectOneWay(from, c, Wire{Through: neck})
		segment := encode(from, c, sample(100)) // 152 octets with its headers, the IP header included
		for i := range 1000 {
			s.After(Time(i)*100*Microsecond, func() { from.links[c].send(packet{from: from, b: bytes.Clone(segment)}) })
		}
	}
	if err := s.RunFor(100 * Millisecond); err != nil {
		t.Fatal(err)
	}
	// Each offers what the line carries: half of it gets through, and what is queued waits for 10 ms.
	if got := len(c.inbox); got < 995 || got > 1000 {
		t.Errorf("%d packets came through in 100 ms, want 1000", got)
	}
	if neck.Passed() < 1099*152 || neck.Passed() > 1101*152 || neck.Passed()+neck.Dropped() != 2000*152 {
		t.Errorf("%d octets taken in and %d dropped of %d", neck.Passed(), neck.Dropped(), 2000*152)
	}
	if err := s.RunFor(9 * Millisecond); err != nil || len(c.inbox) > 1095 {
		t.Errorf("%d packets after 109 ms, %v", len(c.inbox), err)
	}
	if err := s.RunFor(2 * Millisecond); err != nil || len(c.inbox) != int(neck.Passed()/152) {
		t.Errorf("%d packets in the end, %v", len(c.inbox), err)
	}
}

// RunFor lets so much time pass and no more, and can be gone on from.
func TestRunFor(t *testing.T) {
	s := New(1)
	var at []Time
	for _, d := range []Time{Millisecond, 2 * Millisecond, 3 * Millisecond} {
		s.After(d, func() { at = append(at, s.Now()-Second) })
	}
	for i, want := range []int{1, 2, 3, 3} {
		if err := s.RunFor(1100 * Microsecond); err != nil {
			t.Fatal(err)
		}
		if len(at) != want || s.Now() != Second+Time(i+1)*1100*Microsecond {
			t.Errorf("after %s: %d events", clock(s.Now()-Second), len(at))
		}
	}
	s.fail(nil, "a law", "")
	if err := s.RunFor(Second); err == nil {
		t.Error("a broken law is not told")
	}
}

// Stats tell what was delivered and what was sent again, from the beginning and since a moment.
func TestStats(t *testing.T) {
	const octets = 1_000_000
	s := New(1)
	d := s.Dumbbell(Bottleneck{Rate: 20 * Mbit, Queue: 1 << 20}, Wire{Delay: 10 * Millisecond, Loss: 0.02})
	c := d.Flow(0, Endpoint{Script: Bulk(octets), Orderly: true})
	if c.Stats() != (Stats{Segments: 0}) || c.Took() != 0 {
		t.Errorf("at the beginning: %+v", c.Stats())
	}
	if err := s.RunFor(200 * Millisecond); err != nil {
		t.Fatal(err)
	}
	half := c.Stats()
	if half.At != 200*Millisecond || half.Delivered <= 0 || half.Delivered >= octets {
		t.Errorf("after 200 ms: %+v", half)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	all := c.Stats()
	if all.Delivered != octets || all.Sent != octets+all.Resent || all.Resent < octets/100 || all.Resent > octets/25 {
		t.Errorf("in the end: %+v", all)
	}
	if most := all.Segments * 1448; all.Sent > most || all.Sent < most*9/10 {
		t.Errorf("%d octets in %d segments", all.Sent, all.Segments)
	}
	if all.Losses == 0 || all.ResentRatio() != float64(all.Resent)/float64(all.Sent) {
		t.Errorf("%d recoveries, ratio %g", all.Losses, all.ResentRatio())
	}
	rest := all.Since(half)
	if rest.Delivered+half.Delivered != octets || rest.Resent+half.Resent != all.Resent || rest.At != all.At-half.At {
		t.Errorf("since 200 ms: %+v", rest)
	}
	if want := float64(rest.Delivered) / (float64(rest.At) / 1e9); rest.Goodput() != want {
		t.Errorf("goodput %g, want %g", rest.Goodput(), want)
	}
	if took := c.Took(); took < 450*Millisecond || took > all.At {
		t.Errorf("took %s", clock(took))
	}
	if (Stats{}).Goodput() != 0 || (Stats{}).ResentRatio() != 0 {
		t.Error("nothing is not nothing")
	}
}

// Several flows between the same two hosts have ports of their own.
func TestFlowsOfAPair(t *testing.T) {
	s := New(1)
	d := s.Dumbbell(Bottleneck{Rate: 20 * Mbit}, Wire{Delay: Millisecond}, Wire{Delay: Millisecond})
	flows := []*Conn{d.Flow(0, Endpoint{Script: Bulk(50_000)}), d.Flow(0, Endpoint{Script: Bulk(60_000)}), d.Flow(1, Endpoint{Script: Bulk(70_000)})}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	for i, f := range flows {
		if want := int64(50_000 + 10_000*i); f.Stats().Delivered != want {
			t.Errorf("flow %d delivered %d, want %d", i, f.Stats().Delivered, want)
		}
	}
}
