package netsim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"ustack/stack/tcb"
)

// Time is virtual time in nanoseconds.
type Time = tcb.Time

// Units of virtual time.
const (
	Microsecond Time = 1e3
	Millisecond Time = 1e6
	Second      Time = 1e9
	Minute      Time = 60e9
)

// Bounds of a run: whatever goes beyond them never ends.
const (
	maxSteps = 20_000_000
	maxTime  = 48 * 60 * Minute
)

// Sim is a network of hosts in virtual time.
type Sim struct {
	seed   uint64
	rng    *rand.Rand
	now    Time
	agenda agenda
	hosts  []*Host
	conns  []*Conn
	log    journal
	broken *Violation
}

// New makes an empty network. The seed decides everything that is random in it.
func New(seed uint64) *Sim {
	return &Sim{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x75737461636b)), now: Second}
}

// Now returns the virtual time.
func (s *Sim) Now() Time { return s.now }

// Rand returns the simulator's random numbers, for a test that goes on from them.
func (s *Sim) Rand() *rand.Rand { return s.rng }

// Trace writes every event to w as it happens, not only the last ones before a failure.
func (s *Sim) Trace(w io.Writer) { s.log.trace = w }

// Conns returns all connections made so far, in the order they were made.
func (s *Sim) Conns() []*Conn { return s.conns }

// After calls f when d has passed.
func (s *Sim) After(d Time, f func()) { s.agenda.add(s.now+max(d, 0), f) }

// Run lets time pass until nothing is left to happen, and returns the first
// law broken on the way, a *Violation, or nil.
func (s *Sim) Run() error {
	for step := 0; s.broken == nil; step++ {
		at, f := s.agenda.next()
		if f == nil {
			s.atEnd()
			break
		}
		s.now = at
		if step >= maxSteps || at > maxTime {
			s.fail(nil, "every connection ends or times out", "still busy after %d steps:%s", step, s.unfinished())
			break
		}
		f()
	}
	return s.verdict()
}

// RunFor lets d pass, however much is left to happen then, and returns as Run does. What must hold
// at the end of a connection is not asserted unless Run follows.
func (s *Sim) RunFor(d Time) error {
	until := s.now + max(d, 0)
	for s.broken == nil && s.agenda.due(until) {
		at, f := s.agenda.next()
		s.now = at
		f()
	}
	if s.broken == nil {
		s.now = until
	}
	return s.verdict()
}

// verdict is the first broken law as an error.
func (s *Sim) verdict() error {
	if s.broken != nil {
		return s.broken
	}
	return nil
}

// atEnd checks what must hold when nothing can happen any more.
func (s *Sim) atEnd() {
	for _, c := range s.conns {
		c.atEnd()
	}
	for _, h := range s.hosts {
		h.atEnd()
	}
}

// unfinished describes the connections that have not ended.
func (s *Sim) unfinished() string {
	var b strings.Builder
	for _, c := range s.conns {
		if !c.released {
			b.WriteString(" " + c.describe())
		}
	}
	return b.String()
}

// fail records the first broken law; the run ends with it.
func (s *Sim) fail(who fmt.Stringer, law, format string, args ...any) {
	if s.broken != nil {
		return
	}
	v := &Violation{Seed: s.seed, At: s.now, Law: law, Detail: fmt.Sprintf(format, args...), Log: s.log.lines()}
	if who != nil {
		v.Who = who.String()
	}
	s.broken = v
}

// span returns a random time in [0, most].
func (s *Sim) span(most Time) Time {
	if most <= 0 {
		return 0
	}
	return Time(s.rng.Int64N(int64(most) + 1))
}

// chance is true with probability p.
func (s *Sim) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// size returns a random size in [1, most], small ones as often as large ones.
func (s *Sim) size(most int) int {
	if most <= 1 {
		return 1
	}
	switch s.rng.IntN(4) {
	case 0:
		return 1 + s.rng.IntN(min(most, 16))
	case 1:
		return most
	}
	return 1 + s.rng.IntN(most)
}

// Violation is a broken law.
type Violation struct {
	Seed   uint64
	At     Time   // virtual time
	Who    string // the connection or host, if it is one's
	Law    string
	Detail string
	Log    []string // the last events before it
}

func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d at %s: %s breaks %q: %s", v.Seed, clock(v.At), v.Who, v.Law, v.Detail)
	for _, line := range v.Log {
		b.WriteString("\n\t")
		b.WriteString(line)
	}
	return b.String()
}

// clock prints a time in seconds.
func clock(t Time) string { return fmt.Sprintf("%.6f", float64(t)/1e9) }
