package stack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// inBubble runs f with two hosts in virtual time.
func inBubble(t *testing.T, f func(t *testing.T, h *hosts)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, newHosts(t, link.PairConfig{}))
	})
}

// flows counts what a stack has in its table.
func flows(s *Stack) (conns, halfOpen, timeWait int) {
	st := s.Stats()
	return st.Conns, st.HalfOpen, st.TimeWait
}

func expectFlows(t *testing.T, who string, s *Stack, conns, halfOpen, timeWait int) {
	t.Helper()
	c, h, w := flows(s)
	if c != conns || h != halfOpen || w != timeWait {
		t.Errorf("%s has %d conns, %d half open, %d in TIME-WAIT; want %d, %d, %d", who, c, h, w, conns, halfOpen, timeWait)
	}
}

// Both ends end in the right place whatever the order of closing, and all memory comes back.
// req: MUST-12 MUST-13 ST-TW6 ST-LA1 ST-F22 ST-F23 ST-CW3 U-12 MAY-1
func TestCloseOrders(t *testing.T) {
	orders := map[string]struct {
		close    func(a, b *Conn)
		twA      int // who is left in TIME-WAIT
		twB      int
		eitherTW bool
	}{
		"a then b": {func(a, b *Conn) { a.Close(); readEOF(t, b); b.Close() }, 1, 0, false},
		"b then a": {func(a, b *Conn) { b.Close(); readEOF(t, a); a.Close() }, 0, 1, false},
		"half close": {func(a, b *Conn) {
			a.CloseWrite()
			readEOF(t, b)
			b.Write([]byte("still here"))
			b.CloseWrite()
			got, err := io.ReadAll(a)
			if string(got) != "still here" || err != nil {
				t.Errorf("read %q, %v after CloseWrite", got, err)
			}
			a.Close()
			b.Close()
		}, 1, 0, false},
		"both at once": {func(a, b *Conn) { a.Close(); b.Close() }, 1, 1, true},
	}
	for name, o := range orders {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, h *hosts) {
				a, b := h.pair(t)
				a.Write([]byte("x"))
				b.Write([]byte("y"))
				one := make([]byte, 1)
				io.ReadFull(a, one)
				io.ReadFull(b, one)
				o.close(a, b)
				synctest.Wait()
				_, _, twA := flows(h.a)
				_, _, twB := flows(h.b)
				if o.eitherTW {
					if twA+twB == 0 {
						t.Error("nobody is in TIME-WAIT")
					}
				} else if twA != o.twA || twB != o.twB {
					t.Errorf("in TIME-WAIT: a %d, b %d; want %d, %d", twA, twB, o.twA, o.twB)
				}
				expectFlows(t, "a", h.a, 0, 0, twA)
				expectFlows(t, "b", h.b, 0, 0, twB)
				time.Sleep(60*time.Second - time.Millisecond)
				expectFlows(t, "a", h.a, 0, 0, twA)
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				expectFlows(t, "a", h.a, 0, 0, 0)
				expectFlows(t, "b", h.b, 0, 0, 0)
				for _, s := range []*Stack{h.a, h.b} {
					if n := s.Stats().MemoryUsed; n != 0 {
						t.Errorf("%d octets of queues are still lent", n)
					}
				}
			})
		})
	}
}

func readEOF(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read: %d, %v; want EOF", n, err)
	}
}

// Data that stands in the queue when Close is called is delivered, then the FIN. req: U-12 1122-09
func TestCloseDelivers(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
		n, err := a.Write(data)
		if n != len(data) || err != nil {
			t.Fatal(n, err)
		}
		a.Close()
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
		got, err := io.ReadAll(b)
		if !bytes.Equal(got, data) || err != nil {
			t.Errorf("%d octets arrived (%v), want %d", len(got), err, len(data))
		}
		b.Close()
	})
}

// req: SHLD-3 ST-ES18
func TestCloseWithUnreadDataResets(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write([]byte("unread"))
		synctest.Wait()
		b.Close()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read: %v, want ECONNRESET", err)
		}
		synctest.Wait()
		expectFlows(t, "b", h.b, 0, 0, 0)
		a.Close()
		expectFlows(t, "a", h.a, 0, 0, 0)
	})
}

// A half-closed reader drains what was sent before the RST. req: MUST-12
func TestResetKeepsUnreadInput(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write([]byte("last words"))
		synctest.Wait()
		a.Abort()
		synctest.Wait()
		got := make([]byte, 100)
		if n, err := b.Read(got); string(got[:n]) != "last words" || err != nil {
			t.Errorf("Read: %q, %v", got[:n], err)
		}
		if _, err := b.Read(got); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read: %v, want ECONNRESET", err)
		}
		if _, err := b.Write(got); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v, want ECONNRESET or EPIPE", err)
		}
		b.Close()
	})
}

// req: ST-ES19
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		accept := func(port uint16) (*Conn, *peer) {
			p := w.peer(false, 80, port)
			p.open()
			c, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			w.silence()
			return c, p
		}
		// Zero: a RST at once.
		c, p := accept(5000)
		c.SetLinger(0)
		c.Write([]byte("x"))
		w.recv()
		c.Close()
		if s := w.segment(); !s.Flags.Has(tcpseg.RST) || s.Seq != p.ack.Add(1) {
			t.Errorf("Close with linger 0 sent %v %d, want RST %d", s.Flags, s.Seq, p.ack.Add(1))
		}
		// Some seconds: the peer does not answer, so a RST after them.
		c, _ = accept(5001)
		c.SetLinger(2)
		c.Write([]byte("x"))
		c.Close()
		time.Sleep(2*time.Second - time.Millisecond)
		for _, b := range w.recv() {
			if _, s := w.parse(b); s.Flags.Has(tcpseg.RST) {
				t.Error("reset before the linger time is over")
			}
		}
		time.Sleep(2 * time.Millisecond)
		if s := w.segment(); !s.Flags.Has(tcpseg.RST) {
			t.Errorf("after the linger time %v was sent, want RST", s.Flags)
		}
		expectFlows(t, "the stack", w.s, 0, 0, 0)
	})
}

func TestCloseRead(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write([]byte("before"))
		synctest.Wait()
		if err := b.CloseRead(); err != nil {
			t.Fatal(err)
		}
		readEOF(t, b)
		// More than the window can hold goes through: nobody reads it, but it is taken.
		if _, err := a.Write(make([]byte, 8<<20)); err != nil {
			t.Fatal(err)
		}
		b.Write([]byte("ok"))
		got := make([]byte, 2)
		if _, err := io.ReadFull(a, got); string(got) != "ok" {
			t.Errorf("read %q, %v", got, err)
		}
		a.Close()
		b.Close()
	})
}

// Every blocked call ends when its connection, or the whole stack, is closed.
// req: MAY-1
func TestCloseWakes(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		for name, end := range map[string]func(*Conn){
			"Close": func(c *Conn) { c.Close() },
			"Abort": func(c *Conn) { c.Abort() },
		} {
			a, b := h.pair(t)
			errs := make(chan error, 4)
			go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
			go func() { _, err := a.Write(make([]byte, 64<<20)); errs <- err }()
			synctest.Wait()
			go func() { _, err := a.Write(make([]byte, 1)); errs <- err }()
			go func() { _, err := a.WriteTo(io.Discard); errs <- err }()
			synctest.Wait()
			end(a)
			for range 4 {
				if err := <-errs; !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: %v, want net.ErrClosed", name, err)
				}
			}
			b.Close()
		}
		a, b := h.pair(t)
		l, err := h.a.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 4)
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 64<<20)); errs <- err }()
		go func() { _, err := l.Accept(); errs <- err }()
		go func() { _, err := h.a.Dial("tcp", "10.90.0.99:1"); errs <- err }()
		synctest.Wait()
		if err := h.a.Close(); err != nil {
			t.Error(err)
		}
		for range 4 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("stack closed: %v, want net.ErrClosed", err)
			}
		}
		if _, err := b.Read(make([]byte, 1<<20)); err != nil {
			t.Errorf("the peer's first Read: %v", err)
		}
		if _, err := io.ReadAll(b); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer's Read: %v, want ECONNRESET", err)
		}
		if err := h.a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if _, err := h.a.Listen("tcp", ":0"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Listen after Close: %v", err)
		}
		if _, err := h.a.Dial("tcp", addrB4+":1"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after Close: %v", err)
		}
	})
}

func TestShutdownDelivers(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write(make([]byte, 60_000))
		a.Close()
		done := make(chan error)
		go func() { done <- h.a.Shutdown(t.Context()) }()
		got, err := io.ReadAll(b)
		if len(got) != 60_000 || err != nil {
			t.Errorf("%d octets arrived, %v", len(got), err)
		}
		b.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// One second at most, then whatever is left is reset.
func TestShutdownGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write(make([]byte, 60_000))
		a.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := h.a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want the context's error", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Shutdown took %v, want a second", d)
		}
		if got, err := io.ReadAll(b); len(got) != 60_000 || err != nil {
			t.Errorf("%d octets arrived, %v", len(got), err)
		}
		b.Close()
	})
}

func TestDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		start := time.Now()
		expect := func(what string, err error, after time.Duration) {
			t.Helper()
			var ne net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("%s: %v, want os.ErrDeadlineExceeded", what, err)
			}
			if got := time.Since(start); got != after {
				t.Errorf("%s ended after %v, want %v", what, got, after)
			}
		}
		read := func() error { _, err := a.Read(make([]byte, 1)); return err }
		a.SetReadDeadline(start.Add(time.Second))
		expect("Read", read(), time.Second)
		expect("Read again", read(), time.Second)
		// Data does not help once the deadline is over.
		b.Write([]byte("x"))
		synctest.Wait()
		expect("Read with data", read(), time.Second)
		a.SetReadDeadline(time.Time{})
		if err := read(); err != nil {
			t.Errorf("Read without deadline: %v", err)
		}
		// A deadline that moves while somebody waits.
		go func() {
			time.Sleep(time.Second)
			a.SetReadDeadline(start.Add(4 * time.Second))
			time.Sleep(time.Second)
			a.SetReadDeadline(start.Add(3 * time.Second))
		}()
		a.SetReadDeadline(start.Add(2500 * time.Millisecond))
		expect("Read with moving deadline", read(), 3*time.Second)
		a.SetDeadline(start.Add(5 * time.Second))
		n, err := a.Write(make([]byte, 64<<20))
		expect("Write", err, 5*time.Second)
		if n == 0 || n == 64<<20 {
			t.Errorf("Write took %d octets", n)
		}
		_, err = a.ReadFrom(bytes.NewReader(make([]byte, 100)))
		expect("ReadFrom", err, 5*time.Second)
		a.Abort()
		if err := a.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline after Close: %v", err)
		}
		b.Close()
	})
}

// The peer goes away without a word. req: MUST-21 MUST-12
func TestUserTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, _ := h.pair(t)
		o := a.Options()
		o.UserTimeout = 10 * time.Second
		if err := a.SetOptions(o); err != nil {
			t.Fatal(err)
		}
		h.b.cfg.Links[0].Close()
		start := time.Now()
		a.Write([]byte("anybody?"))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("Read: %v, want ETIMEDOUT", err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("given up after %v, want 10s", d)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("Write: %v, want ETIMEDOUT", err)
		}
		select {
		case <-a.Done():
		default:
			t.Error("Done is open")
		}
		if a.Info().State != tcb.Closed {
			t.Errorf("state is %v", a.Info().State)
		}
		a.Close()
	})
}

func TestWriteErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.CloseWrite()
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after CloseWrite: %v, want EPIPE", err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Errorf("second CloseWrite: %v", err)
		}
		b.CloseWrite()
		synctest.Wait()
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after both have closed: %v, want EPIPE", err)
		}
		readEOF(t, a)
		readEOF(t, b)
		a.Close()
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		b.Close()
	})
}

// req: MUST-30 MUST-32 MUST-33
func TestWriteUrgent(t *testing.T) {
	h := newHosts(t, link.PairConfig{GSO: true})
	a, b := h.pair(t)
	notify := b.UrgentNotify()
	if n, err := a.WriteUrgent([]byte("stop")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	<-notify
	got := make([]byte, 4)
	if n := b.Urgent(); n != 4 {
		t.Errorf("%d octets urgent", n)
	}
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "stop" || b.Urgent() != 0 {
		t.Errorf("read %q, %v, %d octets urgent", got, err, b.Urgent())
	}
	a.CloseWrite()
	if _, err := a.WriteUrgent([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("after CloseWrite: %v", err)
	}
}
