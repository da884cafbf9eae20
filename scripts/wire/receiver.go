package main

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// receiver takes connections of the kernel's TCP, reads them and throws away what it gets.
type receiver struct {
	ln    net.Listener
	flows chan *flow // as they are accepted
	done  sync.WaitGroup
}

// flow is one connection at the receiver.
type flow struct {
	from  netip.Addr
	began time.Time
	got   atomic.Int64 // octets
	conn  net.Conn
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
		f := &flow{began: time.Now(), conn: c}
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			f.from = a.AddrPort().Addr().Unmap()
		}
		r.done.Go(f.read)
		r.flows <- f
	}
}

func (f *flow) read() {
	buf := make([]byte, 256<<10)
	for {
		n, err := f.conn.Read(buf)
		f.got.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// close ends what there is. Those flows that were taken from the channel are the taker's to close.
func (r *receiver) close() {
	r.ln.Close()
	r.done.Wait()
}
