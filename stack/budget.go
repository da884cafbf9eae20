package stack

import (
	"math"
	"sync"
	"sync/atomic"

	"ustack/stack/tcb"
)

// pool has the blocks of all queues and keeps count of them.
type pool struct {
	budget int64
	used   atomic.Int64
	conns  atomic.Int64 // that share the budget
	small  sync.Pool
	large  sync.Pool
}

func (p *pool) init(budget int64) { p.budget = budget }

// take lends a block of n octets, whatever has been lent already.
func (p *pool) take(n int) []byte {
	p.used.Add(int64(n))
	if n == tcb.SmallBlock {
		if b, ok := p.small.Get().(*[tcb.SmallBlock]byte); ok {
			return b[:]
		}
	} else if b, ok := p.large.Get().(*[tcb.LargeBlock]byte); ok {
		return b[:]
	}
	return make([]byte, n)
}

func (p *pool) give(b []byte) {
	p.used.Add(-int64(len(b)))
	if len(b) == tcb.SmallBlock {
		p.small.Put((*[tcb.SmallBlock]byte)(b))
	} else {
		p.large.Put((*[tcb.LargeBlock]byte)(b))
	}
}

// lender is the pool as one connection sees it: tcb.Blocks.
type lender struct {
	p     *pool
	held  int
	input bool // asked from within Input: the block is for what has arrived
	slow  bool // and more has arrived before than the reader has read
}

// lentAlways is what a slow reader may hold of what has arrived when the budget is spent, in octets.
const lentAlways = 4 * tcb.SmallBlock

// Get lends a block. When memory is short, a connection gets large ones within its share only, so
// that it does not hold more than it fills. When the budget is spent there are none, and for what
// arrives no small ones either on a connection that has its share, or little if its reader is slow:
// data beyond a hole gives way (RFC 2018 §8), and what finds no room the peer sends again.
func (l *lender) Get(n int) []byte {
	switch {
	case n == tcb.LargeBlock:
		if l.p.level() > 0 && (l.p.spent() || l.held+n > 2*l.p.share()) {
			return nil
		}
	case l.input && l.p.spent() && (l.slow && l.held >= lentAlways || l.held >= max(lentAlways, l.p.share())):
		return nil
	}
	l.held += n
	return l.p.take(n)
}

// Put takes a block back.
func (l *lender) Put(b []byte) {
	b = b[:cap(b)]
	l.held -= len(b)
	l.p.give(b)
}

// spent reports whether new connections must be refused.
func (p *pool) spent() bool { return p.used.Load() >= p.budget }

// level is how short memory is: 0 while less than three quarters of the budget are used.
func (p *pool) level() int32 {
	if p.used.Load() >= p.budget/4*3 {
		return 1
	}
	return 0
}

// share is what each of the two queues of a connection may hold when memory is short, in octets.
// Together the shares are three quarters of the budget: connections that keep to them end the
// shortage.
func (p *pool) share() int {
	return int(min(max(p.budget/8*3/max(p.conns.Load(), 1), 2*tcb.SmallBlock), math.MaxInt32))
}

// heedMemory tells the TCB when memory gets short, and when that is over. c.mu is held.
func (c *Conn) heedMemory() {
	level := c.s.mem.level()
	if level == c.level {
		return
	}
	c.level = level
	if level == 0 {
		c.t.SetBudget(math.MaxInt32, math.MaxInt32)
		return
	}
	share := c.s.mem.share()
	c.t.SetBudget(share, share)
}
