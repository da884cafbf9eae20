package differential

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// host is a TCP/IP stack.
type host interface {
	// listen waits for connections to port.
	listen(v6 bool, port int, o options) (acceptor, error)
	// dial connects to port of another host, from local unless that is 0.
	dial(ctx context.Context, v6 bool, local int, to string, port int, o options) (conn, error)
}

// acceptor is a listener.
type acceptor interface {
	accept() (conn, error)
	io.Closer
}

// conn is a connection.
type conn interface {
	net.Conn
	CloseWrite() error
	abort() error          // close with a RST: SO_LINGER 0
	urgent(b []byte) error // errors.ErrUnsupported if there is no such call
}

// options of a connection.
type options struct {
	rcvBuf      int // 0: the host's default
	userTimeout time.Duration
}

// class names an error so that it is the same for all hosts.
func class(err error) string {
	if err == nil {
		return "ok"
	}
	for _, c := range []struct {
		err  error
		name string
	}{
		{io.EOF, "EOF"}, {io.ErrUnexpectedEOF, "EOF"}, {syscall.ECONNRESET, "reset"}, {syscall.EPIPE, "broken pipe"},
		{syscall.ECONNREFUSED, "refused"}, {syscall.ETIMEDOUT, "timed out"}, {syscall.ENOTCONN, "not connected"},
		{syscall.ECONNABORTED, "aborted"}, {net.ErrClosed, "closed"}, {os.ErrDeadlineExceeded, "nothing comes"},
		{context.DeadlineExceeded, "nothing comes"}, {errors.ErrUnsupported, "unsupported"},
	} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	text := err.Error()
	for name, part := range map[string]string{ // gVisor's have no numbers
		"reset": "connection reset by peer", "broken pipe": "endpoint is closed for send", "refused": "connection was refused",
		"timed out": "operation timed out", "not connected": "not connected", "aborted": "operation aborted", "closed": "invalid endpoint state",
		"nothing comes": "i/o timeout",
	} {
		if strings.Contains(text, part) {
			return name
		}
	}
	return text
}
