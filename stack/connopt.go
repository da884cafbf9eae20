package stack

import (
	"net"
	"time"

	"ustack/stack/cc"
	"ustack/stack/tcb"
)

// Options returns the switches of the connection.
func (c *Conn) Options() tcb.Options {
	c.lock()
	defer c.unlock()
	return c.t.Options()
}

// SetOptions changes those switches that may change on a live connection: see tcb.TCB.Set.
func (c *Conn) SetOptions(o tcb.Options) error {
	return c.change(func(now *tcb.Options) { *now = o })
}

func (c *Conn) change(f func(*tcb.Options)) error {
	return c.adjust(func() {
		o := c.t.Options()
		f(&o)
		c.t.Set(c.clock(), &o)
		c.setIP(&o)
	})
}

// adjust calls f with c.mu held and sends what that has let out.
func (c *Conn) adjust(f func()) error {
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	f()
	c.flushSelf()
	return nil
}

// SetController puts the connection under another congestion controller, nil for CUBIC; it goes on from the window that
// the one before had.
func (c *Conn) SetController(make cc.New) error {
	return c.adjust(func() { c.t.SetController(make) })
}

// setIP takes the fields of the IP header. c.mu is held.
func (c *Conn) setIP(o *tcb.Options) { c.tos, c.ttl = o.DSCP<<2, o.TTL }

// SetDSCP sets the differentiated services field of the packets sent from now on, 0 to 63 (RFC 2474).
func (c *Conn) SetDSCP(dscp uint8) error {
	return c.change(func(o *tcb.Options) { o.DSCP = dscp & 63 })
}

// SetTTL sets their time to live, or hop limit; 0: the default, 64.
func (c *Conn) SetTTL(ttl uint8) error { return c.change(func(o *tcb.Options) { o.TTL = ttl }) }

// SetNoDelay(true), the default, sends every write at once; SetNoDelay(false) holds a small
// segment back while another one is unacknowledged (Nagle's algorithm in Minshall's variant).
func (c *Conn) SetNoDelay(noDelay bool) error {
	return c.change(func(o *tcb.Options) {
		o.Nagle = tcb.NagleMinshall
		if noDelay {
			o.Nagle = tcb.NagleOff
		}
	})
}

// SetKeepAlive turns probing of a silent peer on or off. It is off unless asked for (MUST-25).
func (c *Conn) SetKeepAlive(on bool) error {
	return c.change(func(o *tcb.Options) { o.KeepAlive = on })
}

// SetKeepAlivePeriod sets both the silence before the first probe and the time between probes.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.change(func(o *tcb.Options) { o.KeepAliveIdle, o.KeepAliveInterval = d, d })
}

// SetKeepAliveConfig sets all of keep-alive. As package net has it, a negative value leaves a
// setting alone; zero is the stack's default: two hours, 75 seconds, nine probes (MUST-28).
func (c *Conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	return c.change(func(o *tcb.Options) {
		o.KeepAlive = k.Enable
		if k.Idle >= 0 {
			o.KeepAliveIdle = k.Idle
		}
		if k.Interval >= 0 {
			o.KeepAliveInterval = k.Interval
		}
		if k.Count >= 0 {
			o.KeepAliveCount = k.Count
		}
	})
}

// SetReadBuffer fixes the receive queue at n octets; 0 sizes it automatically again.
func (c *Conn) SetReadBuffer(n int) error {
	return c.change(func(o *tcb.Options) { o.RcvBuf = max(n, 0) })
}

// SetWriteBuffer fixes the send queue at n octets; 0 sizes it automatically again.
func (c *Conn) SetWriteBuffer(n int) error {
	return c.change(func(o *tcb.Options) { o.SndBuf = max(n, 0) })
}

// SetLinger says what Close does with data that is not delivered yet. Below 0, the default: it
// is delivered in the background. 0: it is thrown away and the connection reset. Above: it has
// that many seconds, then the connection is reset. Close never waits.
func (c *Conn) SetLinger(seconds int) error {
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.needRare().linger = seconds
	return nil
}

// lingerOn starts the time that SetLinger gave.
func (c *Conn) lingerOn() {
	if c.rare == nil || c.rare.linger <= 0 {
		return
	}
	c.rare.wdeadline = deadline{timer: time.AfterFunc(time.Duration(c.rare.linger)*time.Second, c.kill)}
}
