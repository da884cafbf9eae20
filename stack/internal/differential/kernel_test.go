package differential

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ustack/stack/link"
	"ustack/stack/link/tun"
)

// kernel is the kernel's TCP in one network namespace: that of the test, or one that in enters.
type kernel struct {
	name string
	in   func(func())
}

// here is the test's own namespace.
func here(f func()) { f() }

// elsewhere makes a namespace and returns what runs a function in it. What the function has opened stays there.
func elsewhere(t *testing.T) func(func()) {
	t.Helper()
	ns := -1
	locked(func() {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if ns < 0 {
		t.FailNow()
	}
	t.Cleanup(func() { unix.Close(ns) })
	return func(f func()) {
		locked(func() {
			if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
				panic(err) // f in a wrong namespace could do harm
			}
			f()
		})
	}
}

// locked runs f on a thread of its own, which ends with it.
func locked(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// device opens a plain TUN in k's namespace, with k's addresses on the kernel's side.
func (k *kernel) device(t *testing.T) link.Link {
	t.Helper()
	var d *tun.Device
	var err error
	k.in(func() {
		d, err = tun.Open(tun.Config{Name: "wire0", Offload: tun.Off,
			HostAddr: netip.MustParsePrefix(addr4[k.name] + "/24"), HostAddr6: netip.MustParsePrefix(addr6[k.name] + "/64")})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// control sets the options of a socket before it listens or connects.
func (o options) control(_, _ string, c syscall.RawConn) error {
	var errs []error
	err := c.Control(func(fd uintptr) {
		set := func(level, name, value int) {
			if value != 0 {
				errs = append(errs, unix.SetsockoptInt(int(fd), level, name, value))
			}
		}
		set(unix.SOL_SOCKET, unix.SO_RCVBUF, o.rcvBuf)
		set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.userTimeout/time.Millisecond))
	})
	return errors.Join(append(errs, err)...)
}

func (k *kernel) listen(v6 bool, port int, o options) (acceptor, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: o.control}
	lc.SetMultipathTCP(false)
	var l net.Listener
	var err error
	k.in(func() {
		l, err = lc.Listen(context.Background(), "tcp", net.JoinHostPort(address(k.name, v6), fmt.Sprint(port)))
	})
	if err != nil {
		return nil, err
	}
	return kernelListener{l.(*net.TCPListener)}, nil
}

type kernelListener struct{ *net.TCPListener }

func (l kernelListener) accept() (conn, error) {
	l.SetDeadline(time.Now().Add(stuck))
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return kernelConn{c}, nil
}

func (k *kernel) dial(ctx context.Context, v6 bool, local int, to string, port int, o options) (conn, error) {
	d := net.Dialer{KeepAlive: -1, Control: o.control}
	d.SetMultipathTCP(false)
	if local != 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address(k.name, v6)), uint16(local)))
	}
	var c net.Conn
	var err error
	k.in(func() { // as there is one address, Go makes the socket on the goroutine that dials
		c, err = d.DialContext(ctx, "tcp", net.JoinHostPort(address(to, v6), fmt.Sprint(port)))
	})
	if err != nil {
		return nil, err
	}
	return kernelConn{c.(*net.TCPConn)}, nil
}

type kernelConn struct{ *net.TCPConn }

func (c kernelConn) abort() error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

func (c kernelConn) urgent(b []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = unix.Sendto(int(fd), b, unix.MSG_OOB, nil) }); err != nil {
		return err
	}
	return sent
}

var kernelStates = [...]string{1: "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT",
	"LAST-ACK", "LISTEN", "CLOSING", "SYN-RECEIVED"}

// state is that of the connection that has the port at one end, as the far kernel has it.
func (k *kernel) state(v6 bool, port int) (string, error) {
	family := uint8(unix.AF_INET)
	if v6 {
		family = unix.AF_INET6
	}
	all, err := netlink.SocketDiagTCP(family)
	if err != nil {
		return "", err
	}
	for _, s := range all {
		if int(s.ID.SourcePort) != port && int(s.ID.DestinationPort) != port {
			continue
		}
		if name := kernelStates[s.State]; name != "LISTEN" {
			return name, nil
		}
	}
	return "CLOSED", nil
}
