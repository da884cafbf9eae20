package stack

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"net"
	"sync"

	"ustack/ippkt"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// TCP Fast Open (RFC 7413): a client that has been here before sends data with its SYN, and a cookie that shows that its
// address is its own.

const (
	// fastCookiePeriod is how long a period lasts. A cookie is good in its own and the next.
	fastCookiePeriod = 3600 * second
	fastCookieLen    = 8
	// fastOpenRefused is how long a server is asked for nothing whose path has swallowed a SYN with the option.
	fastOpenRefused = 3600 * second
	maxFastServers  = 4096
)

// fastCookie makes the cookie of a client for a period (§4.1.2).
func (k *secrets) fastCookie(client ippkt.Addr, period uint64) tcpseg.FastOpen {
	var b [24]byte
	copy(b[:], client[:])
	binary.LittleEndian.PutUint64(b[16:], period)
	return tcpseg.NewFastOpen(binary.BigEndian.AppendUint64(b[:0], k.fastKey.sum(b[:])))
}

// freshCookie is the cookie to give to a client now.
func (k *secrets) freshCookie(client ippkt.Addr, now tcb.Time) tcpseg.FastOpen {
	return k.fastCookie(client, uint64(now/fastCookiePeriod))
}

// checkFastCookie reports whether f is a cookie of the client that is still good, and whether it is of this period.
func (k *secrets) checkFastCookie(client ippkt.Addr, now tcb.Time, f *tcpseg.FastOpen) (good, fresh bool) {
	period := uint64(now / fastCookiePeriod)
	for age := range min(period+1, 2) {
		c := k.fastCookie(client, period-age)
		if subtle.ConstantTimeCompare(f.Cookie(), c.Cookie()) == 1 {
			return true, age == 0
		}
	}
	return false, false
}

// openFast makes a connection of a SYN that brings a good cookie and data. False: it is a SYN like others.
func (q *queue) openFast(sh *shard, hash uint32, key *flowKey, now tcb.Time, seg *tcpseg.Segment, l *Listener) bool {
	f := &seg.Options.FastOpen
	if l.fastOpen == 0 || f.Len == 0 || len(seg.Payload) == 0 {
		return false
	}
	good, fresh := q.s.secret.checkFastCookie(key.remote, now, f)
	switch {
	case !good:
		q.drop(countFastOpenBad)
		return false
	case !l.reserveFast():
		q.drop(countFastOpenFull)
		return false
	}
	sh.mu.Lock()
	if sh.kind(key, hash) != kindNone {
		sh.mu.Unlock()
		l.fastPending.Add(-1)
		l.waiting.Add(-1)
		return false
	}
	cfg := l.config(q, key.remote)
	iss, offset := q.s.secret.isn(key, now)
	record := tcb.Passive(now, cfg, seg, iss, offset)
	h := record.Handshake()
	if !fresh {
		h.FastOpen = q.s.secret.freshCookie(key.remote, now)
	}
	c := q.s.newConn(q, key)
	c.lock() // nobody else knows c yet: no order is broken
	c.mem.input = true
	news := c.t.AcceptFast(c.at(now), cfg, &c.mem, &h, seg)
	c.mem.input = false
	c.needRare().fastOf = l
	q.enter(sh, hash, c, cfg)
	q.drop(countFastOpen)
	q.took(c, tcb.Result{Events: news})
	c.unlock()
	l.add(q.sc, c)
	return true
}

// reserveFast takes a place among the connections whose client has not proved to be there (7413-06), and one in the accept
// queue; false: one of them is full.
func (l *Listener) reserveFast() bool {
	if l.fastPending.Add(1) <= l.fastOpen && l.reserve() {
		return true
	}
	l.fastPending.Add(-1)
	return false
}

// proved gives back the place that reserveFast took, once the handshake is complete or the connection has ended. c.mu is held.
func (c *Conn) proved() {
	if c.rare != nil && c.rare.fastOf != nil {
		c.rare.fastOf.fastPending.Add(-1)
		c.rare.fastOf = nil
	}
}

// fastServers remembers what servers have said (§4.1.3).
type fastServers struct {
	mu sync.Mutex
	by map[ippkt.Addr]fastServer
}

type fastServer struct {
	cookie  tcpseg.FastOpen
	mss     int
	refused tcb.Time // until then it is not asked; 0: it may be
}

// find returns the option for a SYN to dst, and the largest segment that it takes.
func (fs *fastServers) find(now tcb.Time, dst ippkt.Addr) (tcpseg.FastOpen, int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	s, ok := fs.by[dst]
	switch {
	case !ok:
		return tcpseg.NewFastOpen(nil), 0
	case now < s.refused:
		return tcpseg.FastOpen{}, 0
	}
	return s.cookie, s.mss
}

// learn notes what is known of dst from now on.
func (fs *fastServers) learn(dst ippkt.Addr, s fastServer) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.by == nil {
		fs.by = map[ippkt.Addr]fastServer{}
	}
	if _, known := fs.by[dst]; !known && len(fs.by) >= maxFastServers {
		for old := range fs.by { // any of them
			delete(fs.by, old)
			break
		}
	}
	fs.by[dst] = s
}

// learnFast takes what the SYN,ACK to a SYN with the option says. c.mu is held.
func (c *Conn) learnFast(synAck *tcpseg.Segment) {
	c.rare.fastDial = false
	f := synAck.Options.FastOpen
	switch {
	case c.t.SynTimeouts() > 0:
		c.s.fast.learn(c.key.remote, fastServer{cookie: tcpseg.NewFastOpen(nil), refused: c.last + fastOpenRefused})
	case f.Len > 0:
		c.s.fast.learn(c.key.remote, fastServer{cookie: f, mss: int(synAck.Options.MSS)})
	}
}

// DialData connects to address as DialContext does, and sends data. If the server has given us a cookie before, the first
// of it rides on the SYN and saves a round trip (RFC 7413); if not, we ask for one. A server may get that data twice: it
// must be of a kind that does no harm then, as a GET. What does not fit is written before DialData returns.
func (d *Dialer) DialData(ctx context.Context, network, address string, data []byte) (net.Conn, error) {
	return d.dialContext(ctx, network, address, data)
}

// dialFast is dial with data for the SYN.
func (d *Dialer) dialFast(ctx context.Context, q *queue, key *flowKey, cfg *tcb.Config, data []byte) (*Conn, error) {
	var info tcb.DialInfo
	info.FastOpen, info.PeerMSS = d.Stack.fast.find(d.Stack.now(), key.remote)
	c, err := d.Stack.open(q, key, cfg, &info)
	if err != nil {
		return nil, err
	}
	c.lock()
	n := c.t.Write(c.clock(), data) // before the SYN goes
	c.needRare().fastDial = info.FastOpen.Present
	c.unlock()
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if _, err := c.Write(data[n:]); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
