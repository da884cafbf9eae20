package httpserver

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxQueued is how many connections of one client may wait to be served.
const maxQueued = 64

// How long a request may be on its way to an idle connection: the first, and one of those that follow.
const (
	firstRequest = time.Second
	nextRequest  = 100 * time.Millisecond
)

// clients counts connections by client, for [Server.MaxConnsPerClient].
type clients struct {
	limit int // 0 or less: no count
	clock func() time.Duration

	mu      sync.Mutex
	all     map[netip.Prefix]*client
	waiting int  // in all queues
	timed   bool // makeRoom is to be called
}

// A client is an IPv4 address or, since a host may take any address of it, an IPv6 /64.
type client struct {
	served   []*conn
	queue    []*conn
	yielding int // of served: those that end because others wait
}

// A place is what a new connection gets.
type place int

const (
	placeServed place = iota
	placeQueued       // it is started when it is served, or turned away
	placeNone
)

// enter finds a place for c.
func (s *clients) enter(c *conn) place {
	if s.limit <= 0 {
		return placeServed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := clientOf(c.nc)
	k := s.all[key]
	if k == nil {
		k = new(client)
		s.all[key] = k
	}
	switch srv := c.srv; {
	case len(k.served) < s.limit:
		k.serve(c)
		return placeServed
	case len(k.queue) >= maxQueued || srv.closing.Load():
		return placeNone
	default:
		k.queue = append(k.queue, c)
		srv.queued.push(&c.node, srv.clock())
		s.waiting++
		s.makeRoomLocked(k)
		return placeQueued
	}
}

// makeRoom looks for connections that have become idle.
func (s *clients) makeRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timed = false
	for _, k := range s.all {
		s.makeRoomLocked(k)
	}
}

// makeRoomLocked ends an idle connection of k if another waits for its place, and looks again later while anybody waits.
func (s *clients) makeRoomLocked(k *client) {
	if len(k.queue) > k.yielding {
		if idle := k.longestIdle(s.clock()); idle != nil {
			idle.wake(wakeCrowd)
		}
	}
	if s.waiting > 0 && !s.timed {
		s.timed = true
		time.AfterFunc(nextRequest, s.makeRoom)
	}
}

func (k *client) serve(c *conn) {
	c.counted = true
	k.served = append(k.served, c)
}

// longestIdle returns the served connection that has waited longest for a request; nil if there is none that has waited
// so long that no request is on its way.
func (k *client) longestIdle(now time.Duration) *conn {
	var oldest *conn
	var since time.Duration
	for _, c := range k.served {
		c.mu.Lock()
		if !c.busy && c.waiting == wakeIdle && now-c.waitStart >= c.grace() && (oldest == nil || c.waitStart < since) {
			oldest, since = c, c.waitStart
		}
		c.mu.Unlock()
	}
	return oldest
}

func (c *conn) grace() time.Duration {
	if c.requests == 0 {
		return firstRequest
	}
	return nextRequest
}

// yield reports whether c is to end because another connection of its client waits for its place. Once it does, c has
// to end. The caller owns c.
func (s *clients) yield(c *conn) bool {
	if c.yielding || !c.counted {
		return c.yielding
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.all[clientOf(c.nc)]; len(k.queue) > k.yielding {
		k.yielding++
		c.yielding = true
	}
	return c.yielding
}

// leave gives c's place to the next. The caller owns c.
func (s *clients) leave(c *conn) {
	if !c.counted {
		return
	}
	c.counted = false
	s.mu.Lock()
	defer s.mu.Unlock()
	key := clientOf(c.nc)
	k := s.all[key]
	i := slices.Index(k.served, c)
	k.served = slices.Delete(k.served, i, i+1)
	if c.yielding {
		c.yielding = false
		k.yielding--
	}
	if len(k.queue) > 0 {
		next := k.queue[0]
		k.queue = slices.Delete(k.queue, 0, 1)
		s.waiting--
		k.serve(next)
		next.srv.queued.forget(&next.node)
		go next.start()
	}
	if len(k.served) == 0 {
		delete(s.all, key)
	}
}

// dequeue takes c out of its client's queue and reports whether it was there.
func (s *clients) dequeue(c *conn) bool {
	if s.limit <= 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.all[clientOf(c.nc)]
	if k == nil {
		return false
	}
	i := slices.Index(k.queue, c)
	if i >= 0 {
		k.queue = slices.Delete(k.queue, i, i+1)
		s.waiting--
	}
	return i >= 0
}

func clientOf(nc net.Conn) netip.Prefix {
	var a netip.Addr
	if p, ok := nc.(addrPorter); ok {
		a = p.RemoteAddrPort().Addr()
	} else if t, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		a = t.AddrPort().Addr()
	}
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // of an address that is none: the zero Prefix, a client like any other
	return p
}

// dismiss turns c away if it waits to be served.
func (c *conn) dismiss() {
	if c.srv.clients.dequeue(c) {
		go c.turnAway()
	}
}

// turnAway refuses to serve c, which has not been.
func (c *conn) turnAway() {
	c.beginTurn()
	c.requests++
	x := &exchange{c: c, number: c.requests, place: 1}
	c.noteRequest(x, 0)
	c.refuse(x, refuse(http.StatusServiceUnavailable, "too many connections from your address"))
	c.start()
}
