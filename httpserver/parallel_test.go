package httpserver

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func four(s *Server) { s.MaxParallel = 4 }

// sleepy sleeps for as many milliseconds as the query says, and answers its path.
func sleepy(w http.ResponseWriter, r *http.Request) {
	ms, _ := strconv.Atoi(r.URL.RawQuery)
	time.Sleep(time.Duration(ms) * time.Millisecond)
	io.WriteString(w, r.Method+" "+r.URL.Path)
}

func emptyPost(path string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
}

// TestParallel: safe methods at once, as many as allowed, others alone, and all answers in order.
func TestParallel(t *testing.T) { // req: 9112-9.3.2b 9112-9.3.2a
	head := "HEAD /b?1000 HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tt := range []struct {
		name, in, want string
		takes          time.Duration
	}{
		{"at once", get("/a?1000") + head + get("/c?500"), "GET /a, , GET /c", time.Second},
		{"the last first", get("/a?3000") + get("/b?2000") + get("/c?1000"), "GET /a, GET /b, GET /c", 3 * time.Second},
		{"unsafe between", get("/a?1000") + emptyPost("/b?1000") + get("/c?1000"), "GET /a, POST /b, GET /c", 3 * time.Second},
		{"unsafe before", emptyPost("/a?1000") + get("/b?1000") + get("/c?1000"), "POST /a, GET /b, GET /c", 2 * time.Second},
		{"unsafe behind", get("/a?1000") + get("/b?1000") + emptyPost("/c?1000"), "GET /a, GET /b, POST /c", 2 * time.Second},
		{"no more than four", strings.Repeat(get("/a?1000"), 5), "GET /a, GET /a, GET /a, GET /a, GET /a", 2 * time.Second},
		{"one that brings content", get("/a?1000") + "GET /b?1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" + get("/c?1000"), "GET /a, GET /b, GET /c", 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, sleepy, four, func(w *world) {
				start := time.Now()
				methods := make([]string, strings.Count(tt.in, "HTTP/1.1"))
				for i := range methods {
					methods[i] = "GET"
				}
				if strings.Contains(tt.in, "HEAD") {
					methods[1] = "HEAD"
				}
				var bodies []string
				for _, a := range w.answers(w.talk(tt.in), methods...) {
					bodies = append(bodies, a.body)
				}
				if got := strings.Join(bodies, ", "); got != tt.want {
					w.t.Errorf("got %q, want %q", got, tt.want)
				}
				if d := time.Since(start); d.Round(10*time.Millisecond) != tt.takes {
					w.t.Errorf("took %v, want %v", d, tt.takes)
				}
			})
		})
	}
}

// TestParallelOff: without the option handlers run one after the other.
func TestParallelOff(t *testing.T) { // req: 9112-9.3.2a
	inWorld(t, sleepy, nil, func(w *world) {
		start := time.Now()
		w.talk(get("/a?1000") + get("/b?1000"))
		if d := time.Since(start); d < 2*time.Second {
			w.t.Errorf("took %v", d)
		}
	})
}

// TestParallelDoesNotHoldBack: an answer that is ready, and whose turn it is, does not wait for a slow one behind it.
func TestParallelDoesNotHoldBack(t *testing.T) { // req: HTTP-01
	inWorld(t, sleepy, four, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/a?10")+get("/b?1000")+get("/c"))
		time.Sleep(20 * time.Millisecond)
		if got := arrived(c); !strings.HasSuffix(got, "GET /a") {
			w.t.Errorf("after 20 ms: %q", got)
		}
		time.Sleep(time.Second)
		if got := arrived(c); !strings.HasSuffix(got, "GET /c") || !strings.Contains(got, "GET /b") {
			w.t.Errorf("after a second: %q", got)
		}
	})
}

// TestParallelEnds: what ends the connection ends it where the serial server would, and takes the rest along.
func TestParallelEnds(t *testing.T) { // req: 9112-9.3.2b 9112-9.3.2c 9112-9.6b
	late := make(chan error, 3)
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/close":
			w.Header().Set("Connection", "close")
		case "/panic":
			io.WriteString(w, "half of it")
			panic("on purpose")
		case "/abort":
			io.WriteString(w, "half of it")
			panic(http.ErrAbortHandler)
		case "/goexit":
			runtime.Goexit()
		case "/late":
			<-r.Context().Done()
			time.Sleep(time.Second) // the connection may be dead before the others are told so
			_, err := io.WriteString(w, "too late")
			late <- err
		case "/hijack":
			if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, errBeside) {
				panic(fmt.Sprint("hijack: ", err))
			}
		}
		io.WriteString(w, r.URL.Path)
	}
	for _, tt := range []struct {
		name, in, want string
		reason         CloseReason
	}{
		{"close", get("/a") + get("/close") + get("/late"), "200 /a, 200 /close", ReasonHandlerClose},
		{"panic", get("/a") + get("/panic") + get("/late"), "200 /a, 500 500 Internal Server Error: the handler failed\n", ReasonPanic},
		{"abort", get("/a") + get("/abort") + get("/late"), "200 /a", ReasonAbort},
		{"goexit", get("/a") + get("/goexit") + get("/late"), "200 /a", ReasonPanic},
		{"last", get("/a") + "GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get("/c"), "200 /a, 200 /b", ReasonClientClose},
		{"malformed", get("/a") + get("/b") + "GET /c\r\n\r\n", "200 /a, 200 /b, 400 ", ReasonRefused},
		{"hijack", get("/hijack") + get("/b"), "200 /hijack, 200 /b", ReasonNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, h, four, func(w *world) {
				var got []string
				for _, a := range w.answers(w.talk(tt.in), slices.Repeat([]string{"GET"}, 1+strings.Count(tt.want, ","))...) {
					if a.StatusCode == 400 {
						a.body = ""
					}
					got = append(got, fmt.Sprint(a.StatusCode, " ", a.body))
				}
				if s := strings.Join(got, ", "); s != tt.want {
					w.t.Errorf("got %q, want %q", s, tt.want)
				}
				if strings.Contains(tt.in, "/late") {
					time.Sleep(2 * time.Second) // in the bubble: late is outside of it
					if err := <-late; err == nil {
						w.t.Error("a handler whose turn never came could write")
					}
				}
				entries := w.entries()
				last := entries[len(entries)-1]
				if last.Close != tt.reason || last.Number != len(entries) || last.Place != len(entries) {
					w.t.Errorf("the log's last entry: %+v", last)
				}
			})
		})
	}
}

// TestParallelUpgrade: who asks for an upgrade is served alone and may hijack.
func TestParallelUpgrade(t *testing.T) { // req: 9112-9.3.2b
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, "plain")
			return
		}
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		rest, _ := io.ReadAll(rw)
		fmt.Fprintf(nc, "after %q", rest)
	}
	inWorld(t, h, four, func(w *world) {
		got := w.talk(get("/") + get("/") + "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nthe rest")
		if !strings.HasSuffix(got, `plainafter "the rest"`) {
			w.t.Errorf("got %q", got)
		}
	})
}

// TestParallelReset: a reset ends the contexts of all that are served.
func TestParallelReset(t *testing.T) { // req: 9112-9.3.2b
	ended := make(chan struct{}, 3)
	h := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- struct{}{}
	}
	inWorld(t, h, four, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, get("/a")+get("/b")+get("/c"))
		synctest.Wait()
		c.SetLinger(0)
		c.Close()
		for range 3 {
			<-ended
		}
	})
}

// TestParallelSame: what a client receives does not depend on the option, but for dates and where chunks end.
func TestParallelSame(t *testing.T) { // req: 9112-9.3.2b
	shared := strings.Repeat("shared ", 20_000)
	h := func(w http.ResponseWriter, r *http.Request) {
		seed, _ := strconv.ParseUint(r.URL.Path[1:], 10, 64)
		rnd := rand.New(rand.NewPCG(seed, 1))
		time.Sleep(time.Duration(rnd.IntN(3_000_000)))
		if rnd.IntN(4) == 0 {
			w.Header().Set("Trailer", "X-Sum")
			defer w.Header().Set("X-Sum", "done")
		}
		w.Header().Set("X-Early", "yes")
		if rnd.IntN(3) == 0 {
			w.WriteHeader(http.StatusEarlyHints)
		}
		if rnd.IntN(3) == 0 {
			w.WriteHeader([]int{200, 204, 304, 404}[rnd.IntN(4)])
			w.Header().Set("X-Late", "never seen")
		}
		for range rnd.IntN(6) {
			switch rnd.IntN(5) {
			case 0:
				w.(http.Flusher).Flush()
			case 1:
				w.(interface{ WriteShared([]byte) (int, error) }).WriteShared([]byte(shared[:rnd.IntN(len(shared))]))
			case 2:
				io.Copy(w, strings.NewReader(shared[:rnd.IntN(len(shared))]))
			case 3:
				io.WriteString(w, "text")
			case 4:
				w.Write([]byte(shared[:rnd.IntN(9000)]))
			}
			time.Sleep(time.Duration(rnd.IntN(1_000_000)))
		}
	}
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var in strings.Builder
		var methods []string
		for i := range 30 {
			method := []string{"GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "DELETE"}[rnd.IntN(7)]
			methods = append(methods, method)
			fmt.Fprintf(&in, "%s /%d HTTP/1.1\r\nHost: a\r\n\r\n", method, seed*100+uint64(i))
		}
		receive := func(w *world) (all []string) {
			raw := w.talk(in.String())
			const hints = "HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n"
			all = append(all, fmt.Sprint(strings.Count(raw, hints), " times 103"))
			for _, a := range w.answers(strings.ReplaceAll(raw, hints, ""), methods...) {
				a.Header.Del("Date")
				all = append(all, fmt.Sprintf("%d %v %v %s", a.StatusCode, a.Header, a.Trailer, a.body))
			}
			return all
		}
		var serial []string
		inWorld(t, h, nil, func(w *world) { serial = receive(w) })
		inWorld(t, h, func(s *Server) { s.MaxParallel = 1 + int(seed%8) }, func(w *world) {
			for i, got := range receive(w) {
				if got != serial[i] {
					w.t.Errorf("seed %d, request %d: %d bytes, %.200q\nwithout: %d bytes, %.200q", seed, i, len(got), got, len(serial[i]), serial[i])
				}
			}
		})
	}
}
