package engine

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// conn gives gVisor's connection the errors of Go's net: gonet has texts only.
type conn struct{ *gonet.TCPConn }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	return n, mapError(err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	return n, mapError(err)
}

func (c *conn) CloseRead() error  { return mapError(c.TCPConn.CloseRead()) }
func (c *conn) CloseWrite() error { return mapError(c.TCPConn.CloseWrite()) }

type listener struct {
	*gonet.TCPListener
	closed atomic.Bool
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	switch {
	case err == nil:
		return &conn{c.(*gonet.TCPConn)}, nil
	case l.closed.Load():
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
	return nil, mapError(err)
}

// Close stops listening; a blocked Accept returns net.ErrClosed.
func (l *listener) Close() error {
	if l.closed.Swap(true) {
		return &net.OpError{Op: "close", Net: "tcp", Err: net.ErrClosed}
	}
	l.TCPListener.Shutdown()
	return l.TCPListener.Close()
}

// errnos are the errors a program may want to tell apart, by gVisor's text.
var errnos = map[string]error{
	(&tcpip.ErrAborted{}).String():                   syscall.ECONNABORTED,
	(&tcpip.ErrAddressFamilyNotSupported{}).String(): syscall.EAFNOSUPPORT,
	(&tcpip.ErrBadLocalAddress{}).String():           syscall.EADDRNOTAVAIL,
	(&tcpip.ErrClosedForSend{}).String():             syscall.EPIPE,
	(&tcpip.ErrConnectionAborted{}).String():         syscall.ECONNABORTED,
	(&tcpip.ErrConnectionRefused{}).String():         syscall.ECONNREFUSED,
	(&tcpip.ErrConnectionReset{}).String():           syscall.ECONNRESET,
	(&tcpip.ErrHostUnreachable{}).String():           syscall.EHOSTUNREACH,
	(&tcpip.ErrNetworkUnreachable{}).String():        syscall.ENETUNREACH,
	(&tcpip.ErrNotConnected{}).String():              syscall.ENOTCONN,
	(&tcpip.ErrPortInUse{}).String():                 syscall.EADDRINUSE,
	(&tcpip.ErrTimeout{}).String():                   syscall.ETIMEDOUT,
	(&tcpip.ErrInvalidEndpointState{}).String():      net.ErrClosed,
}

// mapError replaces the cause of a gonet error by the one that Go's net would have.
func mapError(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	cause, ok := errnos[op.Err.Error()]
	var timeout net.Error
	if !ok && errors.As(op.Err, &timeout) && timeout.Timeout() {
		cause, ok = os.ErrDeadlineExceeded, true
	}
	if ok {
		op.Err = cause
	}
	return err
}

// tcpipError makes a Go error of one of gVisor's, which have no Error method.
func tcpipError(err tcpip.Error) error { return errors.New(err.String()) }
