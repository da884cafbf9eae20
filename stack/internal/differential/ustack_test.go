package differential

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"ustack/stack"
	"ustack/stack/link"
	"ustack/stack/tcb"
)

// ours is ustack on one end of a link in memory.
type ours struct{ *stack.Stack }

func newOurs(t *testing.T) (host, link.Link) {
	t.Helper()
	near, wire := link.Pair(link.PairConfig{QueueLen: 1 << 14})
	s, err := stack.New(stack.Config{Links: []link.Link{near}, Addrs: []netip.Prefix{
		netip.MustParsePrefix(addr4["ustack"] + "/24"), netip.MustParsePrefix(addr6["ustack"] + "/64")},
		EphemeralPorts: [2]uint16{32768, 60999}}) // as the kernel: none of a run
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return ours{s}, wire
}

func (o options) ours() *tcb.Options {
	return &tcb.Options{RcvBuf: o.rcvBuf, UserTimeout: o.userTimeout}
}

func (u ours) listen(v6 bool, port int, o options) (acceptor, error) {
	lc := stack.ListenConfig{Stack: u.Stack, Options: o.ours()}
	l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(address("ustack", v6), strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return ourListener{l}, nil
}

type ourListener struct{ *stack.Listener }

func (l ourListener) accept() (conn, error) {
	l.SetDeadline(time.Now().Add(stuck))
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return ourConn{c}, nil
}

func (u ours) dial(ctx context.Context, v6 bool, local int, to string, port int, o options) (conn, error) {
	d := stack.Dialer{Stack: u.Stack, Options: o.ours()}
	if local != 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address("ustack", v6)), uint16(local)))
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(address(to, v6), strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return ourConn{c.(*stack.Conn)}, nil
}

type ourConn struct{ *stack.Conn }

func (c ourConn) abort() error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

func (c ourConn) urgent(b []byte) error {
	_, err := c.WriteUrgent(b)
	return err
}
