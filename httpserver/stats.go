package httpserver

import (
	"slices"
	"sync/atomic"
	"time"
)

// durationBounds are the upper bounds of [Stats.Durations], but for the last one, which has none.
var durationBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Stats are the counters of a server since it was made, and what its connections do at the moment.
type Stats struct {
	// Requests are the requests that are over, refusals included, by the first digit of the status; at 0 those whose handler
	// failed, or hijacked the connection, before it chose one.
	Requests [6]uint64
	// HeadBytes and BodyBytes are those of the answers, as in [Entry].
	HeadBytes, BodyBytes uint64
	// Durations tell how long requests took, from the parsed head to the complete answer, or until they were hijacked. To
	// cost little, the clock is read for the first request of a connection and every sixteenth after it.
	Durations Durations
	// Accepted are the connections so far, Closed those that have ended, by reason.
	Accepted uint64
	Closed   map[CloseReason]uint64
	// Connections are those of the moment, by what they do.
	Connections Connections
}

// Durations are a histogram.
type Durations struct {
	Bounds []time.Duration // upper bounds, rising
	Counts []uint64        // of durations up to that bound and above the one before; the last one, of those above all
	Sum    time.Duration
}

// Connections are counts of connections.
type Connections struct {
	Active    int // being read, served or written to
	Idle      int // waiting for a request
	Partial   int // waiting for the rest of a request's head
	Lingering int // half-closed, waiting for the client's FIN
}

// statCounters are what Stats is made of. Requests are tallied in a turn first.
type statCounters struct {
	requests   [6]atomic.Uint64
	headBytes  atomic.Uint64
	bodyBytes  atomic.Uint64
	durations  [len(durationBounds) + 1]atomic.Uint64
	durationNS atomic.Int64
	closed     [numReasons]atomic.Uint64
}

// A tally counts the answers of a turn. It is added to the server's counters once for all of them.
type tally struct {
	answers   int
	requests  [6]uint64
	headBytes int64
	bodyBytes int64
}

// timedEvery is how many requests of a connection share a look at the clock.
const timedEvery = 16

// timed reports whether x is one of those whose duration is measured.
func (x *exchange) timed() bool { return uint(x.number)%timedEvery == 1 }

// count counts x, whose answer is complete.
func (c *conn) count(x *exchange) {
	t := &c.turn.tally
	t.answers++
	class := uint(x.w.status) / 100
	t.requests[min(class, uint(len(t.requests)-1))]++
	t.headBytes += x.w.headSize
	if !x.w.head {
		t.bodyBytes += x.w.written
	}
	if x.timed() {
		c.srv.stats.took(c.srv.clock() - x.begun)
	}
}

func (s *statCounters) took(d time.Duration) {
	i, _ := slices.BinarySearch(durationBounds[:], d)
	s.durations[i].Add(1)
	s.durationNS.Add(int64(d))
}

// add adds what t holds, and empties it.
func (s *statCounters) add(t *tally) {
	for i, n := range t.requests {
		if n > 0 {
			s.requests[i].Add(n)
		}
	}
	s.headBytes.Add(uint64(t.headBytes))
	if t.bodyBytes > 0 {
		s.bodyBytes.Add(uint64(t.bodyBytes))
	}
	*t = tally{}
}

// closeReasons are all reasons, in the order of their counters.
var closeReasons = [...]CloseReason{
	ReasonNone, ReasonClientClose, ReasonClientFIN, ReasonHandlerClose, ReasonBodyUnread, ReasonMaxRequests, ReasonIdle,
	ReasonCrowded, ReasonShutdown, ReasonServerClosed, ReasonRefused, ReasonPanic, ReasonAbort, ReasonReset,
	ReasonWriteError, ReasonStall, ReasonHijacked,
}

const numReasons = len(closeReasons)

func (s *statCounters) ended(reason CloseReason) {
	s.closed[slices.Index(closeReasons[:], reason)].Add(1)
}

// Stats returns the counters. It looks at each connection: it is for whoever asks now and then.
func (s *Server) Stats() Stats {
	s.once.Do(s.init)
	c := &s.stats
	st := Stats{
		HeadBytes: c.headBytes.Load(), BodyBytes: c.bodyBytes.Load(),
		Durations: Durations{
			Bounds: durationBounds[:], Counts: make([]uint64, len(c.durations)), Sum: time.Duration(c.durationNS.Load()),
		},
		Accepted: s.lastID.Load(), Closed: make(map[CloseReason]uint64),
		Connections: s.connections(),
	}
	for i := range c.requests {
		st.Requests[i] = c.requests[i].Load()
	}
	for i := range c.durations {
		st.Durations.Counts[i] = c.durations[i].Load()
	}
	for i := range c.closed {
		if n := c.closed[i].Load(); n > 0 {
			st.Closed[closeReasons[i]] = n
		}
	}
	return st
}

// connections looks what every connection does.
func (s *Server) connections() (n Connections) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.conns; c != nil; c = c.next {
		c.mu.Lock()
		switch {
		case c.phase == phaseLinger:
			n.Lingering++
		case c.busy:
			n.Active++
		case c.waiting == wakeHead:
			n.Partial++
		default:
			n.Idle++
		}
		c.mu.Unlock()
	}
	return n
}
