package httpserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipelining(t *testing.T) { // req: 9112-9.3.2a HTTP-01
	inWorld(t, demo, nil, func(w *world) {
		c, server := w.l.dial()
		defer c.Close()
		var raw strings.Builder
		var methods []string
		for i := range 16 {
			raw.WriteString(get(fmt.Sprint("/", i)))
			methods = append(methods, "GET")
		}
		io.WriteString(c, raw.String())
		for i, a := range w.answers(arrived(c), methods...) {
			if a.body != fmt.Sprint("GET /", i) {
				t.Errorf("answer %d is %q", i, a.body)
			}
		}
		if n, _, _ := server.counts(); n != 1 {
			t.Errorf("16 answers left in %d writes", n)
		}
	})
}

// TestFlushRule: a finished answer waits at most flushDelay for a complete next request, and not at all for one that is
// not complete.
func TestFlushRule(t *testing.T) { // req: HTTP-01
	tests := []struct {
		name, next string
		wait       time.Duration
	}{
		{"slow handler", get("/slow"), flushDelay},
		{"complete body", "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", flushDelay},
		{"incomplete head", "GET / HTTP/1.1\r\n", 0},
		{"incomplete body", "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", 0},
		{"chunked body", "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
		{"nothing", "", 0},
	}
	for _, tt := range tests {
		inWorld(t, demo, nil, func(w *world) {
			c, _ := w.l.dial()
			defer c.Close()
			io.WriteString(c, get("/1")+get("/2")+tt.next)
			if tt.wait > 0 {
				if got := arrived(c); got != "" {
					w.t.Errorf("%s: %q at once", tt.name, got)
				}
				time.Sleep(tt.wait)
			}
			all := w.answers(arrived(c), "GET", "GET")
			if all[1].body != "GET /2" {
				w.t.Errorf("%s: got %q", tt.name, all[1].body)
			}
		})
	}
}

// TestSlowSecondHandlerStillAnswers: with the client's FIN in, three answers leave in order.
//
// req: 9112-9.3.2a 9112-9.6c
func TestSlowSecondHandlerStillAnswers(t *testing.T) {
	inWorld(t, demo, nil, func(w *world) {
		start := time.Now()
		all := w.answers(w.talk(get("/1")+get("/slow")+get("/3")), "GET", "GET", "GET")
		if all[1].body != "slow" || all[2].body != "GET /3" || time.Since(start) != 100*time.Millisecond {
			w.t.Errorf("after %v: %q %q", time.Since(start), all[1].body, all[2].body)
		}
	})
}

func TestPersistence(t *testing.T) {
	tests := []struct {
		fields string
		keep   bool
	}{
		// req: 9112-9.3b
		{"GET /a HTTP/1.1\r\nHost: a\r\n", true},
		{"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", false},
		{"GET /a HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n", false},
		{"GET /a HTTP/1.1\r\nHost: a\r\nConnection: foo\r\nConnection: close\r\n", false},
		{"GET /a HTTP/1.1\r\nHost: a\r\nConnection: foo Close\r\n", false},
		{"GET /a HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n", true},
		{"GET /a HTTP/1.0\r\n", false},
		// req: 9112-C.2.2
		{"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n", true},
		{"GET /a HTTP/1.0\r\nConnection: Keep-Alive, close\r\n", false},
		{"GET /a HTTP/1.0\r\nConnection: foo keep-alive\r\n", false},
		{"GET /a HTTP/1.0\r\nConnection: foo,\tkeep-alive \t, bar\r\n", true},
		{"GET /a HTTP/1.0\r\nProxy-Connection: keep-alive\r\n", false},
		{"GET /a HTTP/1.0\r\nKeep-Alive: 300\r\n", false},
	}
	inWorld(t, demo, nil, func(w *world) {
		for _, tt := range tests {
			c, _ := w.l.dial()
			io.WriteString(c, tt.fields+"\r\n"+get("/b"))
			got := arrived(c)
			methods := []string{"GET", "GET"}
			if !tt.keep {
				methods = methods[:1] // req: 9112-9.6a
			}
			a := w.answers(got, methods...)[0]
			if a.Close == tt.keep && a.ProtoMinor == 1 && strings.Contains(tt.fields, "1.1") { // req: 9112-9.6b
				w.t.Errorf("%q: announced close %v", tt.fields, a.Close)
			}
			old := strings.Contains(tt.fields, "HTTP/1.0")
			if ka := a.Header.Get("Keep-Alive"); (ka == "timeout=60") != (old && tt.keep) {
				w.t.Errorf("%q: Keep-Alive: %q", tt.fields, ka)
			}
			if conn := a.Header.Get("Connection"); old && tt.keep && conn != "keep-alive" {
				w.t.Errorf("%q: Connection: %q", tt.fields, conn)
			}
			c.Close()
		}
	})
}

func TestMaxRequests(t *testing.T) { // req: HTTP-05 9112-9.6a 9112-9.6b
	inWorld(t, demo, func(s *Server) { s.MaxRequests = 3 }, func(w *world) {
		all := w.answers(w.talk(strings.Repeat(get("/"), 5)), "GET", "GET", "GET")
		if all[1].Close || !all[2].Close {
			w.t.Errorf("close announced: %v %v %v", all[0].Close, all[1].Close, all[2].Close)
		}
		if e := w.entries(); e[2].Close != ReasonMaxRequests || e[2].Number != 3 || e[1].Close != ReasonNone {
			w.t.Errorf("entries %+v", e)
		}
		raw := w.talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if !strings.Contains(raw, "Keep-Alive: timeout=60, max=2\r\n") {
			w.t.Errorf("got %q", raw)
		}
	})
}

// TestIdle: a connection without a request ends by FIN when its time is over, whether or not it was used before.
func TestIdle(t *testing.T) { // req: 9112-9.5
	inWorld(t, demo, nil, func(w *world) {
		for _, raw := range []string{"", get("/"), "\r\n", get("/") + "\r"} {
			c, server := w.l.dial()
			io.WriteString(c, raw)
			time.Sleep(DefaultIdleTimeout - time.Millisecond)
			if arrived(c); c.hasFIN() {
				w.t.Errorf("%q: closed too early", raw)
			}
			time.Sleep(2 * time.Millisecond)
			if arrived(c); !c.hasFIN() || c.gotErr() != nil {
				w.t.Errorf("%q: fin %v, error %v", raw, c.hasFIN(), c.gotErr())
			}
			c.Close()
			if synctest.Wait(); !server.isClosed() {
				w.t.Errorf("%q: not closed after the client's FIN", raw)
			}
		}
	})
}

func TestIdleStartsAgain(t *testing.T) {
	inWorld(t, demo, nil, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		for range 5 {
			time.Sleep(DefaultIdleTimeout - time.Second)
			io.WriteString(c, get("/"))
			w.answers(arrived(c), "GET")
		}
		io.WriteString(c, "GET /x HTTP/1.1\r\n") // a head beside the idle time-out
		time.Sleep(5 * time.Second)
		io.WriteString(c, "Host: a\r\n\r\n")
		w.answers(arrived(c), "GET")
	})
}

// TestHeadTimeout: the time for a head counts from its first byte, however it trickles.
func TestHeadTimeout(t *testing.T) { // req: HTTP-02
	inWorld(t, demo, nil, func(w *world) {
		c, server := w.l.dial()
		io.WriteString(c, get("/")+"GET / HTTP/1.1\r\nHost: a\r\n")
		w.answers(arrived(c), "GET")
		start := time.Now()
		for range 9 {
			time.Sleep(time.Second)
			io.WriteString(c, "X: y\r\n")
		}
		got := w.readAll(c)
		if status(got) != "408" || time.Since(start) != DefaultReadHeaderTimeout {
			w.t.Errorf("after %v: %q", time.Since(start), got)
		}
		c.Close()
		if synctest.Wait(); !server.isClosed() {
			w.t.Error("not closed")
		}
	})
}

// TestSlowHandlerOutlivesTimeouts: no time-out of the reading side touches a running handler.
func TestSlowHandlerOutlivesTimeouts(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Minute)
		fmt.Fprint(w, r.Context().Err())
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/")[:20])
		time.Sleep(time.Second)
		io.WriteString(c, get("/")[20:])
		time.Sleep(5*time.Minute + time.Second)
		if a := w.answers(arrived(c), "GET")[0]; a.body != "<nil>" {
			w.t.Errorf("got %q", a.body)
		}
		time.Sleep(time.Minute - 2*time.Second)
		if arrived(c); c.hasFIN() {
			w.t.Error("the idle time did not start after the answer")
		}
	})
}

func TestConnState(t *testing.T) {
	var states []string
	inWorld(t, demo, func(s *Server) {
		states = nil
		s.ConnState = func(_ nc, st http.ConnState) { states = append(states, st.String()) }
	}, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, get("/")+get("/"))
		synctest.Wait()
		io.WriteString(c, get("/"))
		synctest.Wait()
		c.Close()
		synctest.Wait()
		if got := strings.Join(states, " "); got != "new active idle active idle closed" {
			w.t.Errorf("states %s", got)
		}
	})
}

// TestContext: a FIN leaves the context alone, a reset ends it, and so does the handler's return.
func TestContext(t *testing.T) { // req: 9112-9.6c
	type key struct{}
	var late context.Context
	var result atomic.Value
	h := func(w http.ResponseWriter, r *http.Request) {
		late = r.Context()
		if late.Value(http.ServerContextKey).(*http.Server) == nil || late.Value(http.LocalAddrContextKey) == nil {
			panic("context without server or address")
		}
		derived, cancel := context.WithTimeout(late, time.Hour)
		defer cancel()
		select {
		case <-derived.Done():
			result.Store(fmt.Sprint("done ", derived.Err()))
		case <-time.After(time.Second):
			result.Store("alive")
		}
		fmt.Fprint(w, derived.Value(key{}))
	}
	tune := func(s *Server) {
		s.ConnContext = func(ctx context.Context, _ nc) context.Context { return context.WithValue(ctx, key{}, "mine") }
	}
	inWorld(t, h, tune, func(w *world) {
		got := w.talk(get("/")) // with a FIN behind the request
		if !strings.HasSuffix(got, "mine") || result.Load() != "alive" {
			w.t.Errorf("after FIN: %v, %q", result.Load(), got)
		}
		if late.Err() != context.Canceled {
			w.t.Errorf("after the handler: %v", late.Err())
		}
		<-late.Done()
		c, _ := w.l.dial()
		io.WriteString(c, get("/"))
		synctest.Wait()
		c.Reset()
		if synctest.Wait(); result.Load() != "done context canceled" {
			w.t.Errorf("after RST: %v", result.Load())
		}
	})
}

// TestContextErr: who only asks for the context's error learns of a reset as well, where the connection can tell.
func TestContextErr(t *testing.T) { // req: 9112-9.6c
	var err atomic.Value
	h := func(w http.ResponseWriter, r *http.Request) {
		before := r.Context().Err()
		time.Sleep(time.Second)
		err.Store(fmt.Sprint(before, " ", r.Context().Err()))
	}
	inWorld(t, h, nil, func(w *world) {
		for reset, want := range map[bool]string{false: "<nil> <nil>", true: "<nil> context canceled"} {
			c, _ := w.l.dial()
			io.WriteString(c, get("/"))
			synctest.Wait()
			if reset {
				c.Reset()
			} else {
				c.CloseWrite()
			}
			time.Sleep(2 * time.Second)
			if got := err.Load(); got != want && w.l.event {
				w.t.Errorf("reset %v: %v", reset, got)
			}
			c.Close()
		}
	})
}

// TestConnInfo: a handler can ask which connection its request came on and how many came before it.
func TestConnInfo(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%+v;", r.Context().Value(ConnInfoKey))
	}
	for _, tune := range []func(*Server){nil, func(s *Server) {
		s.ConnContext = func(ctx context.Context, _ nc) context.Context { return context.WithoutCancel(ctx) }
	}} {
		inWorld(t, h, tune, func(w *world) {
			w.talk(get("/"))
			got := w.talk(get("/") + get("/"))
			for _, want := range []string{"{ID:2 Requests:1};", "{ID:2 Requests:2};"} {
				if !strings.Contains(got, want) {
					w.t.Errorf("%q is not in %q", want, got)
				}
			}
		})
	}
}

// TestContextOfParent: the context ends with BaseContext's.
func TestContextOfParent(t *testing.T) {
	var cancel context.CancelFunc
	h := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		fmt.Fprint(w, r.Context().Err())
	}
	tune := func(s *Server) {
		s.BaseContext = func(listener) context.Context {
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			return ctx
		}
	}
	inWorld(t, h, tune, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/"))
		synctest.Wait()
		cancel()
		if got := w.answers(arrived(c), "GET")[0]; got.body != "context canceled" {
			w.t.Errorf("got %q", got.body)
		}
	})
}

// TestStall: a client that takes no bytes, or sends none of its body, does not keep its worker.
func TestStall(t *testing.T) { // req: HTTP-03
	var ended atomic.Int32
	h := func(w http.ResponseWriter, r *http.Request) {
		defer ended.Add(1)
		if r.Method == "POST" {
			io.ReadAll(r.Body)
			return
		}
		for range 100 {
			if _, err := w.Write(make([]byte, 100_000)); err != nil {
				return
			}
		}
	}
	inWorld(t, h, nil, func(w *world) {
		ended.Store(0)
		reader, s1 := w.l.dial()
		reader.p.mu.Lock()
		reader.limit = 64 << 10
		reader.p.mu.Unlock()
		io.WriteString(reader, get("/"))
		sender, s2 := w.l.dial()
		io.WriteString(sender, post("Content-Length: 5")+"hell")
		time.Sleep(DefaultStallTimeout - time.Second)
		if ended.Load() != 0 {
			w.t.Error("ended too early")
		}
		time.Sleep(DefaultStallTimeout + 15*time.Second)
		if ended.Load() != 2 || !s1.isClosed() || !s2.isClosed() {
			w.t.Errorf("%d handlers ended, closed %v %v", ended.Load(), s1.isClosed(), s2.isClosed())
		}
	})
}

func TestManyConnections(t *testing.T) {
	inWorld(t, demo, nil, func(w *world) {
		results := make(chan string)
		for i := range 50 {
			go func() {
				c, server := w.l.dial()
				defer c.Close()
				server.p.mu.Lock()
				server.split = 1 + i
				server.p.mu.Unlock()
				for j := range 20 {
					io.WriteString(c, get("/slow")+get(fmt.Sprint("/", i, "/", j)))
					time.Sleep(101 * time.Millisecond)
				}
				c.CloseWrite()
				b, _ := io.ReadAll(c)
				results <- string(b)
			}()
		}
		for range 50 {
			if got := <-results; strings.Count(got, "HTTP/1.1 200 OK") != 40 {
				w.t.Errorf("got %q", got)
			}
		}
	})
}

func TestOnAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &notifyListener{pipeListener: newPipeListener(true)}
		s := &Server{Handler: http.HandlerFunc(demo)}
		end := make(chan error, 1)
		go func() { end <- s.Serve(l) }()
		synctest.Wait()
		c := l.dial()
		io.WriteString(c, get("/x"))
		if got := arrived(c); !strings.HasSuffix(got, "GET /x") {
			t.Errorf("got %q", got)
		}
		c.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-end; err != ErrServerClosed {
			t.Error(err)
		}
		late := l.dial() // it was on its way
		if synctest.Wait(); !late.hasFIN() {
			t.Error("a connection was taken after the end")
		}
	})
}
