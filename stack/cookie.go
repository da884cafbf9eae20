package stack

import (
	"encoding/binary"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// SynCookies says when a listener answers a SYN without keeping a record of it: its initial sequence number and its
// timestamp then hold all that the third ACK must bring back (RFC 4987 §3.6).
type SynCookies uint8

const (
	SynCookiesAuto   SynCookies = iota // when the backlog is full
	SynCookiesAlways                   // every time
	SynCookiesOff                      // never: SYNs beyond the backlog are dropped
)

const (
	// A cookie is the low 5 bits of its period, 3 of MSS and 24 that prove it ours.
	cookieTimeBits = 5
	cookieMSSBits  = 3
	cookieMACBits  = 24
	// cookiePeriod is how long a period lasts. A cookie is good in its own and the next.
	cookiePeriod = 64 * second
	// The timestamp has the rest in its low bits: it may be that many milliseconds old.
	stampBits  = 6
	stampScale = 0xf // noScale: no window scale
	stampSACK  = 1 << 4
	stampECN   = 1 << 5
	noScale    = 0xf
)

// cookieMSS are the segment sizes that a cookie can tell: a peer's is rounded down.
var cookieMSS = [1 << cookieMSSBits]uint16{64, 536, 1220, 1300, 1400, 1440, 1460, 8940}

// cookie makes the initial sequence number that answers the SYN with sequence number irs, mss being an index of cookieMSS.
func (k *secrets) cookie(key *flowKey, irs tcpseg.Seq, period uint64, mss uint32) tcpseg.Seq {
	head := uint32(period)<<cookieMSSBits | mss
	return tcpseg.Seq(head<<cookieMACBits | k.cookieMAC(key, irs, period, mss))
}

// cookieMAC covers everything that must not be changed or reused, the period in full: the cookie's few bits of it come
// again after half an hour.
func (k *secrets) cookieMAC(key *flowKey, irs tcpseg.Seq, period uint64, mss uint32) uint32 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], k.cookieKey.flow(key))
	binary.LittleEndian.PutUint64(b[8:], period)
	binary.LittleEndian.PutUint32(b[16:], uint32(irs))
	binary.LittleEndian.PutUint32(b[20:], mss)
	return uint32(k.cookieKey.sum(b[:])) & (1<<cookieMACBits - 1)
}

// openCookie returns the MSS that a cookie tells; 0: it is none of ours, or too old.
func (k *secrets) openCookie(key *flowKey, irs, iss tcpseg.Seq, now tcb.Time) uint16 {
	head := uint32(iss) >> cookieMACBits
	mss := head & (1<<cookieMSSBits - 1)
	period := uint64(now / cookiePeriod)
	age := (uint32(period) - head>>cookieMSSBits) & (1<<cookieTimeBits - 1)
	if age > 1 || uint32(iss)&(1<<cookieMACBits-1) != k.cookieMAC(key, irs, period-uint64(age), mss) {
		return 0
	}
	return cookieMSS[mss]
}

// sendCookie answers a SYN to l with a SYN,ACK and forgets it.
func (q *queue) sendCookie(key *flowKey, now tcb.Time, syn *tcpseg.Segment, l *Listener) {
	c := l.config(q, key.remote)
	peer := syn.Options.MSS
	if peer == 0 {
		peer = uint16(c.DefaultMSS)
	}
	i := len(cookieMSS) - 1
	for i > 0 && cookieMSS[i] > peer {
		i--
	}
	_, offset := q.s.secret.isn(key, now)
	iss := q.s.secret.cookie(key, syn.Seq, uint64(now/cookiePeriod), uint32(i))
	h := tcb.Passive(now, c, syn, iss, offset)
	q.sc.out.Limit = 0
	if h.Output(now, &q.sc.out) {
		o := &q.sc.out
		o.Options.TSVal = stampOptions(o.Options.TSVal, &o.Header, syn.Options.Scale)
		o.Cause = tcb.CauseCookie
		q.drop(countCookiesOut)
		q.reply(q.sc, key, &l.options)
	}
	l.cookieUntil.Store(int64(now + 2*cookiePeriod))
}

// stampOptions writes into the low bits of a timestamp what a SYN,ACK agrees to, and the peer's window scale. It does not
// move the timestamp into the future.
func stampOptions(val uint32, synAck *tcpseg.Header, scale uint8) uint32 {
	bits := uint32(noScale)
	if synAck.Options.HasScale {
		bits = uint32(min(scale, 14))
	}
	if synAck.Options.SACKPermitted {
		bits |= stampSACK
	}
	if synAck.Flags.Has(tcpseg.ECE) {
		bits |= stampECN
	}
	stamped := val&^(1<<stampBits-1) | bits
	if int32(stamped-val) > 0 {
		stamped -= 1 << stampBits
	}
	return stamped
}

// takeCookie takes the ACK of a flow that nobody knows, if it brings a cookie of l's back: it is then a connection.
// False: it does not.
func (q *queue) takeCookie(sh *shard, hash uint32, key *flowKey, now tcb.Time, seg *tcpseg.Segment, l *Listener) bool {
	if now >= tcb.Time(l.cookieUntil.Load()) || // none has been sent lately
		seg.Flags&(tcpseg.ACK|tcpseg.RST|tcpseg.SYN) != tcpseg.ACK {
		return false
	}
	irs, iss := seg.Seq.Add(-1), seg.Ack.Add(-1)
	mss := q.s.secret.openCookie(key, irs, iss, now)
	if mss == 0 {
		q.drop(countCookiesBad)
		return false
	}
	if q.s.mem.spent() {
		q.drop(countMemory)
		return true
	}
	if !l.reserve() { // it comes again with the peer's data
		q.drop(countAcceptQueue)
		return true
	}
	_, offset := q.s.secret.isn(key, now)
	cfg := l.config(q, key.remote)
	h := tcb.Handshake{ISS: iss, IRS: irs, PeerWindow: seg.Window, TSOffset: offset,
		Peer: cookieOptions(seg, mss, cfg)}
	h.TSRecent, h.ECN = seg.Options.TSVal, cfg.ECN && h.Peer.HasTimestamps && seg.Options.TSEcr&stampECN != 0
	sh.mu.Lock()
	if sh.kind(key, hash) != kindNone { // the peer's next segment was quicker
		sh.mu.Unlock()
		l.waiting.Add(-1)
		for !q.dispatch(key, now, seg) {
		}
		return true
	}
	q.drop(countCookiesIn)
	q.open(sh, hash, key, now, seg, l, cfg, &h)
	return true
}

// cookieOptions returns the options of the peer's SYN, as far as a cookie tells: all but the MSS stand in the
// timestamp, and without one there are none.
func cookieOptions(seg *tcpseg.Segment, mss uint16, c *tcb.Config) tcpseg.Options {
	o := tcpseg.Options{MSS: mss}
	if !seg.Options.HasTimestamps || c.NoTimestamps {
		return o
	}
	bits := seg.Options.TSEcr
	o.HasTimestamps, o.TSVal = true, seg.Options.TSVal
	o.SACKPermitted = bits&stampSACK != 0
	if scale := uint8(bits & stampScale); scale != noScale {
		o.HasScale, o.Scale = true, scale
	}
	return o
}
