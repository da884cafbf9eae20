package netsim

import "ustack/stack/tcb"

// poison fills blocks that nobody may look at.
const poison = 0xdb

// blocks lends memory and sees to it that everything comes back, once, and that
// nobody reads it afterwards: a block is poisoned when it returns.
type blocks struct {
	host   *Host
	budget int // octets; beyond it large blocks are refused; 0: none are
	out    int // octets lent
	lent   map[*byte]int
	free   map[int][][]byte
}

func newBlocks(h *Host, budget int) *blocks {
	return &blocks{host: h, budget: budget, lent: map[*byte]int{}, free: map[int][][]byte{}}
}

// Get implements tcb.Blocks.
func (m *blocks) Get(n int) []byte {
	if n != tcb.SmallBlock && n != tcb.LargeBlock {
		m.host.fail("blocks are of two sizes", "Get(%d)", n)
	}
	if n == tcb.LargeBlock && m.budget > 0 && m.out+n > m.budget {
		return nil
	}
	var b []byte
	if free := m.free[n]; len(free) > 0 {
		b, m.free[n] = free[len(free)-1], free[:len(free)-1]
	} else {
		b = make([]byte, n)
		fill(b)
	}
	m.lent[&b[0]] = n
	m.out += n
	return b
}

// Put implements tcb.Blocks.
func (m *blocks) Put(b []byte) {
	b = b[:cap(b)]
	if len(b) == 0 || m.lent[&b[0]] != len(b) {
		m.host.fail("blocks are given back once and whole", "Put of %d octets that are not lent", len(b))
		return
	}
	delete(m.lent, &b[0])
	m.out -= len(b)
	fill(b)
	m.free[len(b)] = append(m.free[len(b)], b)
}

func fill(b []byte) {
	b[0] = poison
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}
