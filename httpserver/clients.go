package httpserver

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxQueued    = 64          // connections of one client that may wait to be served
	firstRequest = time.Second // how long a new connection's first request may be on its way
)

// clients counts connections by client, for [Server.MaxConnsPerClient].
type clients struct {
	limit int // 0 or less: no count
	mu    sync.Mutex
	all   map[netip.Prefix]*client
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
	}
	if idle := k.longestIdle(c.srv.clock()); idle != nil {
		idle.wake(wakeIdle)
	}
	return placeQueued
}

func (k *client) serve(c *conn) {
	c.counted = true
	k.served = append(k.served, c)
}

// longestIdle returns the served connection that has waited longest for a request; nil if there is none. The first
// request of a new connection is on its way.
func (k *client) longestIdle(now time.Duration) *conn {
	var oldest *conn
	var since time.Duration
	for _, c := range k.served {
		c.mu.Lock()
		if !c.busy && c.waiting == wakeIdle && (oldest == nil || c.waitStart < since) && (c.requests > 0 || now-c.waitStart > firstRequest) {
			oldest, since = c, c.waitStart
		}
		c.mu.Unlock()
	}
	return oldest
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
	x := &exchange{c: c, number: c.requests}
	c.refuse(x, refuse(http.StatusServiceUnavailable, "too many connections from your address"))
	c.start()
}
