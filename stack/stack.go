// Package stack is a TCP/IP host: it reads packets from links, demultiplexes them to
// connections and listeners, answers pings and refusals, and offers net.Conn and net.Listener.
// IPv4 and IPv6 are equals. It never forwards a packet.
//
// Everything is safe for concurrent use unless it says otherwise. Nothing in here polls, spins
// or ticks: a stack without traffic costs nothing, and over link.Pair it runs inside a
// testing/synctest bubble.
package stack

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
)

// Config is what a Stack is made with. Links and Addrs are needed, the rest has defaults.
type Config struct {
	// Links are the interfaces, at least one. All carry all addresses (the weak host model of
	// RFC 1122 §3.3.4.2); a connection answers where it was called, and calls on the first.
	// The stack closes them in Close.
	Links []link.Link
	// Addrs are the host's own addresses, each with the length of its subnet's prefix.
	Addrs []netip.Prefix
	// Options are the defaults of every connection.
	Options tcb.Options
	// Rand is the source of secrets [crypto/rand]. Fixed bytes make a run repeatable and
	// its sequence numbers guessable.
	Rand io.Reader
	// Logger gets the life of the stack: as errors, a device that failed and a callback that panicked; as warnings, what runs
	// short: backlogs, accept queues, memory, ports, each at most every ten seconds; as information, the beginning and the end
	// of the stack, of its links and its listeners. Nothing is logged per packet or connection. [none]
	Logger *slog.Logger
	// Tracer is told of every packet and every decision, as it happens, from whatever goroutine it happens on, several at
	// once; the events of a connection come in order. It keeps nothing of an event, calls nothing of the stack and does
	// not block: the connection waits. [none: it costs nothing then]
	Tracer func(*trace.Event)
	// MemoryBudget is what the queues of all connections may hold together, in octets [256 MiB].
	// From three quarters of it windows stop growing; when it is spent, new connections are
	// refused and the rest go on in blocks of 4 KiB.
	MemoryBudget int64
	// Backlog is the default of ListenConfig.Backlog [4096].
	Backlog int
	// EphemeralPorts is the range of ports that Dial chooses from, both ends included
	// [1024–65535] (RFC 6056 §3.2).
	EphemeralPorts [2]uint16
}

const (
	defaultBudget  = 256 << 20
	defaultBacklog = 4096

	minMTU4, minMTU6 = 68, 1280 // V4S-16, V6S-04
)

// Stack is a TCP/IP host.
type Stack struct {
	cfg       Config
	tracer    atomic.Pointer[func(*trace.Event)]
	log       *slog.Logger
	life      life
	start     time.Time
	secret    secrets
	addrs     addresses
	queues    []*queue
	table     table
	timers    timers
	mem       pool
	ports     portCounters
	limits    icmpLimits
	fragments fragments
	paths     paths
	fast      fastServers

	listeners listeners
	orphans   atomic.Int64 // closed by their user, not yet by the peer
	drained   chan struct{}
	drainOnce sync.Once
	draining  atomic.Bool

	closing atomic.Bool
	closed  chan struct{} // Close has done its work
	failed  chan struct{} // a device ended by itself: failure says why
	failOne sync.Once
	failure error
	readers sync.WaitGroup
}

// New makes a stack and starts a reader for each queue of each link. Close ends it.
func New(cfg Config) (*Stack, error) {
	s := &Stack{cfg: cfg}
	if err := s.init(); err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	for _, q := range s.queues {
		s.readers.Go(q.read)
	}
	s.born()
	return s, nil
}

// init prepares everything but the readers.
func (s *Stack) init() error {
	if err := s.cfg.check(); err != nil {
		return err
	}
	s.start = time.Now()
	s.drained, s.closed, s.failed = make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.SetTracer(s.cfg.Tracer)
	s.log = s.cfg.Logger
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.secret.init(s.cfg.Rand); err != nil {
		return fmt.Errorf("reading secrets: %w", err)
	}
	s.addrs.init(s.cfg.Addrs)
	s.table.init(maphash.MakeSeed())
	s.timers.init(s)
	s.mem.init(s.cfg.MemoryBudget)
	s.ports.init(&s.secret)
	s.limits.init()
	s.fragments.init()
	s.listeners.byPort = make(map[uint16][]*Listener)
	for _, l := range s.cfg.Links {
		for _, q := range l.Queues() {
			s.queues = append(s.queues, newQueue(s, l, q))
		}
	}
	return nil
}

// check fills in defaults and refuses what cannot work.
func (cfg *Config) check() error {
	if len(cfg.Links) == 0 {
		return errors.New("no links")
	}
	if len(cfg.Addrs) == 0 {
		return errors.New("no addresses")
	}
	has6 := false
	for _, p := range cfg.Addrs {
		a := ippkt.FromNetip(p.Addr())
		if !p.IsValid() || p.Addr().Zone() != "" || !a.ValidRemote() {
			return fmt.Errorf("address %v cannot be a host's", p)
		}
		has6 = has6 || !a.Is4()
	}
	for _, l := range cfg.Links {
		switch mtu := l.MTU(); {
		case len(l.Queues()) == 0:
			return errors.New("link without queues")
		case mtu < minMTU4:
			return fmt.Errorf("MTU %d is below the %d octets of IPv4", mtu, minMTU4)
		case has6 && mtu < minMTU6:
			return fmt.Errorf("MTU %d is below the %d octets of IPv6", mtu, minMTU6)
		}
	}
	if cfg.Rand == nil {
		cfg.Rand = crand.Reader
	}
	if cfg.MemoryBudget <= 0 {
		cfg.MemoryBudget = defaultBudget
	}
	if cfg.Backlog <= 0 {
		cfg.Backlog = defaultBacklog
	}
	if cfg.EphemeralPorts == [2]uint16{} {
		cfg.EphemeralPorts = [2]uint16{1024, 65535}
	}
	if lo, hi := cfg.EphemeralPorts[0], cfg.EphemeralPorts[1]; lo == 0 || lo > hi {
		return fmt.Errorf("ephemeral ports %d–%d are no range", lo, hi)
	}
	return nil
}

// now is the stack's clock: nanoseconds since it was made, never 0, never going back.
func (s *Stack) now() tcb.Time { return tcb.Time(time.Since(s.start)) + 1 }

// Run blocks until ctx is done or a device fails, then closes the stack. It returns nil in the
// first case. The stack works without it: Run is for programs whose main job the stack is.
func (s *Stack) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return s.Close()
	case <-s.failed:
		s.Close()
		return s.failure
	case <-s.closed:
		return net.ErrClosed
	}
}

// fail records that a device ended by itself.
func (s *Stack) fail(err error) {
	s.failOne.Do(func() {
		s.failure = fmt.Errorf("stack: reading a link: %w", err)
		s.log.Error("link failed", "err", err)
		close(s.failed)
	})
}

// Shutdown ends the stack gracefully: no new connections, and those that their users have
// closed get the time to deliver what is queued and their FIN. Then, or when ctx is done, it
// does as Close. Connections still in use do not hold it up. The error is ctx's.
func (s *Stack) Shutdown(ctx context.Context) error {
	s.closeListeners()
	s.draining.Store(true)
	if s.orphans.Load() == 0 {
		s.drain()
	}
	var err error
	select {
	case <-s.drained:
	case <-s.closed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.Close()
	return err
}

// drain tells Shutdown that nothing is left to deliver.
func (s *Stack) drain() { s.drainOnce.Do(func() { close(s.drained) }) }

// orphanGone is called when a connection without a user has ended.
func (s *Stack) orphanGone() {
	if s.orphans.Add(-1) == 0 && s.draining.Load() {
		s.drain()
	}
}

// Close ends the stack at once: listeners are closed, connections reset, links closed. It
// returns when the readers have ended; callbacks may still be running. A second call waits for
// the first and returns net.ErrClosed.
func (s *Stack) Close() error {
	if s.closing.Swap(true) {
		<-s.closed
		return net.ErrClosed
	}
	s.closeListeners()
	for _, c := range s.Conns() {
		c.kill()
	}
	s.timers.close()
	var err error
	for _, l := range s.cfg.Links {
		if e := l.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	s.readers.Wait()
	for _, c := range s.Conns() { // those that a reader accepted meanwhile
		c.kill()
	}
	for _, q := range s.queues {
		q.workers.close()
	}
	s.ended()
	close(s.closed)
	return err
}

// Conns returns the connections of the moment, closed ones that still deliver data included,
// half-open ones and TIME-WAIT not.
func (s *Stack) Conns() []*Conn { return s.table.allConns() }
