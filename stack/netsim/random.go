package netsim

import (
	"time"

	"ustack/stack/cc"
	"ustack/stack/tcb"
)

// Random makes a whole scenario of a seed: hosts, wires, switches and
// applications, from a clean wire and plain habits to a bad one and odd habits.
func Random(seed uint64) *Sim {
	s := New(seed)
	a := s.AddHost("a", s.randomHost())
	b := s.AddHost("b", s.randomHost())
	harsh := s.rng.IntN(5) // 0: a clean wire; 4: one that hardly carries anything
	mtu := min(a.MTU, b.MTU)
	s.ConnectOneWay(a, b, s.randomWire(harsh, mtu))
	s.ConnectOneWay(b, a, s.randomWire(harsh, mtu))

	dying := s.chance(0.05)
	if dying {
		a.links[b].Until = s.now + s.span(5*Second)
		b.links[a].Until = a.links[b].Until
	}
	n := 1
	if s.chance(0.2) {
		n += s.rng.IntN(4)
	}
	for i := range n {
		s.randomPair(a, b, uint16(80+i), uint16(4000+i), dying || harsh == 4)
	}
	if s.chance(0.1) {
		c := s.AddHost("c", s.randomHost())
		s.Connect(c, b, s.randomWire(harsh, min(c.MTU, b.MTU)))
		s.randomPair(c, b, 79, 4000, harsh == 4)
	}
	return s
}

// pick returns one of the choices.
func pick[T any](s *Sim, of ...T) T { return of[s.rng.IntN(len(of))] }

func (s *Sim) randomHost() HostConfig {
	return HostConfig{
		MTU:    pick(s, 1500, 1500, 1500, 576, 1280, 9000),
		Limit:  pick(s, 0, 0, 4096, 64<<10-100),
		Batch:  pick(s, 0, 0, 50*Microsecond, 2*Millisecond),
		Slack:  pick(s, 0, 0, 100*Microsecond, 3*Millisecond),
		Budget: pick(s, 0, 0, 0, 1<<20, 64<<10),
	}
}

// randomWire makes one direction. MSS options keep segments within the smaller
// MTU of the two hosts.
func (s *Sim) randomWire(harsh, mtu int) Wire {
	w := Wire{
		Delay: pick(s, 10*Microsecond, Millisecond, 20*Millisecond, 150*Millisecond),
		Whole: pick(s, 0, 0.5, 1),
		MTU:   mtu,
	}
	if s.chance(0.4) {
		w.Rate = pick(s, 20_000, 200_000, 2_000_000, 50_000_000)
		w.Queue = pick(s, 8_000, 32_000, 200_000)
		w.Mark = pick(s, 0, w.Queue/4)
	}
	if harsh == 0 {
		return w
	}
	worst := []float64{0, 0.002, 0.02, 0.06, 0.3}[harsh]
	w.Jitter = s.span(w.Delay / 4)
	w.Loss = worst * s.rng.Float64()
	w.Reorder = pick(s, 0, worst, 3*worst)
	w.ReorderBy = pick(s, Millisecond, w.Delay, 4*w.Delay)
	w.Duplicate = pick(s, 0, worst)
	w.Corrupt = pick(s, 0, worst/2)
	if mtu == 1500 && s.chance(0.1) {
		w.Whole = 0
		w.Middlebox = blackHole(1100 + s.rng.IntN(400))
	}
	return w
}

// blackHole swallows packets of more than mtu octets and tells nobody (RFC 2923 §2.1).
func blackHole(mtu int) func(segment []byte) []byte {
	return func(b []byte) []byte {
		if len(b)+ipHeader > mtu {
			return nil
		}
		return b
	}
}

func (s *Sim) randomPair(a, b *Host, port, local uint16, mayTimeOut bool) {
	one, two := s.randomEndpoint(), s.randomEndpoint()
	s.randomEnds(&one, &two)
	if mayTimeOut {
		one.MayTimeOut, two.MayTimeOut = true, true
		one.Orderly, two.Orderly = false, false
	}
	if s.chance(0.1) {
		// Simultaneous open: both dial before either SYN can have arrived.
		s.After(0, func() { a.Dial(b, local, port, one) })
		s.After(0, func() { b.Dial(a, port, local, two) })
		return
	}
	if s.chance(0.1) {
		one.Again = 1 + s.rng.IntN(2)
	}
	if s.chance(0.1) {
		turn := s.size(3000)
		all := int64(turn) * int64(1+s.rng.IntN(20))
		one.Script.Turn, one.Script.Write = int64(turn), all
		two.Script.Turn, two.Script.Write = int64(turn), all
	}
	b.Listen(port, two)
	s.After(s.span(200*Millisecond), func() { a.Dial(b, local, port, one) })
}

// randomEnds settles how the two ends part, and what that promises.
func (s *Sim) randomEnds(one, two *Endpoint) {
	switch s.rng.IntN(8) {
	case 0:
		one.Script.End, two.Script.End = CloseFirst, CloseFirst
	case 1, 2:
		one.Script.End, two.Script.End = CloseFirst, CloseLast
	case 3, 4:
		one.Script.End, two.Script.End = CloseLast, CloseFirst
	default:
		one.Script.End, two.Script.End = s.roughEnd(&one.Script), s.roughEnd(&two.Script)
		if one.Script.End == CloseLast && two.Script.End == CloseLast {
			two.Script.End = CloseFirst
		}
	}
	orderly := one.Script.End <= CloseLast && two.Script.End <= CloseLast
	one.Orderly, two.Orderly = orderly, orderly
}

func (s *Sim) roughEnd(p *Script) End {
	p.EndAt = int64(s.rng.IntN(100_000))
	return pick(s, CloseFirst, CloseLast, CloseFull, AbortMidway, CloseMidway)
}

func (s *Sim) randomEndpoint() Endpoint {
	e := Endpoint{Config: tcb.Config{Options: s.randomOptions()}, Script: s.randomScript()}
	if s.chance(0.2) {
		e.Forged = 1 + s.rng.IntN(40)
	}
	return e
}

func (s *Sim) randomOptions() tcb.Options {
	o := tcb.Options{
		Nagle:         pick(s, tcb.NagleOff, tcb.NagleMinshall, tcb.NagleClassic),
		DelayedACK:    pick(s, 0, 0, -1, 200*time.Millisecond, 500*time.Millisecond),
		ACKEvery:      pick(s, 0, 0, 1, 4),
		InitialWindow: pick(s, 0, 0, 1, 2, 40),
		NoIdleRestart: s.chance(0.2),
		CC:            pick[cc.New](s, nil, cc.NewCubic, cc.NewReno),
		NoSACK:        s.chance(0.25),
		NoTimestamps:  s.chance(0.25),
		NoRACK:        s.chance(0.15),
		NoTLP:         s.chance(0.15),
		NoPRR:         s.chance(0.15),
		NoQuickACK:    s.chance(0.3),
		Pacing:        s.chance(0.15),
		NoHyStart:     s.chance(0.2),
		ECN:           s.chance(0.4),
		NoWindowScale: s.chance(0.25),
		MSS:           pick(s, 0, 0, 0, 100, 536, 1000),
		KeepAlive:     s.chance(0.1),
		MinRTO:        pick(s, 0, 0, time.Second, 50*time.Millisecond),
		MSL:           pick(s, 0, time.Second),
	}
	if o.KeepAlive {
		o.KeepAliveIdle, o.KeepAliveInterval = time.Second, time.Second // a queue may hold answers back for seconds
		o.KeepAliveCount = 10
	}
	if s.chance(0.3) {
		o.RcvBuf = s.randomBuffer()
	}
	if s.chance(0.3) {
		o.SndBuf = s.randomBuffer()
	}
	return o
}

// randomBuffer is often as small as one to three segments (SWS-04).
func (s *Sim) randomBuffer() int {
	return pick(s, 1460, 2000, 2920, 4380, 10_000, 65_535, 300_000)
}

func (s *Sim) randomScript() Script {
	p := Script{
		Write:      s.randomLength(),
		WriteChunk: pick(s, 50, 1000, 16_000, 200_000),
		ReadChunk:  pick(s, 50, 1000, 16_000, 200_000),
		Method:     pick(s, Copied, Shared, Reserved, Mixed, Mixed),
		Peek:       s.chance(0.3),
		Eager:      s.chance(0.3),
		Fiddle:     s.chance(0.1),
	}
	if p.Write > 100_000 {
		p.WriteChunk = max(p.WriteChunk, 1000)
		p.ReadChunk = max(p.ReadChunk, 1000)
	}
	if s.chance(0.3) {
		p.WritePause = pick(s, Millisecond, 100*Millisecond, Second)
	}
	if s.chance(0.3) {
		p.ReadPause = pick(s, Millisecond, 100*Millisecond, Second)
	}
	if s.chance(0.04) {
		// A trickle of crumbs: more segments in flight than a scoreboard has room for.
		p.Write, p.WriteChunk, p.WritePause = 1+s.rng.Int64N(40_000), 8, pick(s, 50*Microsecond, 0)
	}
	switch s.rng.IntN(20) {
	case 0:
		p.ReadDelay = 20 * Minute // a closed window is no reason to give up (MUST-37)
	case 1, 2:
		p.ReadDelay = s.span(10 * Second)
	}
	return p
}

func (s *Sim) randomLength() int64 {
	switch s.rng.IntN(10) {
	case 0:
		return 0
	case 1, 2:
		return 1 + s.rng.Int64N(100)
	case 3, 4, 5, 6:
		return 1 + s.rng.Int64N(30_000)
	case 7, 8:
		return 1 + s.rng.Int64N(120_000)
	}
	return 1 + s.rng.Int64N(400_000)
}
