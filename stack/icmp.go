package stack

import (
	"hash/maphash"
	"sync"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
)

// Limits of what we send unasked, a second (spec §19). The budget of errors varies from second
// to second and each destination has its own small one: a fixed global budget would tell an
// attacker how much of it others have used (I4-15).
const (
	echoRate      = 1000
	errorRate     = 1000
	errorRateEach = 10
	errorCells    = 256 // destinations share these by a keyed hash
)

// icmpLimits are the token buckets.
type icmpLimits struct {
	mu     sync.Mutex
	seed   maphash.Seed
	echo   bucket
	errors bucket
	each   [errorCells]bucket
}

// bucket counts what was sent in the current second.
type bucket struct {
	second tcb.Time
	used   int
	limit  int
}

func (l *icmpLimits) init() { l.seed = maphash.MakeSeed() }

const second = tcb.Time(1e9)

// take reports whether one more may be sent now. jitter takes up to a quarter off the rate.
func (b *bucket) take(now tcb.Time, rate int, jitter uint64) bool {
	if s := now/second + 1; s != b.second {
		b.second, b.used, b.limit = s, 0, rate-int(jitter%uint64(rate/4+1))
	}
	if b.used >= b.limit {
		return false
	}
	b.used++
	return true
}

func (l *icmpLimits) allowEcho(now tcb.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.echo.take(now, echoRate, 0)
}

func (l *icmpLimits) allowError(now tcb.Time, to ippkt.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	jitter := maphash.Comparable(l.seed, now/second)
	cell := &l.each[maphash.Comparable(l.seed, to)%errorCells]
	return cell.take(now, errorRateEach, 0) && l.errors.take(now, errorRate, jitter)
}

// allNodes is ff02::1, the one group that every node is in.
var allNodes = ippkt.Addr{0: 0xff, 1: 2, 15: 1}

// mayAnswer reports whether a packet that Parse refused was meant for us.
func (q *queue) mayAnswer(p *ippkt.Packet) bool {
	a := &q.s.addrs
	return !a.isOwn(p.Src) && (a.isOwn(p.Dst) || p.Problem.Multicast && p.Dst == allNodes)
}

// sendError sends ICMP error e about p, which was read as packet, unless the rules (I4-13,
// I6-06) or the limits (I4-15, I6-07) forbid it.
func (q *queue) sendError(e ippkt.ICMPError, p *ippkt.Packet, packet []byte) {
	if !e.Allowed(p) || q.s.addrs.isBroadcast(p.Src) {
		q.drop(countICMPForbidden)
		return
	}
	if !q.s.limits.allowError(q.s.now(), p.Src) {
		q.drop(countICMPLimited)
		return
	}
	from := p.Dst
	if !q.s.addrs.isOwn(from) {
		from, _ = q.s.addrs.source(p.Src)
	}
	q.drop(countICMPErrors)
	h := ippkt.Header{Src: from, Dst: p.Src, TTL: ippkt.DefaultTTL, DontFragment: true}
	q.writePacket(func(b []byte) []byte { return ippkt.AppendError(b, &h, e, packet) })
}

// packets are buffers for whole packets that are not TCP.
var packets = sync.Pool{New: func() any { return new([]byte) }}

func (q *queue) writePacket(build func([]byte) []byte) {
	buf := packets.Get().(*[]byte)
	*buf = build((*buf)[:0])
	q.writePlain(*buf)
	if cap(*buf) <= 4096 {
		packets.Put(buf)
	}
}

// deliverUDP refuses a datagram: there are no UDP sockets.
func (q *queue) deliverUDP(f *link.Frame, p *ippkt.Packet, verified bool) {
	if _, r := ippkt.ParseUDP(p, verified); r != ippkt.ReasonNone {
		q.dropIP(r)
		return
	}
	q.drop(countUDPNoPort)
	q.sendError(ippkt.PortUnreachable(p.Version), p, f.Packet)
}

func (q *queue) deliverICMP(f *link.Frame, p *ippkt.Packet, now tcb.Time, verified bool) {
	m, r := ippkt.ParseICMP(p, verified)
	switch {
	case r != ippkt.ReasonNone:
		q.dropIP(r)
	case m.Kind == ippkt.KindEcho:
		q.echo(p, &m, now)
	case m.Kind.IsError() && m.Kind != ippkt.KindRedirect && m.Kind != ippkt.KindSourceQuench:
		q.notice(&m)
	default:
		q.drop(countICMPOther) // I4-02, I4-19 to I4-21, I6-02, P2P-02
	}
}

// echo answers a ping from the address it was sent to (I4-03, I4-04, I6-08). A reply larger than
// the link takes goes out in fragments (I4-06).
func (q *queue) echo(p *ippkt.Packet, m *ippkt.ICMP, now tcb.Time) {
	if m.Code != 0 {
		q.drop(countICMPOther)
		return
	}
	if !q.s.limits.allowEcho(now) {
		q.drop(countEchoLimited)
		return
	}
	h := ippkt.Header{Src: p.Dst, Dst: p.Src, TTL: ippkt.DefaultTTL, DontFragment: true}
	q.drop(countEcho)
	build := func(b []byte) []byte { return ippkt.AppendEchoReply(b, &h, m) }
	if h.Len()+ippkt.ICMPHeaderLen+len(m.Body) > q.link.MTU() {
		h.DontFragment, h.Proto = false, p.Proto
		q.writeFragments(&h, build)
		return
	}
	q.writePacket(build)
}
