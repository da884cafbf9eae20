package httpserver

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleBytes: an idle connection costs the server three cache lines and little else.
func TestIdleBytes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory counts, too")
	}
	if n := idleBytes(t, 20_000); n > 256 {
		t.Errorf("%.0f bytes per idle connection", n)
	}
}

// TestAddresses: each request tells its own connection's addresses, whoever had its turn before.
func TestAddresses(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		fmt.Fprintf(w, "%s %s", r.RemoteAddr, local)
	}
	inWorld(t, h, nil, func(w *world) {
		var clients []*pipeEnd
		for range 3 {
			c, _ := w.l.dial()
			clients = append(clients, c)
		}
		for range 2 {
			for i, c := range clients {
				io.WriteString(c, get("/")+get("/"))
				want := fmt.Sprintf("10.90.0.1:%d 10.90.0.2:80", 40000+i)
				for _, a := range w.answers(arrived(c), "GET", "GET") {
					if a.body != want {
						w.t.Errorf("got %q, want %q", a.body, want)
					}
				}
			}
		}
		for i, e := range w.entries() {
			if want := fmt.Sprintf("10.90.0.1:%d", 40000+i/2%3); e.RemoteAddr != want {
				w.t.Errorf("logged %q, want %q", e.RemoteAddr, want)
			}
		}
	})
}

// TestTurnGoesRound: the timers of a turn that has changed hands leave its new connection alone, and watch it.
func TestTurnGoesRound(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Write(make([]byte, 2*outputSize))
		}
	}
	inWorld(t, h, nil, func(w *world) {
		w.l.tune = func(server *pipeEnd) { server.peer.limit = outputSize }
		stall := func() (client, server *pipeEnd) {
			client, server = w.l.dial()
			io.WriteString(client, get("/large"))
			synctest.Wait()
			return client, server
		}
		first, _ := w.l.dial()
		io.WriteString(first, get("/"))
		arrived(first) // its turn's stall guard looks in DefaultStallTimeout
		time.Sleep(DefaultStallTimeout - time.Second)

		second, _ := stall()
		time.Sleep(DefaultStallTimeout - time.Second) // the guard has looked
		second.CloseWrite()
		if got := w.readAll(second); len(got) < 2*outputSize {
			w.t.Errorf("a client that paused got %d bytes", len(got))
		}
		for range 2 { // a guard that has struck watches on
			_, server := stall()
			time.Sleep(2*DefaultStallTimeout + time.Second)
			all := w.entries()
			if last := all[len(all)-1]; last.Close != ReasonStall || !server.isClosed() {
				w.t.Errorf("a stalled client's connection ended with %q, closed: %v", last.Close, server.isClosed())
			}
		}
		last, _ := w.l.dial()
		io.WriteString(last, get("/"))
		if got := arrived(last); !strings.HasPrefix(got, "HTTP/1.1 200") {
			w.t.Errorf("after a stall: %q", got)
		}
	})
}

// TestFlushTimerWaitsForNobody: a client that takes nothing holds up no other connection's flush.
func TestFlushTimerWaitsForNobody(t *testing.T) { // req: HTTP-01
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Write(make([]byte, 2*outputSize))
		case "/slow":
			time.Sleep(time.Second)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		w.l.tune = func(server *pipeEnd) { server.peer.limit = outputSize }
		blocked, _ := w.l.dial()
		io.WriteString(blocked, get("/")+get("/large")) // the first arms the timer
		c, _ := w.l.dial()
		io.WriteString(c, get("/")+get("/slow"))
		time.Sleep(2 * flushDelay)
		w.answers(arrived(c), "GET")
		blocked.Close()
	})
}
