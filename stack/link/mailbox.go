package link

import (
	"io"
	"net"
	"sync"
)

// smallBuffer holds any packet of an Ethernet-sized MTU; the rest use a buffer of maxBuffer.
const (
	smallBuffer = 2048
	maxBuffer   = MaxPacket + 64
)

// buffers is a free list of packet buffers in two sizes. Last in, first out keeps the few that
// are in use warm. The owner provides the locking.
type buffers struct {
	small, large [][]byte
}

// take returns a buffer of n octets, n ≤ maxBuffer.
func (p *buffers) take(n int) []byte {
	list, size := &p.small, smallBuffer
	if n > smallBuffer {
		list, size = &p.large, maxBuffer
	}
	if last := len(*list) - 1; last >= 0 {
		b := (*list)[last]
		*list = (*list)[:last]
		return b[:n]
	}
	return make([]byte, n, size)
}

func (p *buffers) give(b []byte) {
	if cap(b) > smallBuffer {
		p.large = append(p.large, b)
	} else {
		p.small = append(p.small, b)
	}
}

// mailbox is a bounded first-in, first-out queue of packets with one reader and many writers.
// Waiting is on a sync.Cond alone, so it is durable in a testing/synctest bubble.
type mailbox struct {
	mu       sync.Mutex
	cond     sync.Cond
	slots    []slot // ring
	head, n  int
	reserved int // slots promised to writers that are copying
	free     buffers
	woken    bool
	closed   bool
	drops    uint64
}

type slot struct {
	Offload
	buf []byte
}

func newMailbox(packets int) *mailbox {
	m := &mailbox{slots: make([]slot, packets)}
	m.cond.L = &m.mu
	return m
}

// push copies one packet of size octets in. It returns false if the queue was full or closed;
// the packet is then counted as dropped.
func (m *mailbox) push(o Offload, size int, hdr []byte, payload *[4][]byte) bool {
	m.mu.Lock()
	if m.closed || m.n+m.reserved == len(m.slots) {
		m.drops++
		m.mu.Unlock()
		return false
	}
	m.reserved++
	b := m.free.take(size)
	m.mu.Unlock()

	gather(b, hdr, payload)

	m.mu.Lock()
	m.reserved--
	i := m.head + m.n
	if i >= len(m.slots) {
		i -= len(m.slots)
	}
	m.slots[i] = slot{o, b}
	m.n++
	m.mu.Unlock()
	m.cond.Signal()
	return true
}

// pop copies the oldest packet into f.
func (m *mailbox) pop(f *Frame) (bool, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return false, net.ErrClosed
	}
	if m.n == 0 {
		m.mu.Unlock()
		return false, nil
	}
	s := m.slots[m.head]
	m.slots[m.head] = slot{}
	if m.head++; m.head == len(m.slots) {
		m.head = 0
	}
	m.n--
	m.mu.Unlock()

	size := copy(f.Buf, s.buf)
	short := size < len(s.buf)
	f.Offload, f.Packet = s.Offload, f.Buf[:size]

	m.mu.Lock()
	m.free.give(s.buf)
	m.mu.Unlock()
	if short {
		return false, io.ErrShortBuffer
	}
	return true, nil
}

// wait blocks until there is a packet, wake was called or the mailbox is closed.
func (m *mailbox) wait() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.n == 0 && !m.woken && !m.closed {
		m.cond.Wait()
	}
	m.woken = false
	if m.closed {
		return net.ErrClosed
	}
	return nil
}

func (m *mailbox) wake() {
	m.mu.Lock()
	m.woken = true
	m.mu.Unlock()
	m.cond.Signal()
}

// close ends the mailbox and forgets what it holds.
func (m *mailbox) close() {
	m.mu.Lock()
	m.closed = true
	m.n = 0
	clear(m.slots)
	m.free = buffers{}
	m.mu.Unlock()
	m.cond.Broadcast()
}

func (m *mailbox) dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drops
}

// gather copies a packet that stands in pieces into b, which has its exact size.
func gather(b, hdr []byte, payload *[4][]byte) {
	n := copy(b, hdr)
	for _, p := range payload {
		n += copy(b[n:], p)
	}
}

// packetLen is the length of a packet that stands in pieces.
func packetLen(hdr []byte, payload *[4][]byte) int {
	n := len(hdr)
	for _, p := range payload {
		n += len(p)
	}
	return n
}
