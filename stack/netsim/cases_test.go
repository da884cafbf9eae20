package netsim

import (
	"errors"
	"testing"
	"time"

	"ustack/stack/cc"
	"ustack/stack/tcb"
)

// A connection to itself, the same port at both ends, opens as a simultaneous open does, carries
// data and ends, in a bounded number of packets.
// req: U-15 U-17
func TestSelfConnect(t *testing.T) {
	for seed := range uint64(20) {
		s := New(seed)
		a := s.AddHost("a", HostConfig{})
		sent := 0
		s.ConnectOneWay(a, a, Wire{Delay: Millisecond, Middlebox: func(b []byte) []byte { sent++; return b }})
		c := a.Dial(a, 7, 7, Endpoint{Script: Script{Write: 10_000}})
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		if sent > 100 {
			t.Errorf("seed %d: %d packets", seed, sent)
		}
		if c.Read() != 10_000 || !c.EOF() || c.Err() != nil {
			t.Errorf("seed %d: read %d, EOF %v, %v", seed, c.Read(), c.EOF(), c.Err())
		}
	}
}

// A wire that dies ends a connection with data in flight after R2, and an idle one by keep-alive only.
// req: MUST-24 SHLD-11 U-13 MUST-21 6298-05
func TestDeadWire(t *testing.T) {
	for _, tt := range []struct {
		name     string
		options  tcb.Options
		write    int64
		from, to Time // when the connection ends; 0: never
	}{
		{"data in flight", tcb.Options{}, 10 << 20, 299 * Second, 301 * Second},
		{"R2 of ten seconds", tcb.Options{UserTimeout: 10 * time.Second}, 10 << 20, 9 * Second, 11 * Second},
		{"idle", tcb.Options{}, 1000, 0, 0},
		{"idle with keep-alive", tcb.Options{KeepAlive: true, KeepAliveIdle: 10 * time.Second, KeepAliveInterval: time.Second, KeepAliveCount: 3},
			1000, 11 * Second, 14 * Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const death = Second + 500*Millisecond
			s := New(1)
			a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
			s.Connect(a, b, Wire{Delay: 10 * Millisecond, Rate: 1_000_000, Until: death})
			e := Endpoint{Script: Script{End: CloseLast}, MayTimeOut: true}
			b.Listen(80, e)
			e.Options, e.Script = tt.options, Script{Write: tt.write, End: CloseLast}
			c := a.Dial(b, 4000, 80, e)
			var ended Time
			var look func()
			look = func() {
				if c.TCB().State() == tcb.Closed {
					ended = s.Now() - death
				} else if s.Now() < 20*Minute {
					s.After(100*Millisecond, look)
				}
			}
			look()
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			if ended < tt.from || ended > tt.to {
				t.Errorf("it ended %s after the wire, want %s to %s", clock(ended), clock(tt.from), clock(tt.to))
			}
			if tt.to != 0 && !errors.Is(c.Err(), tcb.ErrTimeout) {
				t.Errorf("it ended with %v", c.Err())
			}
		})
	}
}

// A reader that sleeps for a day does not end the connection: its window stays shut, and the probes are answered.
// req: MUST-37 MAY-8 SHLD-30 1122-06
func TestShutWindowForADay(t *testing.T) {
	s := New(1)
	a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
	probes := 0
	s.ConnectOneWay(a, b, Wire{Delay: 10 * Millisecond, Middlebox: func(p []byte) []byte { probes++; return p }})
	s.ConnectOneWay(b, a, Wire{Delay: 10 * Millisecond})
	b.Listen(80, Endpoint{Script: Script{ReadDelay: 24 * 60 * Minute}, Orderly: true})
	a.Dial(b, 4000, 80, Endpoint{Script: Script{Write: 1 << 20}, Orderly: true})
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if probes > 3000 {
		t.Errorf("%d packets in a day: the probes do not back off", probes)
	}
}

// On a clean wire nothing waits for a timer: a transfer takes its rounds of slow start and its time on
// the wire, and turns take a round trip each.
// req: 813-01 SHLD-18 SHLD-19 REC-1
func TestNoStall(t *testing.T) {
	const delay = 10 * Millisecond
	options := map[string]tcb.Options{
		"defaults": {}, "reno": {CC: cc.NewReno}, "no SACK": {NoSACK: true}, "no timestamps": {NoTimestamps: true},
		"Minshall": {Nagle: tcb.NagleMinshall}, "classic": {Nagle: tcb.NagleClassic}, "MSS 536": {MSS: 536},
		"every segment": {DelayedACK: -1}, "64 KB buffers": {RcvBuf: 65_535, SndBuf: 65_535},
	}
	for name, o := range options {
		for _, tt := range []struct {
			what   string
			script Script
			reply  Script
			atMost Time
		}{
			{"a megabyte", Script{Write: 1 << 20}, Script{}, 13 * 2 * delay},
			{"two megabytes read in time", Script{Write: 1 << 20}, Script{Write: 1 << 20}, 13 * 2 * delay},
			{"turns of 100 octets", Script{Write: 5000, Turn: 100, WriteChunk: 100}, Script{Write: 5000, Turn: 100, WriteChunk: 100}, 52 * 2 * delay},
			{"turns of 10000 octets", Script{Write: 200_000, Turn: 10_000}, Script{Write: 200_000, Turn: 10_000}, 25 * 2 * delay},
		} {
			s := New(1)
			a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
			s.Connect(a, b, Wire{Delay: delay, Rate: 125_000_000, Queue: 16 << 20})
			b.Listen(80, Endpoint{Config: tcb.Config{Options: o}, Script: tt.reply, Orderly: true})
			a.Dial(b, 4000, 80, Endpoint{Config: tcb.Config{Options: o}, Script: tt.script, Orderly: true})
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			var took Time
			for _, c := range s.Conns() {
				took = max(took, c.doneAt-Second)
			}
			most := tt.atMost
			switch name {
			case "64 KB buffers":
				most *= 2 // the window allows no more
			case "classic":
				most *= 3 // a turn's last small segment waits for a delayed ACK (RFC 896)
			}
			if took > most {
				t.Errorf("%s, %s: %s, want at most %s", name, tt.what, clock(took), clock(most))
			}
		}
	}
}

// A router that marks needs not drop: with ECN a bottleneck moves as much without sending anything again.
// req: 3168-04 3168-06
func TestMarksInsteadOfLosses(t *testing.T) {
	for _, ecn := range []bool{false, true} {
		s := New(7)
		a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
		s.Connect(a, b, Wire{Delay: 10 * Millisecond, Rate: 2_000_000, Queue: 60_000, Mark: 15_000})
		o := tcb.Config{Options: tcb.Options{ECN: ecn, NoHyStart: true}}
		b.Listen(80, Endpoint{Config: o, Orderly: true})
		c := a.Dial(b, 4000, 80, Endpoint{Config: o, Script: Script{Write: 4 << 20, WriteChunk: 1 << 20}, Orderly: true})
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		if lost := c.watch.resent > 0; lost == ecn {
			t.Errorf("ECN %v: %d segments were sent again", ecn, c.watch.resent)
		}
		if took := c.doneAt - Second; took > 3*Second { // 2.1 s at the bottleneck's rate
			t.Errorf("ECN %v: took %s", ecn, clock(took))
		}
	}
}

// On a path that swallows what is too large, segments find the size that comes through, and none of the probes is taken
// for congestion.
// req: PMTU-11 PMTU-12 PMTU-13
func TestBlackHole(t *testing.T) {
	for _, mtu := range []int{1064, 1280, 1400, 1492} {
		s := New(uint64(mtu))
		a, b := s.AddHost("a", HostConfig{}), s.AddHost("b", HostConfig{})
		w := Wire{Delay: 10 * Millisecond, Rate: 2_000_000, Queue: 60_000}
		s.ConnectOneWay(b, a, w)
		w.Middlebox = blackHole(mtu)
		s.ConnectOneWay(a, b, w)
		b.Listen(80, Endpoint{Orderly: true})
		c := a.Dial(b, 4000, 80, Endpoint{Script: Script{Write: 4 << 20, WriteChunk: 1 << 20}, Orderly: true})
		found, timeouts, took := 0, uint64(0), Time(0)
		var look func()
		look = func() {
			if !c.released {
				var now tcb.Snapshot
				c.tcb.Snapshot(&now)
				found, timeouts, took = now.MSS+ipHeader+32, now.RTOs, s.now-Second
				s.After(Millisecond, look)
			}
		}
		look()
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d octets come through: found %d, %d time-outs, %s", mtu, found, timeouts, clock(took))
		if found > mtu || found < mtu-8 {
			t.Errorf("%d octets come through: found %d", mtu, found)
		}
		if took > 6*Second { // three time-outs, and 2.1 s at the bottleneck's rate
			t.Errorf("%d octets come through: took %s", mtu, clock(took))
		}
	}
}
