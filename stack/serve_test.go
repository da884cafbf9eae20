package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/link"
)

// onData lets f have every connection that b's listener accepts and whatever arrives on it.
func (h *hosts) onData(t testing.TB, f func(c *Conn)) (address string) {
	t.Helper()
	l, err := h.b.Listen("tcp", addrB4+":0")
	if err != nil {
		t.Fatal(err)
	}
	l.OnAccept(func(nc net.Conn) {
		c := nc.(*Conn)
		c.OnReadable(func() { f(c) })
	})
	return l.Addr().String()
}

// drain takes everything that shows and returns it with why there is no more.
func drain(c *Conn) ([]byte, error) {
	var all []byte
	for {
		a, b, err := c.Peek()
		if len(a)+len(b) == 0 {
			return all, err
		}
		all = append(append(all, a...), b...)
		if err := c.Discard(len(a) + len(b)); err != nil {
			return all, err
		}
	}
}

// echoBack is the simplest callback.
func echoBack(c *Conn) {
	data, err := drain(c)
	if len(data) > 0 {
		c.Write(data)
	}
	if err != nil {
		c.Close()
	}
}

func dialOrFail(t testing.TB, s *Stack, address string) *Conn {
	t.Helper()
	c, err := s.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn)
}

func roundTrip(t testing.TB, c net.Conn, msg string) {
	t.Helper()
	if _, err := c.Write([]byte(msg)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(msg))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != msg {
		t.Fatalf("%q came back as %q, %v", msg, got, err)
	}
}

// req: MUST-60
func TestOnReadableEcho(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		c := dialOrFail(t, h.a, h.onData(t, echoBack))
		start := time.Now()
		for i := range 100 {
			roundTrip(t, c, fmt.Sprintf("message %d", i))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("100 round trips took %v of virtual time: something waited for a timer", d)
		}
		c.Close()
		synctest.Wait()
		expectFlows(t, "b", h.b, 0, 0, 0)
	})
}

// What a callback was given is acknowledged by its answer: request and response are two packets
// and no third. req: MUST-58 SHLD-18
func TestAnswerCarriesACK(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		c := dialOrFail(t, h.a, h.onData(t, echoBack))
		roundTrip(t, c, "x")
		synctest.Wait()
		before := h.b.Stats().Links[0].TxPackets
		for range 50 {
			roundTrip(t, c, "x")
		}
		synctest.Wait()
		if n := h.b.Stats().Links[0].TxPackets - before; n != 50 {
			t.Errorf("50 answers took %d packets", n)
		}
	})
}

// A callback that takes its time does not hold up the ACK for longer than the delayed ACK.
// req: MUST-40
func TestSlowCallbackIsAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		c := dialOrFail(t, h.a, h.onData(t, func(c *Conn) { time.Sleep(time.Second); echoBack(c) }))
		c.Write([]byte("x"))
		time.Sleep(answerAtLatest)
		if n := c.Info().InFlight; n != 0 {
			t.Errorf("%d octets are not acknowledged after %v", n, answerAtLatest)
		}
		c.Abort()
		time.Sleep(time.Second) // Close waits for no callback, a bubble does
	})
}

const answerAtLatest = 50 * time.Millisecond

// One callback at a time, none is lost, none comes for nothing.
func TestOnReadableStates(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write([]byte("early"))
		synctest.Wait()
		var calls, running atomic.Int32
		var got bytes.Buffer
		var end error
		b.OnReadable(func() {
			if running.Add(1) != 1 {
				t.Error("two callbacks at the same time")
			}
			defer running.Add(-1)
			calls.Add(1)
			var data []byte
			data, end = drain(b)
			got.Write(data)
			time.Sleep(time.Millisecond)
		})
		synctest.Wait()
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if calls.Load() != 1 || got.String() != "early" {
			t.Fatalf("data that was there: %d calls, got %q", calls.Load(), got.String())
		}
		// While the callback sleeps, ten writes arrive: one more call is enough and needed.
		a.Write([]byte("1"))
		synctest.Wait()
		for range 10 {
			a.Write([]byte("2"))
			synctest.Wait()
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		if calls.Load() != 3 || got.String() != "early12222222222" {
			t.Errorf("%d calls, got %q", calls.Load(), got.String())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if calls.Load() != 3 {
			t.Errorf("%d calls without news", calls.Load()-3)
		}
		a.CloseWrite()
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		if calls.Load() != 4 || end != io.EOF {
			t.Errorf("after FIN: %d calls, %v", calls.Load(), end)
		}
		b.Close()
		a.Close()
	})
}

// What a callback leaves after it has taken something, data or the FIN alone, is offered again;
// what it does not touch is not.
// req: ST-CW4
func TestOnReadableRest(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		a.Write([]byte("abc"))
		a.CloseWrite()
		synctest.Wait()
		var log []string
		b.OnReadable(func() {
			x, _, err := b.Peek()
			if len(x) == 0 {
				log = append(log, err.Error())
				return
			}
			log = append(log, string(x))
			b.Discard(1)
		})
		synctest.Wait()
		if got := strings.Join(log, " "); got != "abc bc c EOF" {
			t.Errorf("the callback saw %q", got)
		}
		a.Close()
		b.Close()

		a, b = h.pair(t)
		calls := 0
		b.OnReadable(func() { calls++ })
		a.Write([]byte("not now"))
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls of a callback that takes nothing", calls)
		}
	})
}

func TestPeekAndDiscard(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		a, b := h.pair(t)
		if x, y, err := b.Peek(); len(x)+len(y) != 0 || err != nil {
			t.Errorf("nothing there: %q %q %v", x, y, err)
		}
		a.Write([]byte("hello"))
		synctest.Wait()
		for range 2 {
			if x, _, err := b.Peek(); string(x) != "hello" || err != nil {
				t.Errorf("Peek: %q %v", x, err)
			}
		}
		if err := b.Discard(6); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Discard of too much: %v", err)
		}
		if err := b.Discard(-1); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Discard of less than nothing: %v", err)
		}
		x, _, _ := b.Peek()
		if err := b.Discard(2); err != nil {
			t.Error(err)
		}
		if x, _, _ := b.Peek(); string(x) != "llo" {
			t.Errorf("after Discard: %q", x)
		}
		a.Abort()
		synctest.Wait()
		if string(x) != "hello" {
			t.Errorf("the view has become %q", x)
		}
		b.Discard(3)
		if _, _, err := b.Peek(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Peek after RST: %v", err)
		}
		b.Close()
		if _, _, err := b.Peek(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Peek after Close: %v", err)
		}
		if err := b.Discard(0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Discard after Close: %v", err)
		}
	})
}

// A RST while the callback runs is told through Done, and the callback runs once more for the error.
func TestDoneDuringCallback(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		ended := make(chan error, 2)
		c := dialOrFail(t, h.a, h.onData(t, func(c *Conn) {
			if _, err := drain(c); err != nil {
				ended <- err
				c.Close()
				return
			}
			select {
			case <-c.Done():
				ended <- nil
			case <-time.After(time.Hour):
				ended <- errors.New("Done stayed open")
			}
		}))
		c.Write([]byte("x"))
		synctest.Wait()
		c.Abort()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the second call saw %v, want ECONNRESET", err)
		}
	})
}

// onProcs runs f in real time with 1, 2 and 4 processors.
func onProcs(t *testing.T, f func(t *testing.T)) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("procs=%d", n), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
			f(t)
		})
	}
}

// A hundred handlers that sleep do not hold up others.
func TestSleepingHandlers(t *testing.T) {
	onProcs(t, func(t *testing.T) {
		h := newHosts(t, link.PairConfig{})
		stop := make(chan struct{})
		var asleep atomic.Int32
		slow := h.onData(t, func(c *Conn) {
			if data, _ := drain(c); len(data) > 0 {
				asleep.Add(1)
				<-stop
			}
		})
		fast := h.onData(t, echoBack)
		for range 100 {
			if _, err := dialOrFail(t, h.a, slow).Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c := dialOrFail(t, h.a, fast)
				c.SetDeadline(time.Now().Add(20 * time.Second))
				for range 200 {
					roundTrip(t, c, "ping")
				}
			})
		}
		wg.Wait()
		if n := asleep.Load(); n != 100 {
			t.Errorf("%d handlers sleep, want 100", n)
		}
		close(stop)
	})
}

// A handler that panics, ends its goroutine, or hangs harms nobody but its connection.
func TestBadCallbacks(t *testing.T) {
	onProcs(t, func(t *testing.T) {
		h := newHosts(t, link.PairConfig{})
		good := dialOrFail(t, h.a, h.onData(t, echoBack))
		for range 20 {
			c := dialOrFail(t, h.a, h.onData(t, func(c *Conn) { panic("bad handler") }))
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.Write([]byte("x"))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a panic the peer reads %v, want ECONNRESET", err)
			}
			roundTrip(t, good, "still there?")
		}
		calls := make(chan struct{}, 100)
		c := dialOrFail(t, h.a, h.onData(t, func(c *Conn) {
			drain(c)
			calls <- struct{}{}
			runtime.Goexit()
		}))
		for range 20 {
			c.Write([]byte("x"))
			<-calls
			roundTrip(t, good, "still there?")
		}
		l, err := h.b.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		l.OnAccept(func(net.Conn) { panic("bad handler") })
		for range 20 {
			c := dialOrFail(t, h.a, fmt.Sprintf("%s:%d", addrB4, l.Addr().(*net.TCPAddr).Port))
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after a panic in OnAccept the peer reads %v, want ECONNRESET", err)
			}
		}
		roundTrip(t, good, "still there?")
	})
}

// 64 MiB each way from within callbacks, with and without super-segments.
func TestBulkInCallback(t *testing.T) {
	size := 64 << 20
	if raceEnabled {
		size = 8 << 20
	}
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i*7 + i>>8)
	}
	onProcs(t, func(t *testing.T) {
		for _, gso := range []bool{false, true} {
			h := newHosts(t, link.PairConfig{GSO: gso, QueueLen: 8192})
			down := dialOrFail(t, h.a, h.onData(t, func(c *Conn) {
				if data, err := drain(c); err != nil || len(data) == 0 {
					return
				}
				for sent := 0; sent < size; sent += len(data) {
					if _, err := c.Write(data); err != nil {
						t.Error(err)
						return
					}
				}
				c.Close()
			}))
			down.Write([]byte("go"))
			if n, err := io.Copy(&checker{t: t, want: data}, down); n != int64(size) || err != nil {
				t.Errorf("gso=%v: %d octets came down, %v", gso, n, err)
			}
			down.Close()

			got := make(chan int, 1)
			up := dialOrFail(t, h.a, h.onData(t, func(c *Conn) {
				c.OnReadable(nil)
				n, err := io.Copy(&checker{t: t, want: data}, c)
				if err != nil {
					t.Error(err)
				}
				got <- int(n)
				c.Close()
			}))
			for sent := 0; sent < size; sent += len(data) {
				if _, err := up.ReadFrom(bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
			}
			up.CloseWrite()
			if n := <-got; n != size {
				t.Errorf("gso=%v: %d octets went up, want %d", gso, n, size)
			}
			up.Close()
		}
	})
}

// checker is a writer that expects want, over and over.
type checker struct {
	t    testing.TB
	want []byte
	off  int
	bad  bool
}

func (c *checker) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && !c.bad; {
		w := c.want[c.off%len(c.want):]
		n := min(len(w), len(rest))
		if !bytes.Equal(w[:n], rest[:n]) {
			c.bad = true
			c.t.Errorf("wrong octets at %d", c.off)
		}
		c.off += n
		rest = rest[n:]
	}
	return len(p), nil
}

// A handler may use the stack it is served by.
func TestDialInCallback(t *testing.T) {
	onProcs(t, func(t *testing.T) {
		h := newHosts(t, link.PairConfig{})
		l, err := h.a.Listen("tcp", addrA4+":0")
		if err != nil {
			t.Fatal(err)
		}
		l.OnAccept(func(nc net.Conn) {
			c := nc.(*Conn)
			c.OnReadable(func() { echoBack(c) })
		})
		var wg sync.WaitGroup
		relay := h.onData(t, func(c *Conn) {
			data, err := drain(c)
			if err != nil {
				c.Close()
				return
			}
			up, err := h.b.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				c.Abort()
				return
			}
			defer up.Close()
			up.Write(data)
			io.ReadFull(up, data)
			c.Write(data)
		})
		for i := range 20 {
			wg.Go(func() {
				c := dialOrFail(t, h.a, relay)
				c.SetDeadline(time.Now().Add(20 * time.Second))
				for range 20 {
					roundTrip(t, c, fmt.Sprintf("through %d", i))
				}
				c.Close()
			})
		}
		wg.Wait()
	})
}

// goroutines counts those of the bubble we are in.
func goroutines() int {
	buf := make([]byte, 1<<20)
	header, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte("\n"))
	bubble := header[bytes.Index(header, []byte("synctest bubble")):]
	return bytes.Count(buf[:runtime.Stack(buf, true)], bubble)
}

// Idle connections own no goroutine, and beyond eight no worker stays.
func TestIdleIsFree(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		synctest.Wait()
		before := goroutines()
		release := make(chan struct{})
		address := h.onData(t, func(c *Conn) {
			drain(c)
			<-release
		})
		var all []*Conn
		for range 50 {
			c := dialOrFail(t, h.a, address)
			c.Write([]byte("x"))
			all = append(all, c)
		}
		synctest.Wait()
		if n := goroutines() - before; n < 50 {
			t.Errorf("%d goroutines for 50 handlers at work", n)
		}
		close(release)
		synctest.Wait()
		if n := goroutines() - before; n > maxParked {
			t.Errorf("%d goroutines are left, want at most %d", n, maxParked)
		}
		// And no memory.
		for _, s := range []*Stack{h.a, h.b} {
			if n := s.Stats().MemoryUsed; n != 0 {
				t.Errorf("idle connections hold %d octets of queues", n)
			}
		}
		_ = all
	})
}

// countingReader echoes, and counts what the stack calls.
type countingReader struct {
	c                 *Conn
	touched, readable atomic.Int32
}

func (r *countingReader) Touch() uint64 { return uint64(r.touched.Add(1)) }

func (r *countingReader) Readable() {
	r.readable.Add(1)
	echoBack(r.c)
}

// A Reader is touched before it is called, and neither once it is taken away.
func TestSetReader(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		l, err := h.b.Listen("tcp", addrB4+":0")
		if err != nil {
			t.Fatal(err)
		}
		r := new(countingReader)
		l.OnAccept(func(nc net.Conn) {
			r.c = nc.(*Conn)
			r.c.SetReader(r)
		})
		c := dialOrFail(t, h.a, l.Addr().String())
		for n := int32(1); n <= 10; n++ {
			roundTrip(t, c, "x")
			synctest.Wait()
			if touched, readable := r.touched.Load(), r.readable.Load(); readable != n || touched < n-1 { // the first one may have come before the reader
				t.Fatalf("touched %d times and called %d times after %d requests", touched, readable, n)
			}
		}
		r.c.SetReader(nil)
		before := r.touched.Load()
		c.Write([]byte("x"))
		synctest.Wait()
		if r.readable.Load() != 10 || r.touched.Load() != before {
			t.Errorf("touched %d times and called %d times by the end", r.touched.Load()-before, r.readable.Load())
		}
		r.c.Close()
		c.Abort()
	})
}

// What WriteSoon takes leaves with the ACK when the callback returns, or with Flush; outside of a callback at once.
func TestWriteSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		var server *Conn
		flush := false
		c := dialOrFail(t, h.a, h.onData(t, func(c *Conn) {
			server = c
			if data, _ := drain(c); len(data) > 0 {
				c.WriteSoon(data)
				if flush {
					c.Flush()
				}
				time.Sleep(time.Second)
			}
		}))
		roundTrip(t, c, "x")
		synctest.Wait()
		for _, flush = range []bool{false, true} {
			before, start := h.b.Stats().Links[0].TxPackets, time.Now()
			roundTrip(t, c, "x")
			if d := time.Since(start); d == 0 != flush {
				t.Errorf("flush %v: answered after %v", flush, d)
			}
			time.Sleep(2 * time.Second)
			// The delayed ACK goes without the answer that the callback holds up.
			if n := h.b.Stats().Links[0].TxPackets - before; flush && n != 1 || n > 2 {
				t.Errorf("flush %v: %d packets", flush, n)
			}
		}
		start := time.Now()
		if n, err := server.WriteSoon([]byte("y")); n != 1 || err != nil {
			t.Errorf("WriteSoon: %d, %v", n, err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil || time.Since(start) != 0 {
			t.Errorf("outside of a callback it took %v, %v", time.Since(start), err)
		}
		large := make([]byte, 1<<20) // more than there is room for
		go server.WriteSoon(large)
		if _, err := io.ReadFull(c, large); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

// An answer does not wait for the callback of another connection, however long that blocks.
func TestWriteSoonBesideSleepers(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		for _, n := range []int{2, 3, 2 * maxLater} {
			t.Run(fmt.Sprintf("%d procs, %d conns", procs, n), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				inBubble(t, func(t *testing.T, h *hosts) { besideSleepers(t, h, n) })
			})
		}
	}
}

// besideSleepers asks n connections at once, of which some sleep and the last always does.
func besideSleepers(t *testing.T, h *hosts, n int) {
	address := h.onData(t, func(c *Conn) {
		data, err := drain(c)
		if err != nil {
			c.Close()
			return
		}
		if bytes.Contains(data, []byte("s")) {
			time.Sleep(time.Second)
		}
		c.WriteSoon(data)
	})
	var conns []*Conn
	for range n {
		conns = append(conns, dialOrFail(t, h.a, address))
	}
	for round := range 20 {
		start := time.Now()
		sleeps := func(i int) bool { return (i-n+1)%(round%4+2) == 0 }
		for i, c := range conns {
			if sleeps(i) {
				c.Write([]byte("s"))
			} else {
				c.Write([]byte("r"))
			}
		}
		for _, late := range []bool{false, true} {
			for i, c := range conns {
				if sleeps(i) != late {
					continue
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil || time.Since(start) != 0 && !late {
					t.Fatalf("round %d: answered after %v, %v", round, time.Since(start), err)
				}
			}
		}
	}
	for _, c := range conns {
		c.Close()
	}
}
