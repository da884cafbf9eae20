package stack

import (
	"errors"
	"fmt"
	"syscall"

	"ustack/ippkt"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// notice acts on a received ICMP error (spec §7). It is believed only if it quotes a segment that
// is in flight on a connection.
func (q *queue) notice(m *ippkt.ICMP) {
	quote, r := ippkt.ParseQuote(m)
	if r != ippkt.ReasonNone {
		q.dropIP(r)
		return
	}
	if quote.Proto != ippkt.ProtoTCP || !q.s.addrs.isOwn(quote.Src) {
		q.drop(countICMPNoFlow)
		return
	}
	key := flowKey{local: quote.Src, remote: quote.Dst, lport: quote.SrcPort(), rport: quote.DstPort()}
	c := q.s.table.conn(&key)
	if c == nil {
		q.drop(countICMPNoFlow)
		return
	}
	var believed bool
	if m.Kind == ippkt.KindTooBig {
		believed = q.tooBig(c, m, &quote)
	} else {
		believed = c.notice(q.sc, m, tcpseg.Seq(quote.TCPSeq()))
	}
	if believed {
		q.drop(countICMPNotice)
	} else {
		q.drop(countICMPStale)
	}
}

// notice takes an ICMP error about the segment that begins at seq; false: none such is in flight.
// A hard error ends a connection attempt. Everything else is remembered for the user (MUST-47),
// because a forged message must not end a connection that works (RFC 5927 §5.2).
func (c *Conn) notice(sc *scratch, m *ippkt.ICMP, seq tcpseg.Seq) bool {
	c.lock()
	defer c.unlock()
	if c.dead || !c.t.InFlight(seq) {
		return false
	}
	err, hard := icmpError(m)
	if state := c.t.State(); hard && !c.opened && (state == tcb.SynSent || state == tcb.SynReceived) {
		c.abort(sc, err)
	} else if err != nil {
		c.needRare().soft = err
		c.tellSoft()
	}
	return true
}

// icmpError gives a message its errno; nil for those that say nothing about the connection. Hard
// means that trying on is pointless.
func icmpError(m *ippkt.ICMP) (err error, hard bool) {
	no := syscall.EHOSTUNREACH
	switch m.Kind {
	case ippkt.KindUnreachable:
		switch v := m.Version; {
		case m.Code == 0:
			no = syscall.ENETUNREACH
		case v == 4 && (m.Code == ippkt.ICMP4CodeProtocol || m.Code == ippkt.ICMP4CodePort),
			v == 6 && m.Code == ippkt.ICMP6CodePort:
			no, hard = syscall.ECONNREFUSED, true
		case v == 6 && m.Code == icmp6Prohibited:
			hard = true
		}
	case ippkt.KindTimeExceeded:
	case ippkt.KindParamProblem:
		no = syscall.EPROTO
	default:
		return nil, false
	}
	return fmt.Errorf("ICMP type %d code %d: %w", m.Type, m.Code, no), hard
}

const icmp6Prohibited = 1 // code of Unreachable: administratively prohibited

// SoftErrorNotify returns a channel that gets a value whenever Info has a new SoftError, or tells that the connection has
// stalled (MUST-47, SHLD-9). News that nobody has taken yet become one.
func (c *Conn) SoftErrorNotify() <-chan struct{} {
	c.lock()
	defer c.unlock()
	r := c.needRare()
	if r.softNews == nil {
		r.softNews = make(chan struct{}, 1)
	}
	return r.softNews
}

// tellSoft passes the news on. c.mu is held.
func (c *Conn) tellSoft() { signal(c.rare.softNews) }

// signal puts a value into a channel of one, unless one is there; nil: nobody listens.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// softError is a connection that timed out after the network had said why it might.
type softError struct{ icmp error }

func (e *softError) Error() string   { return "connection timed out (" + e.icmp.Error() + ")" }
func (e *softError) Timeout() bool   { return true }
func (e *softError) Unwrap() []error { return []error{syscall.ETIMEDOUT, e.icmp} }

// explain adds to a time-out what ICMP has said (spec §7).
func (c *Conn) explain(err error) error {
	if soft := c.softError(); soft != nil && errors.Is(err, tcb.ErrTimeout) {
		return &softError{soft}
	}
	return err
}
