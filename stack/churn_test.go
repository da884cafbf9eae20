package stack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/link"
)

// Many connections, every way of using and ending one, on a link that loses packets. When all is
// over nothing is left: no connection, no memory, no timer, no goroutine.
func TestChurn(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		for seed := range uint64(3) {
			func() {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				synctest.Test(t, func(t *testing.T) { churn(t, seed) })
			}()
		}
	}
}

func churn(t *testing.T, seed uint64) {
	f := link.Faults{Loss: 2, Reorder: 2, Duplicate: 1, Delay: time.Millisecond}
	la, lb := link.Pair(link.PairConfig{Queues: 2})
	h := &hosts{
		a: newStack(t, link.Impair(la, link.Spec{In: f, Out: f, Seed: seed}), addrA4, addrA6),
		b: newStack(t, lb, addrB4, addrB6, func(c *Config) {
			c.Options.KeepAlive, c.Options.KeepAliveIdle = true, time.Minute // a RST may be lost
		}),
	}
	events := h.onData(t, func(c *Conn) {
		a, b, err := c.Peek()
		switch {
		case bytes.Contains(a, []byte("panic")):
			panic("as asked")
		case bytes.Contains(a, []byte("exit")):
			defer runtime.Goexit()
		case bytes.Contains(a, []byte("abort")):
			c.Abort()
			return
		case bytes.Contains(a, []byte("close")):
			c.Close()
			return
		}
		c.Write(a)
		c.Write(b)
		c.Discard(len(a) + len(b))
		if err != nil {
			c.Close()
		}
	})
	l, err := h.b.Listen("tcp", addrB4+":80")
	if err != nil {
		t.Fatal(err)
	}
	var servers sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				io.Copy(c, c)
			})
		}
	})
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range less(25) {
				to := events
				if rnd.IntN(2) == 0 {
					to = addrB4 + ":80"
				}
				c, err := h.a.Dial("tcp", to)
				if err != nil {
					t.Errorf("Dial: %v", err)
					return
				}
				use(c.(*Conn), rnd)
			}
		})
	}
	clients.Wait()
	l.Close()
	servers.Wait()
	time.Sleep(30 * time.Minute) // retransmissions, keep-alive, TIME-WAIT
	synctest.Wait()
	for name, s := range map[string]*Stack{"a": h.a, "b": h.b} {
		expectFlows(t, name, s, 0, 0, 0)
		if n := s.Stats().MemoryUsed; n != 0 {
			t.Errorf("%s: %d octets of queues are still lent", name, n)
		}
		s.timers.mu.Lock()
		if n := s.timers.nodes.live; n != 0 {
			t.Errorf("%s: %d timers are left", name, n)
		}
		s.timers.mu.Unlock()
		if n := s.orphans.Load(); n != 0 {
			t.Errorf("%s: %d orphans", name, n)
		}
		if n := s.mem.conns.Load(); n != 0 {
			t.Errorf("%s: %d connections share the memory", name, n)
		}
	}
}

// use does something with a connection and ends it somehow.
func use(c *Conn, rnd *rand.Rand) {
	c.SetDeadline(time.Now().Add(time.Duration(rnd.IntN(2000)) * time.Millisecond))
	msg := make([]byte, rnd.IntN(30_000))
	switch rnd.IntN(8) {
	case 0:
		c.Write([]byte([]string{"panic", "exit", "abort", "close"}[rnd.IntN(4)]))
	case 1:
		go c.Read(make([]byte, 10))
		go c.Write(msg)
	case 2:
		c.ReadFrom(bytes.NewReader(msg))
	case 3:
		c.WriteShared(msg)
		c.CloseRead()
	default:
		if _, err := c.Write(msg); err == nil {
			io.ReadFull(c, msg[:rnd.IntN(len(msg)+1)])
		}
	}
	switch rnd.IntN(6) {
	case 0:
		c.Abort()
	case 1:
		c.SetLinger(rnd.IntN(3))
		c.Close()
	case 2:
		c.CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
	case 3:
		time.AfterFunc(time.Duration(rnd.IntN(100))*time.Millisecond, func() { c.Close() })
	default:
		c.Close()
	}
}

var _ net.Conn = (*Conn)(nil)
