package httpserver

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func twoEach(s *Server) { s.MaxConnsPerClient = 2 }

// dialAll returns n connections on which a request for /, with its number, is under way.
func (w *world) dialAll(n int, query string) []*pipeEnd {
	all := make([]*pipeEnd, n)
	for i := range all {
		all[i], _ = w.l.dial()
		io.WriteString(all[i], get(fmt.Sprintf("/%d?%s", i, query)))
		synctest.Wait()
	}
	return all
}

// TestPerClient: connections beyond the limit wait in order. Who is busy ends with its answer and says so.
func TestPerClient(t *testing.T) { // req: HTTP-09 9112-9.6b
	inWorld(t, sleepy, twoEach, func(w *world) {
		all := w.dialAll(5, "1000")
		closes := 0
		for i, c := range all[:4] {
			if i%2 == 0 {
				time.Sleep(time.Second)
			}
			got := arrived(c)
			if want := fmt.Sprint("GET /", i); !strings.HasSuffix(got, want) {
				w.t.Errorf("connection %d: %q after %d s", i, got, 1+i/2)
			}
			if strings.Contains(got, "Connection: close") {
				closes++
			}
		}
		if closes != 3 { // of two that end together, one makes room for the last
			w.t.Errorf("%d answers said that the connection ends", closes)
		}
		for _, c := range all {
			c.Close()
		}
		crowded := 0
		for _, e := range w.entries() {
			if e.Close == ReasonCrowded {
				crowded++
			}
		}
		if crowded != 3 {
			w.t.Errorf("%d entries say why", crowded)
		}
	})
}

// ended reports whether c has got a FIN.
func ended(c *pipeEnd) bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.fin
}

// TestPerClientIdle: an idle connection makes room, the one that has been idle for longest, unless a request may be on
// its way: for 100 ms, and for a second if it would be the first.
func TestPerClientIdle(t *testing.T) { // req: HTTP-09 9112-9.5
	inWorld(t, sleepy, twoEach, func(w *world) {
		old := w.dialAll(2, "")
		time.Sleep(time.Second)
		io.WriteString(old[0], get("/again"))
		synctest.Wait()
		more, _ := w.l.dial()
		synctest.Wait()
		if !ended(old[1]) || ended(old[0]) {
			t.Errorf("the longest idle has a FIN: %v, the other: %v", ended(old[1]), ended(old[0]))
		}
		time.Sleep(100 * time.Millisecond)
		third, _ := w.l.dial()
		synctest.Wait()
		if !ended(old[0]) || ended(more) {
			t.Errorf("the idle one has a FIN: %v, the new one: %v", ended(old[0]), ended(more))
		}
		io.WriteString(third, get("/third"))
		if got := arrived(third); status(got) != "200" {
			t.Errorf("third: %q", got)
		}
		fourth, _ := w.l.dial()
		io.WriteString(fourth, get("/fourth"))
		synctest.Wait()
		if ended(third) {
			t.Error("third ends at once")
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if !ended(third) || ended(more) {
			t.Errorf("third has a FIN: %v, the silent one: %v", ended(third), ended(more))
		}
		time.Sleep(time.Second)
		w.l.dial()
		synctest.Wait()
		if !ended(more) {
			t.Error("the silent one stays")
		}
	})
}

// TestPerClientBurst: a pipeline is answered to its end before the connection makes room.
func TestPerClientBurst(t *testing.T) { // req: HTTP-09
	for _, parallel := range []int{1, 4} {
		inWorld(t, sleepy, func(s *Server) { s.MaxConnsPerClient, s.MaxParallel = 1, parallel }, func(w *world) {
			c, _ := w.l.dial()
			io.WriteString(c, strings.Repeat(get("/?100"), 10))
			synctest.Wait()
			next := w.dialAll(1, "")[0]
			methods := strings.Split(strings.Repeat("GET ", 10), " ")[:10]
			all := w.answers(w.readAll(c), methods...)
			for i, a := range all {
				if a.Close != (i == 9) {
					w.t.Errorf("answer %d of the burst closes: %v", i, a.Close)
				}
			}
			if got := arrived(next); !strings.HasSuffix(got, "GET /0") {
				w.t.Errorf("the next connection: %q", got)
			}
		})
	}
}

// TestPerClientRefused: beyond the queue, and after waiting in it for too long, there is a 503; other clients notice
// nothing.
func TestPerClientRefused(t *testing.T) { // req: HTTP-09
	inWorld(t, sleepy, twoEach, func(w *world) {
		start := time.Now()
		all := w.dialAll(2+maxQueued+1, "60000")
		refused := func(i int) {
			got := w.readAll(all[i])
			if status(got) != "503" || !strings.Contains(got, "Retry-After: 1\r\n") || !strings.Contains(got, "Connection: close\r\n") {
				w.t.Errorf("connection %d: %q", i, got)
			}
			all[i].Close()
		}
		refused(2 + maxQueued)
		if d := time.Since(start); d > 0 {
			w.t.Errorf("refused after %v", d)
		}
		for i, a := range []string{"10.90.0.9", "fd90::1", "fd91::1"} {
			w.l.tune = func(e *pipeEnd) { e.addr = netip.MustParseAddr(a) }
			if got := w.talk(get("/")); status(got) != "200" {
				w.t.Errorf("client %d: %q", i, got)
			}
		}
		refused(2)
		refused(1 + maxQueued)
		if d := time.Since(start); d < DefaultReadHeaderTimeout || d > DefaultReadHeaderTimeout+time.Second {
			w.t.Errorf("refused after %v", d)
		}
	})
}

// TestPerClientPrefix: a client is an address, or a /64.
func TestPerClientPrefix(t *testing.T) { // req: HTTP-09
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.1", true}, {"10.0.0.1", "10.0.0.2", false}, {"10.0.0.1", "::ffff:10.0.0.1", true},
		{"fd90::1", "fd90::2:0:0:1", true}, {"fd90::1", "fd90:0:0:1::1", false}, {"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		a, b := &pipeEnd{addr: netip.MustParseAddr(tt.a)}, &pipeEnd{addr: netip.MustParseAddr(tt.b)}
		if got := clientOf(a) == clientOf(b.asPlain()); got != tt.same {
			t.Errorf("%s and %s: one client: %v", tt.a, tt.b, got)
		}
	}
}

// TestPerClientStop: those who wait are told when the server ends.
func TestPerClientStop(t *testing.T) { // req: HTTP-09
	inWorld(t, sleepy, twoEach, func(w *world) {
		all := w.dialAll(3, "1000")
		if err := w.s.Shutdown(context.Background()); err != nil {
			w.t.Error(err)
		}
		for i, want := range []string{"200", "200", "503"} {
			if got := w.readAll(all[i]); status(got) != want {
				w.t.Errorf("connection %d: %q, want %s", i, got, want)
			}
		}
	})
	inWorld(t, sleepy, twoEach, func(w *world) {
		w.dialAll(3, "1000")
		w.s.Close()
	})
}

// TestPerClientCrowd: whatever clients do, no more than the limit are served at once, everyone is, and nothing is left.
func TestPerClientCrowd(t *testing.T) { // req: HTTP-09
	for seed := range uint64(10) {
		var now, most atomic.Int32
		h := func(w http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			sleepy(w, r)
			now.Add(-1)
		}
		inWorld(t, h, func(s *Server) { s.MaxConnsPerClient, s.ReadHeaderTimeout = 3, time.Hour }, func(w *world) {
			var all sync.WaitGroup
			for i := range uint64(40) {
				all.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, i))
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
					c, _ := w.l.dial()
					defer c.Close()
					if rnd.IntN(10) == 0 {
						c.Reset()
						return
					}
					time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
					io.WriteString(c, get(fmt.Sprintf("/%d?%d", i, rnd.IntN(300))))
					if rnd.IntN(2) == 0 {
						c.CloseWrite()
					}
					if got := w.readAll(c); !strings.HasSuffix(got, fmt.Sprint("GET /", i)) {
						w.t.Errorf("connection %d: %q", i, got)
					}
				})
			}
			all.Wait()
			synctest.Wait()
			if n := most.Load(); n > 3 {
				w.t.Errorf("%d at once", n)
			}
			if n := len(w.s.clients.all); n > 0 {
				w.t.Errorf("%d clients are left", n)
			}
		})
	}
}
