package stack

import (
	"net"
	"sync"
	"time"

	"ustack/stack/tcb"
)

// deadline ends a wait. Setting one costs nothing: the timer is armed by who waits, and when
// the deadline has moved on meanwhile it lets the waiter look and arm it again. The lock of
// its owner guards it.
type deadline struct {
	at    tcb.Time // 0: none
	armed tcb.Time // when timer goes off; 0: it is stopped
	timer *time.Timer
}

// set follows net.Conn: the zero time is none, the past ends every wait at once.
func (d *deadline) set(s *Stack, t time.Time) {
	if t.IsZero() {
		d.at = 0
		return
	}
	d.at = max(s.now()+tcb.Time(min(time.Until(t), maxWait)), 1)
}

const maxWait = 100 * 365 * 24 * time.Hour

func (d *deadline) expired(s *Stack) bool { return d.at != 0 && s.now() >= d.at }

// wait waits on cond until it is signalled or d is over. n counts who waits.
func (d *deadline) wait(s *Stack, cond *sync.Cond, n *int) {
	if d.at != 0 && (d.armed == 0 || d.armed > d.at) {
		d.armed = d.at
		left := time.Duration(d.at - s.now())
		if d.timer == nil {
			d.timer = time.AfterFunc(left, func() {
				cond.L.Lock()
				d.armed = 0
				cond.Broadcast()
				cond.L.Unlock()
			})
		} else {
			d.timer.Reset(left)
		}
	}
	*n++
	cond.Wait()
	*n--
}

func (d *deadline) stop() {
	d.armed = 0
	if d.timer != nil {
		d.timer.Stop()
	}
}

// SetDeadline sets both deadlines, as net.Conn says.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, true, true)
}

// SetReadDeadline sets when Read, WriteTo end with os.ErrDeadlineExceeded; the zero time: never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline sets when Write, ReadFrom and WriteShared end with os.ErrDeadlineExceeded; the zero time: never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, false, true) }

func (c *Conn) setDeadlines(t time.Time, read, write bool) error {
	c.lock()
	defer c.unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	if t.IsZero() && c.rare == nil {
		return nil
	}
	r := c.needRare()
	if read {
		r.rdeadline.set(c.s, t)
	}
	if write {
		r.wdeadline.set(c.s, t)
	}
	c.wakeAll()
	return nil
}
