package ground

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialTime bounds how long a relayed connection waits for the far side.
const dialTime = 10 * time.Second

// Relay is the bridge of the Memory ground: it takes connections from a listener of the kernel and
// passes their bytes, both ways and with half closes, over connections that a DialFunc opens.
type Relay struct {
	ln     net.Listener
	dial   DialFunc
	target string
	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
}

// NewRelay listens on a free port of the loopback address and relays every connection to target.
func NewRelay(dial DialFunc, target string) (*Relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{ln: ln, dial: dial, target: target}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.wg.Go(r.accept)
	return r, nil
}

// Addr returns host:port that the relay listens on.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Close ends the listener and every relayed connection, and waits for them.
func (r *Relay) Close() error {
	err := r.ln.Close()
	r.cancel()
	r.wg.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		near, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.relay(near) })
	}
}

func (r *Relay) relay(near net.Conn) {
	defer near.Close()
	ctx, cancel := context.WithTimeout(r.ctx, dialTime)
	far, err := r.dial(ctx, "tcp", r.target)
	cancel()
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(r.ctx, func() {
		near.Close()
		far.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pass(far, near) })
	both.Go(func() { pass(near, far) })
	both.Wait()
}

// pass copies until the end of src and hands that end on. A broken connection ends both ways.
func pass(dst, src net.Conn) {
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		src.Close()
		return
	}
	if w, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // the far side may have gone already
		return
	}
	dst.Close()
}
