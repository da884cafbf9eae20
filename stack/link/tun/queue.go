package tun

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ustack/stack/link"
)

// copyLimit is the payload up to which copying it behind the header and one write(2) costs less
// than writev(2), in octets.
const copyLimit = 8 << 10

// queue is one descriptor of the device. It reads and writes it directly: os.File would put a
// lock around every write and its netpoller may wake a thread while the reader is at work.
type queue struct {
	fd   int // the device; once closed a second name of wakeFd, see Close
	wake int // eventfd
	vnet bool
	mtu  int

	closed  atomic.Bool
	closing sync.Mutex
	waiter  waiter // of the reader alone

	rxPackets, rxBytes atomic.Uint64
	_                  [64]byte // readers and writers on separate cache lines
	txPackets, txBytes atomic.Uint64
	writeErrors        atomic.Uint64
}

// newQueue takes over fd, also when it fails.
func newQueue(fd int, vnet bool) (*queue, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	q := &queue{fd: fd, wake: wake, vnet: vnet}
	q.waiter.init(fd, wake)
	runtime.AddCleanup(q, func(fds [2]int) {
		unix.Close(fds[0])
		unix.Close(fds[1])
	}, [2]int{fd, wake})
	return q, nil
}

// Read takes one packet, with what the kernel left undone of it.
func (q *queue) Read(f *link.Frame) (bool, error) {
	for {
		n, errno := sysRead(q.fd, f.Buf)
		if q.closed.Load() {
			return false, net.ErrClosed
		}
		switch errno {
		case 0:
		case unix.EAGAIN:
			return false, nil
		case unix.EINTR:
			continue
		default:
			return false, errno
		}
		at := 0
		f.Offload = link.Offload{}
		if q.vnet {
			if at = vnetLen; n < at {
				continue
			}
			f.Offload = parseVnet((*[vnetLen]byte)(f.Buf))
		}
		f.Packet = f.Buf[at:n]
		q.rxPackets.Add(1)
		q.rxBytes.Add(uint64(n - at))
		return true, nil
	}
}

// Wait is described at link.Queue.
func (q *queue) Wait() error {
	for !q.closed.Load() {
		ready, err := q.waiter.wait()
		if err != nil {
			return err
		}
		if ready && !q.closed.Load() {
			return nil
		}
	}
	return net.ErrClosed
}

// Wake is described at link.Queue.
func (q *queue) Wake() {
	one := [8]byte{7: 1} // any value but zero, in any byte order
	unix.Write(q.wake, one[:])
	runtime.KeepAlive(q) // its cleanup closes the descriptor
}

// scratch is what one Write needs besides its arguments.
type scratch struct {
	iov [6]unix.Iovec
	buf [vnetLen + maxHeader + copyLimit]byte
}

// maxHeader bounds the headers that are copied: IPv6, some extension headers and a full TCP
// header.
const maxHeader = 256

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Write sends one packet. It takes no lock; the kernel takes the packet whole or not at all.
func (q *queue) Write(o link.Offload, hdr []byte, payload [4][]byte) error {
	if q.closed.Load() {
		return net.ErrClosed
	}
	size := len(hdr) + len(payload[0]) + len(payload[1]) + len(payload[2]) + len(payload[3])
	err := q.check(&o, size)
	if err == nil {
		s := scratches.Get().(*scratch)
		err = q.send(s, &o, hdr, &payload, size)
		scratches.Put(s)
	}
	if err != nil {
		q.writeErrors.Add(1)
		return err
	}
	q.txPackets.Add(1)
	q.txBytes.Add(uint64(size))
	return nil
}

// check refuses what the kernel would take but nobody should send: packets of any size, for MTU
// discipline is ours alone (TUN-11), and super-segments that claim a finished checksum (VW-06).
func (q *queue) check(o *link.Offload, size int) error {
	switch {
	case !q.vnet && (o.NeedsCsum || o.GSO != link.GSONone), o.GSO != link.GSONone && !o.NeedsCsum:
		return link.ErrOffload
	case o.GSO == link.GSONone && size > q.mtu, size == 0, size > link.MaxPacket:
		return link.ErrPacketSize
	}
	return nil
}

func (q *queue) send(s *scratch, o *link.Offload, hdr []byte, payload *[4][]byte, size int) error {
	b := s.buf[:0]
	if q.vnet {
		b = b[:vnetLen]
		putVnet((*[vnetLen]byte)(b), o, hdr)
	}
	if size <= maxHeader+copyLimit {
		b = append(b, hdr...)
		for _, p := range payload {
			b = append(b, p...)
		}
		return sysWrite(q.fd, b)
	}
	n := 0
	if len(hdr) <= maxHeader {
		b = append(b, hdr...)
		s.put(&n, b)
	} else {
		s.put(&n, b)
		s.put(&n, hdr)
	}
	for _, p := range payload {
		s.put(&n, p)
	}
	err := sysWritev(q.fd, s.iov[:n])
	clear(s.iov[:n]) // the pool must not keep the payload alive
	return err
}

func (s *scratch) put(n *int, b []byte) {
	if len(b) > 0 {
		s.iov[*n].Base = &b[0]
		s.iov[*n].SetLen(len(b))
		*n++
	}
}

// Close ends the queue. Writers take no lock, so one may be about to use the descriptor: its
// number is turned into a name of the eventfd, where a late packet harms nothing, and is given
// back when nobody holds the queue any more. The device's own file ends here, or when a reader
// that sleeps on it has woken up, for which Close waits.
func (q *queue) Close() error {
	q.closing.Lock()
	defer q.closing.Unlock()
	if q.closed.Swap(true) {
		return nil
	}
	err := unix.Dup3(q.wake, q.fd, unix.O_CLOEXEC)
	q.Wake()
	for q.waiter.polling.Load() {
		time.Sleep(50 * time.Microsecond)
	}
	return err
}

func (q *queue) addTo(s *link.Stats) {
	s.RxPackets += q.rxPackets.Load()
	s.RxBytes += q.rxBytes.Load()
	s.TxPackets += q.txPackets.Load()
	s.TxBytes += q.txBytes.Load()
	s.WriteErrors += q.writeErrors.Load()
}

// The device never blocks, neither a read nor a write: the runtime need not be told of the call. Told, it would
// take the P away from a write that the receiver has preempted, and start a second thread for it.

func sysRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func sysWrite(fd int, b []byte) error {
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

func sysWritev(fd int, iov []unix.Iovec) error {
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
