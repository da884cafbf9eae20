package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// receiver takes connections of the kernel's TCP, reads them and throws away what it gets.
type receiver struct {
	ln    net.Listener
	flows chan *flow // as they are accepted
	done  sync.WaitGroup
}

// flow is one connection at the receiver.
type flow struct {
	from netip.Addr
	conn *net.TCPConn
}

// listen makes the listener, in the namespace of this thread. Its window holds nobody back.
func listen(ctx context.Context) (net.Listener, error) {
	c := net.ListenConfig{Control: control(func(fd int) error {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bigBuffer),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, unread))
	})}
	c.SetMultipathTCP(false) // its sockets do not inherit what was set
	return c.Listen(ctx, "tcp4", receiverEndpoint)
}

func newReceiver(ln net.Listener) *receiver {
	const most = 16 // more than any wire has senders
	r := &receiver{ln: ln, flows: make(chan *flow, most)}
	r.done.Go(r.accept)
	return r
}

func (r *receiver) accept() {
	for {
		c, err := r.ln.Accept()
		if err != nil {
			return
		}
		conn, ok := c.(*net.TCPConn)
		if !ok {
			return
		}
		f := &flow{conn: conn}
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			f.from = a.AddrPort().Addr().Unmap()
		}
		r.done.Go(f.read)
		r.flows <- f
	}
}

const (
	// unread is how much may lie unread before the kernel would hold ACKs back: SO_RCVLOWAT. Below it the
	// application might as well be reading all the time, and need not be woken for each packet, which
	// would cost more than all else.
	unread = 4 << 20
	// readEvery is how often the application looks. What comes in meanwhile is far less than unread.
	readEvery = 10 * time.Millisecond
)

// read throws away what has come in, again and again until the connection ends.
func (f *flow) read() {
	raw, err := f.conn.SyscallConn()
	for err == nil {
		time.Sleep(readEvery)
		outer := raw.Control(func(fd uintptr) { err = discard(int(fd)) })
		err = errors.Join(outer, err)
	}
}

// discard empties a socket. io.EOF at the end of the stream.
func discard(fd int) error {
	for {
		n, err := discardTCP(fd, unread)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return nil
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
	}
}

// got returns how many octets have arrived in order; -1 if the kernel does not tell.
func (f *flow) got() int64 {
	info, err := tcpInfo(f.conn)
	if err != nil {
		return -1
	}
	return int64(info.Bytes_received)
}

// tcpInfo asks the kernel about a connection of its own.
func tcpInfo(c *net.TCPConn) (*unix.TCPInfo, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var info *unix.TCPInfo
	outer := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	return info, errors.Join(outer, err)
}

// close ends what there is. Those flows that were taken from the channel are the taker's to close.
func (r *receiver) close() {
	r.ln.Close()
	r.done.Wait()
}
