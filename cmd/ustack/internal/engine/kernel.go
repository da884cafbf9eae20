package engine

import (
	"context"
	"net"
)

// Kernel returns the TCP of the operating system, in the network namespace of the caller.
func Kernel() Engine { return kernel{} }

type kernel struct{}

func (kernel) Name() string { return "kernel" }

func (kernel) Listen(network, addr string) (net.Listener, error) {
	// Keep-alive is off as with the other engines: dead peers end by HTTP's idle time-out.
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), network, addr)
}

func (kernel) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, network, addr)
}

func (kernel) Close() error { return nil }
