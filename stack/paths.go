package stack

import (
	"sync"
	"sync/atomic"

	"ustack/ippkt"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

const (
	maxPaths  = 4096
	minPMTU4  = 552 // nothing honest is smaller (PMTU-05)
	leastPMTU = 68  // RFC 1191 §3
)

// paths remembers the destinations whose path takes less than the link (RFC 1191 §5.2, RFC 8201 §5.2).
type paths struct {
	some atomic.Bool // fast: there may be any
	mu   sync.Mutex
	mtu  map[ippkt.Addr]path
}

type path struct {
	mtu   int
	until tcb.Time
}

// lower notes that the path to dst takes no more than mtu octets, and reports whether that was news.
func (p *paths) lower(now tcb.Time, dst ippkt.Addr, mtu int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.mtu[dst]; ok && now < old.until && old.mtu <= mtu {
		return false
	}
	if p.mtu == nil {
		p.mtu = map[ippkt.Addr]path{}
	}
	if len(p.mtu) >= maxPaths {
		p.forget(now)
	}
	p.mtu[dst] = path{mtu, now + tcb.PathLife}
	p.some.Store(true)
	return true
}

// forget makes room: what is old goes, or else anything.
func (p *paths) forget(now tcb.Time) {
	for dst, path := range p.mtu {
		if now >= path.until || len(p.mtu) >= maxPaths {
			delete(p.mtu, dst)
		}
	}
}

// find returns the MTU of the path to dst; 0: nothing is known.
func (p *paths) find(now tcb.Time, dst ippkt.Addr) int {
	if !p.some.Load() {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if path := p.mtu[dst]; now < path.until {
		return path.mtu
	}
	return 0
}

// tooBig takes a router's word that a segment of c was larger than the next hop's MTU. It holds for everything that
// goes to the same destination (PMTU-02).
func (q *queue) tooBig(c *Conn, m *ippkt.ICMP, quote *ippkt.Quote) bool {
	mtu := nextHop(m, quote)
	if mtu == 0 || mtu >= q.link.MTU() || !c.sent(tcpseg.Seq(quote.TCPSeq())) { // PMTU-03, PMTU-04
		return false
	}
	if q.s.paths.lower(q.s.now(), quote.Dst, mtu) {
		for _, other := range q.s.table.allConns() {
			if other.key.remote == quote.Dst {
				other.narrow(q.sc, mtu)
			}
		}
	} else {
		c.narrow(q.sc, mtu)
	}
	return true
}

// nextHop returns the MTU that the message tells; 0: none that is to be believed.
func nextHop(m *ippkt.ICMP, quote *ippkt.Quote) int {
	mtu := m.MTU()
	if m.Version == 6 {
		if mtu < minMTU6 { // RFC 8201 §4
			return 0
		}
		return mtu
	}
	if mtu == 0 {
		mtu = plateau(quote.Length)
	}
	if mtu < leastPMTU {
		return 0
	}
	return max(mtu, minPMTU4)
}

// plateau returns the next smaller of the MTUs that were common when routers did not tell theirs (RFC 1191 §7).
func plateau(length int) int {
	for _, mtu := range [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68} {
		if mtu < length {
			return mtu
		}
	}
	return 0
}

// sent reports whether the segment that begins at seq is in flight.
func (c *Conn) sent(seq tcpseg.Seq) bool {
	c.lock()
	defer c.unlock()
	return !c.dead && c.t.InFlight(seq)
}

// narrow has the connection send no packet larger than mtu.
func (c *Conn) narrow(sc *scratch, mtu int) {
	c.lock()
	defer c.unlock()
	if !c.dead && c.limitMSS(mtu) {
		c.flush(sc)
	}
}

// limitMSS tells the TCB of the path's MTU. c.mu is held.
func (c *Conn) limitMSS(mtu int) bool {
	return c.t.LimitMSS(c.clock(), maxMSS(mtu, c.key.remote.Is4()))
}

// maxMSS is the largest payload of a packet of mtu octets, without options.
func maxMSS(mtu int, is4 bool) int { return mtu - headersLen(is4) }

// headersLen is what the headers take of a packet, without options.
func headersLen(is4 bool) int {
	if is4 {
		return ippkt.IPv4HeaderLen + tcpseg.MinHeaderLen
	}
	return ippkt.IPv6HeaderLen + tcpseg.MinHeaderLen
}
