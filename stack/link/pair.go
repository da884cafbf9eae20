package link

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
)

// Errors of a Write that breaks the contract of its link. The packet is lost and counted in
// Stats.WriteErrors.
var (
	// ErrPacketSize: the packet is empty, larger than the MTU, or larger than a frame.
	ErrPacketSize = errors.New("link: packet size out of range")
	// ErrOffload: unfinished work on a link that finishes none, or an Offload that contradicts
	// its packet.
	ErrOffload = errors.New("link: offload refused")
)

// PairConfig says what the two ends of a Pair can do. The zero value is a link of 1500 octets
// without offloads, one queue of 1024 packets each way.
type PairConfig struct {
	MTU      int  // octets, 68–65535; 0 means 1500
	GSO      bool // super-segments and unfinished checksums may be written
	QueueLen int  // packets that wait at each reader, per queue; 0 means 1024. What comes on top is dropped.
	Queues   int  // per end; 0 means 1. Both directions of a flow use the queue of the same index.
}

// Memory is one end of a Pair. All methods may be called at any time from any goroutine.
type Memory struct {
	config PairConfig
	gso    *atomic.Bool // shared by both ends
	queues []Queue
	ends   []*memQueue // the same queues
}

// Pair returns the two ends of a link in memory: what is written to one can be read from the
// other. Packets are copied; full queues drop and count. Waiting works in testing/synctest.
// It panics if a value of c is out of range.
func Pair(c PairConfig) (*Memory, *Memory) {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.QueueLen == 0 {
		c.QueueLen = 1024
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	if c.MTU < 68 || c.MTU > 65535 || c.QueueLen < 1 || c.Queues < 1 {
		panic(fmt.Sprintf("link: bad PairConfig %+v", c))
	}
	gso := new(atomic.Bool)
	gso.Store(c.GSO)
	a, b := newMemory(c, gso), newMemory(c, gso)
	for i := range c.Queues {
		a.ends[i].peer, b.ends[i].peer = b, a
	}
	return a, b
}

func newMemory(c PairConfig, gso *atomic.Bool) *Memory {
	m := &Memory{config: c, gso: gso}
	for range c.Queues {
		q := &memQueue{link: m, inbox: newMailbox(c.QueueLen)}
		m.ends = append(m.ends, q)
		m.queues = append(m.queues, q)
	}
	return m
}

// Queues returns the queues of this end.
func (m *Memory) Queues() []Queue { return m.queues }

// MTU is the largest packet, or segment of a super-segment, in octets.
func (m *Memory) MTU() int { return m.config.MTU }

// GSO reports whether super-segments may be written now.
func (m *Memory) GSO() bool { return m.gso.Load() }

// SetGSO switches super-segments off or on again for both ends; a pair made without GSO stays
// without. What stands in the queues already is not changed.
func (m *Memory) SetGSO(on bool) error {
	if on && !m.config.GSO {
		return ErrOffload
	}
	m.gso.Store(on)
	return nil
}

// Stats returns the counters of this end; QueueDrops are packets that its own reader was too
// slow for.
func (m *Memory) Stats() Stats {
	var s Stats
	for _, q := range m.ends {
		q.counters.addTo(&s)
		s.QueueDrops += q.inbox.dropped()
	}
	return s
}

// Close closes this end. What the other end writes from now on is lost.
func (m *Memory) Close() error {
	for _, q := range m.ends {
		q.Close()
	}
	return nil
}

// memQueue is one queue of a Memory.
type memQueue struct {
	link     *Memory
	peer     *Memory
	inbox    *mailbox
	closed   atomic.Bool
	counters counters
}

func (q *memQueue) Read(f *Frame) (bool, error) {
	ok, err := q.inbox.pop(f)
	if ok {
		q.counters.read(len(f.Packet))
	}
	return ok, err
}

func (q *memQueue) Wait() error { return q.inbox.wait() }
func (q *memQueue) Wake()       { q.inbox.wake() }

func (q *memQueue) Write(o Offload, hdr []byte, payload [4][]byte) error {
	if q.closed.Load() {
		return net.ErrClosed
	}
	size := packetLen(hdr, &payload)
	if err := q.link.config.check(&o, size); err != nil {
		q.counters.writeErrors.Add(1)
		return err
	}
	q.counters.wrote(size)
	to := q.peer.ends[0]
	if n := len(q.peer.ends); n > 1 {
		to = q.peer.ends[flowHash(hdr)%uint32(n)]
	}
	to.inbox.push(o, size, hdr, &payload)
	return nil
}

func (q *memQueue) Close() error {
	q.closed.Store(true)
	q.inbox.close()
	return nil
}

// check holds a write against what the link can carry: a super-segment may exceed the MTU, its
// segments may not.
func (c *PairConfig) check(o *Offload, size int) error {
	switch {
	case size == 0 || size > MaxPacket:
		return ErrPacketSize
	case !c.GSO && (o.GSO != GSONone || o.NeedsCsum):
		return ErrOffload
	case o.NeedsCsum && int(o.CsumStart)+int(o.CsumOffset)+2 > size:
		return ErrOffload
	case o.GSO == GSONone && size > c.MTU:
		return ErrPacketSize
	case o.GSO != GSONone && (o.GSOSize == 0 || !o.NeedsCsum || int(o.HdrLen) > size):
		return ErrOffload
	case o.GSO != GSONone && int(o.HdrLen)+int(o.GSOSize) > c.MTU:
		return ErrPacketSize
	}
	return nil
}

// counters of one queue; Stats of a link is the sum over its queues.
type counters struct {
	rxPackets, rxBytes atomic.Uint64
	txPackets, txBytes atomic.Uint64
	writeErrors        atomic.Uint64
}

func (c *counters) read(n int)  { c.rxPackets.Add(1); c.rxBytes.Add(uint64(n)) }
func (c *counters) wrote(n int) { c.txPackets.Add(1); c.txBytes.Add(uint64(n)) }

func (c *counters) addTo(s *Stats) {
	s.RxPackets += c.rxPackets.Load()
	s.RxBytes += c.rxBytes.Load()
	s.TxPackets += c.txPackets.Load()
	s.TxBytes += c.txBytes.Load()
	s.WriteErrors += c.writeErrors.Load()
}
