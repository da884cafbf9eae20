// Package engine puts every TCP that the command can run on behind one interface: ustack's own,
// gVisor's and the kernel's. What serves and what fetches knows no other.
package engine

import (
	"context"
	"net"
)

// Engine is a TCP/IP stack that listens and dials. All methods are safe for concurrent use.
type Engine interface {
	// Name is what --engine calls it: ustack, gvisor or kernel.
	Name() string
	// Listen listens on network tcp, tcp4 or tcp6 and address host:port; an empty host is every
	// address of the engine.
	Listen(network, addr string) (net.Listener, error)
	// DialContext connects to host:port.
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	// Close delivers what connections that have been closed still hold, for at most five seconds,
	// ends every other connection and releases what the engine holds.
	Close() error
}

// Opener makes an engine by name, with whatever device it needs.
type Opener func(ctx context.Context, name string) (Engine, error)

// Names are the engines, the default first.
func Names() []string { return []string{"ustack", "gvisor", "kernel"} }
