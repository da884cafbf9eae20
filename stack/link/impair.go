package link

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// inboxLen is how many packets wait for the reader of an impaired queue.
const inboxLen = 10_000

// Impaired is a link with faults; see Impair. Its methods may be called from any goroutine.
type Impaired struct {
	inner   Link
	in, out *pipe // nil: that direction passes through
	queues  []Queue
	ends    []*impairedQueue
	workers sync.WaitGroup
	once    sync.Once
}

// Impair returns a link that does to packets what s says and is l otherwise. The faults are the
// same for the same seed, packets and times. A packet that is neither delayed nor held passes at
// once; the others leave from a timer. It works in testing/synctest.
//
// Faults are about packets as they are on a wire: GSO reports false, and if l, or what it wraps,
// has a method SetGSO(bool) error, super-segments are switched off in both directions. Impair
// takes l over: Close closes it.
func Impair(l Link, s Spec) *Impaired {
	m := &Impaired{inner: l}
	disableGSO(l)
	if !s.Out.IsZero() {
		m.out = newPipe(s.Out, s.Seed, 0, m.deliverOut)
	}
	if !s.In.IsZero() {
		m.in = newPipe(s.In, s.Seed, 1, m.deliverIn)
	}
	for i, inner := range l.Queues() {
		q := &impairedQueue{link: m, index: i, inner: inner}
		if m.receives() {
			q.inbox = newMailbox(inboxLen)
		}
		m.ends = append(m.ends, q)
		m.queues = append(m.queues, q)
	}
	if m.out != nil && s.Out.MTU > 0 && !s.Out.MTUSilent {
		m.out.tooBig = m.refuseOut
	}
	if m.in != nil && s.In.MTU > 0 && !s.In.MTUSilent {
		m.in.tooBig = m.refuseIn
	}
	if m.receives() {
		for _, q := range m.ends {
			m.workers.Go(q.pull)
		}
	}
	return m
}

// disableGSO looks for SetGSO on l and on the links that l wraps.
func disableGSO(l Link) {
	for {
		switch x := l.(type) {
		case interface{ SetGSO(bool) error }:
			x.SetGSO(false) // an error says that it was off
			return
		case interface{ Unwrap() Link }:
			l = x.Unwrap()
		default:
			return
		}
	}
}

// receives reports whether packets to the stack take the way through the inbox: for faults, or
// for ICMP errors about what the stack sent.
func (m *Impaired) receives() bool {
	return m.in != nil || m.out != nil && m.out.faults.MTU > 0 && !m.out.faults.MTUSilent
}

func (m *Impaired) deliverOut(queue int, o *Offload, packet []byte) {
	m.ends[queue].inner.Write(*o, packet, [4][]byte{}) // an error is counted there
}

func (m *Impaired) deliverIn(queue int, o *Offload, packet []byte) {
	m.ends[queue].inbox.push(*o, len(packet), packet, &[4][]byte{})
}

// refuseOut and refuseIn answer for the router before a narrow path.
func (m *Impaired) refuseOut(queue, mtu int, packet []byte) {
	if p := packetTooBig(packet, mtu); p != nil {
		m.deliverIn(queue, &Offload{}, p)
	}
}

func (m *Impaired) refuseIn(queue, mtu int, packet []byte) {
	if p := packetTooBig(packet, mtu); p != nil {
		m.deliverOut(queue, &Offload{}, p)
	}
}

// Unwrap returns the link under the faults.
func (m *Impaired) Unwrap() Link { return m.inner }

// Queues returns the impaired queues.
func (m *Impaired) Queues() []Queue { return m.queues }

// MTU is that of the link; a narrow path behind it is for the stack to find out.
func (m *Impaired) MTU() int { return m.inner.MTU() }

// GSO reports false.
func (m *Impaired) GSO() bool { return false }

// Stats are those of the link below; QueueDrops also counts what the impaired queue's own reader
// was too slow for. The packets that the faults took are in Faults.
func (m *Impaired) Stats() Stats {
	s := m.inner.Stats()
	for _, q := range m.ends {
		if q.inbox != nil {
			s.QueueDrops += q.inbox.dropped()
		}
	}
	return s
}

// Faults returns what happened to packets in each direction, as seen from the stack.
func (m *Impaired) Faults() (in, out FaultStats) {
	read := func(p *pipe) FaultStats {
		if p == nil {
			return FaultStats{}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.stats
	}
	return read(m.in), read(m.out)
}

// Close closes the link below and forgets the packets that are under way. When it returns no
// goroutine or timer is left.
func (m *Impaired) Close() error {
	var err error
	m.once.Do(func() {
		for _, p := range []*pipe{m.in, m.out} {
			if p != nil {
				p.close()
			}
		}
		for _, q := range m.ends {
			q.closed.Store(true)
		}
		err = m.inner.Close()
		m.workers.Wait()
	})
	return err
}

type impairedQueue struct {
	link   *Impaired
	index  int
	inner  Queue
	inbox  *mailbox // nil: reads pass through
	closed atomic.Bool
	end    atomic.Pointer[error] // why pull gave up
}

// pull brings packets from the queue below to the faults.
func (q *impairedQueue) pull() {
	f := NewFrame()
	for {
		ok, err := q.inner.Read(f)
		if err == nil && !ok {
			err = q.inner.Wait()
		}
		if err != nil {
			q.end.Store(&err)
			if errors.Is(err, net.ErrClosed) {
				q.inbox.close()
			}
			q.inbox.wake()
			return
		}
		if !ok {
			continue
		}
		if q.link.in != nil {
			q.link.in.submit(q.index, f.Offload, f.Packet, &[4][]byte{})
		} else {
			q.link.deliverIn(q.index, &f.Offload, f.Packet)
		}
	}
}

func (q *impairedQueue) Read(f *Frame) (bool, error) {
	if q.inbox == nil {
		return q.inner.Read(f)
	}
	ok, err := q.inbox.pop(f)
	if end := q.end.Load(); end != nil && !ok && err == nil {
		return false, *end
	}
	return ok, err
}

func (q *impairedQueue) Wait() error {
	if q.inbox == nil {
		return q.inner.Wait()
	}
	return q.inbox.wait()
}

func (q *impairedQueue) Wake() {
	if q.inbox == nil {
		q.inner.Wake()
		return
	}
	q.inbox.wake()
}

func (q *impairedQueue) Write(o Offload, hdr []byte, payload [4][]byte) error {
	if q.closed.Load() {
		return net.ErrClosed
	}
	if q.link.out == nil {
		return q.inner.Write(o, hdr, payload)
	}
	if n := packetLen(hdr, &payload); n == 0 || n > MaxPacket {
		return ErrPacketSize
	}
	q.link.out.submit(q.index, o, hdr, &payload)
	return nil
}

// Close closes the queue below, whose end reaches the reader here.
func (q *impairedQueue) Close() error {
	q.closed.Store(true)
	return q.inner.Close()
}
