package tun

import (
	"errors"
	"fmt"
	"strings"
)

// What can be in the way of a device. Open returns an *Error that wraps one of them.
var (
	ErrConfig       = errors.New("bad configuration")
	ErrNotPermitted = errors.New("not permitted")
	ErrNoTUN        = errors.New("no TUN driver")
	ErrTUNMode      = errors.New("no access to /dev/net/tun")
	ErrBusy         = errors.New("device busy")
	ErrNotTUN       = errors.New("not a TUN device")
	ErrAddrInUse    = errors.New("address in use")
	ErrRouteInUse   = errors.New("route in use")
	ErrNoVirtio     = errors.New("no offloads")
	ErrSetup        = errors.New("device set-up failed")
)

// Error says what went wrong in terms of the user, and what to do about it.
type Error struct {
	Kind   error  // one of the Err values
	Detail string // what was in the way, one line
	Hint   string // what to do, one or more lines; may be empty
	Err    error  // the cause, if there is one
}

// Error returns everything but the hint, on one line.
func (e *Error) Error() string {
	s := e.Kind.Error() + ": " + e.Detail
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap makes errors.Is work with the kind and with the cause, often a syscall.Errno.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func configError(format string, args ...any) error {
	return &Error{Kind: ErrConfig, Detail: fmt.Sprintf(format, args...)}
}

func hint(lines ...string) string { return strings.Join(lines, "\n") }
