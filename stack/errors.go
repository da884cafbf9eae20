package stack

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"ustack/stack/tcb"
)

// opError wraps err as package net would: net.OpError, and inside an os.SyscallError with the
// errno, net.ErrClosed or os.ErrDeadlineExceeded.
func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: sysError(op, err)}
}

// sysError gives the errors of a TCB their errno.
func sysError(op string, err error) error {
	var no syscall.Errno
	var soft *softError
	switch {
	case errors.As(err, &soft):
		return err
	case errors.Is(err, tcb.ErrReset):
		no = syscall.ECONNRESET
	case errors.Is(err, tcb.ErrRefused):
		no = syscall.ECONNREFUSED
	case errors.Is(err, tcb.ErrTimeout):
		no = syscall.ETIMEDOUT
	case errors.Is(err, tcb.ErrAborted):
		no = syscall.ECONNABORTED
	case errors.Is(err, tcb.ErrWriteClosed):
		no = syscall.EPIPE
	case errors.Is(err, tcb.ErrClosed):
		return net.ErrClosed
	case errors.As(err, &no):
	default:
		return err
	}
	return os.NewSyscallError(op, no)
}

// ctxError is what ends a dial because of its context: package net's words, with the
// context's identity.
func ctxError(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return dialTimeout{}
	case errors.Is(err, context.Canceled):
		return dialCanceled{}
	}
	return err
}

type dialTimeout struct{}

func (dialTimeout) Error() string   { return "i/o timeout" }
func (dialTimeout) Timeout() bool   { return true }
func (dialTimeout) Temporary() bool { return true }
func (dialTimeout) Is(err error) bool {
	return err == context.DeadlineExceeded || err == os.ErrDeadlineExceeded
}

type dialCanceled struct{}

func (dialCanceled) Error() string     { return "operation was canceled" }
func (dialCanceled) Is(err error) bool { return err == context.Canceled }
