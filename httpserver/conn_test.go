package httpserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipelining(t *testing.T) { // req: 9112-9.3.2
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
func TestFlushRule(t *testing.T) { // req: 9112-9.3.2
	tests := []struct {
		name, next string
		wait       time.Duration
	}{
		{"slow handler", get("/slow"), flushDelay},
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
		req, fields string
		keep        bool
	}{
		{"9112-9.3", "GET /a HTTP/1.1\r\nHost: a\r\n", true},
		{"9112-9.3", "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", false},
		{"9112-9.3", "GET /a HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n", false},
		{"9112-9.3", "GET /a HTTP/1.1\r\nHost: a\r\nConnection: foo\r\nConnection: close\r\n", false},
		{"9112-9.3", "GET /a HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n", true},
		{"9112-9.3", "GET /a HTTP/1.0\r\n", false},
		{"9112-C.2.2", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n", true},
		{"9112-C.2.2", "GET /a HTTP/1.0\r\nConnection: Keep-Alive, close\r\n", false},
		{"9112-C.2.2", "GET /a HTTP/1.0\r\nProxy-Connection: keep-alive\r\n", false},
		{"9112-C.2.2", "GET /a HTTP/1.0\r\nKeep-Alive: 300\r\n", false},
	}
	inWorld(t, demo, nil, func(w *world) {
		for _, tt := range tests { // req: see the table
			c, _ := w.l.dial()
			io.WriteString(c, tt.fields+"\r\n"+get("/b"))
			got := arrived(c)
			methods := []string{"GET", "GET"}
			if !tt.keep {
				methods = methods[:1] // req: 9112-9.6
			}
			a := w.answers(got, methods...)[0]
			if a.Close == tt.keep && a.ProtoMinor == 1 && strings.Contains(tt.fields, "1.1") {
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

func TestMaxRequests(t *testing.T) { // req: 9112-9.6
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
func TestHeadTimeout(t *testing.T) {
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

// TestLinger: the answer to a refused request survives whatever the client still sends.
func TestLinger(t *testing.T) { // req: 9112-9.6
	inWorld(t, demo, nil, func(w *world) {
		c, server := w.l.dial()
		io.WriteString(c, "garbage\r\n\r\n")
		for range 16 {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				w.t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got := w.readAll(c); status(got) != "400" {
			w.t.Errorf("got %q", got)
		}
		if server.isClosed() {
			w.t.Error("closed before the client's FIN")
		}
		c.Close()
		if synctest.Wait(); !server.isClosed() {
			w.t.Error("not closed after the client's FIN")
		}
	})
}

func TestLingerIsBounded(t *testing.T) { // req: 9112-9.6
	inWorld(t, demo, nil, func(w *world) {
		silent, silentServer := w.l.dial()
		io.WriteString(silent, "garbage\r\n\r\n")
		talker, talkerServer := w.l.dial()
		io.WriteString(talker, "garbage\r\n\r\n")
		start := time.Now()
		closed := map[*pipeEnd]time.Duration{}
		for range 12 * 2 {
			time.Sleep(500 * time.Millisecond)
			talker.Write([]byte("x"))
			synctest.Wait()
			for _, s := range []*pipeEnd{silentServer, talkerServer} {
				if s.isClosed() && closed[s] == 0 {
					closed[s] = time.Since(start)
				}
			}
		}
		if closed[silentServer] != lingerIdle {
			w.t.Errorf("the silent one was closed after %v", closed[silentServer])
		}
		if d := closed[talkerServer]; d < lingerTotal || d > lingerTotal+time.Second {
			w.t.Errorf("the talking one was closed after %v", d)
		}
	})
}

func TestLingerCount(t *testing.T) {
	if testing.Short() {
		t.Skip("many connections")
	}
	inWorld(t, demo, nil, func(w *world) {
		var servers []*pipeEnd
		for range maxLingers + 5 {
			c, s := w.l.dial()
			io.WriteString(c, "garbage\r\n\r\n")
			servers = append(servers, s)
			synctest.Wait()
		}
		open := 0
		for _, s := range servers {
			if !s.isClosed() {
				open++
			}
		}
		if open > maxLingers+1 || open < maxLingers {
			w.t.Errorf("%d connections linger", open)
		}
	})
}

func TestCloseModes(t *testing.T) {
	for mode, wantErr := range map[CloseMode]error{CloseHalf: nil, CloseFull: nil, CloseAbort: syscall.ECONNRESET} {
		inWorld(t, demo, func(s *Server) { s.CloseMode = mode }, func(w *world) {
			c, server := w.l.dial()
			io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			synctest.Wait()
			if c.gotErr() != wantErr || server.isClosed() != (mode != CloseHalf) {
				w.t.Errorf("mode %d: error %v, closed %v", mode, c.gotErr(), server.isClosed())
			}
			c.Close()
		})
	}
}

func TestPanic(t *testing.T) {
	inWorld(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			io.WriteString(w, "something")
			w.(http.Flusher).Flush()
			panic("late")
		case "/buffered":
			io.WriteString(w, "something")
			panic("buffered")
		case "/abort":
			io.WriteString(w, "something")
			panic(http.ErrAbortHandler)
		case "/goexit":
			runtime.Goexit()
		case "/continued":
			io.ReadFull(r.Body, make([]byte, 1))
			panic("continued")
		}
		demo(w, r)
	}, nil, func(w *world) {
		all := w.answers(w.talk(get("/1")+get("/buffered")+get("/3")), "GET", "GET")
		if all[0].body != "GET /1" || all[1].StatusCode != 500 || !all[1].Close || strings.Contains(all[1].body, "something") {
			w.t.Errorf("buffered: %v %q", all[1].Status, all[1].body)
		}
		if log := w.log.String(); !strings.Contains(log, "buffered") || !strings.Contains(log, "TestPanic") {
			w.t.Errorf("logged %q", log)
		}
		if e := w.entries(); len(e) != 2 || e[1].Status != 500 || e[1].Close != ReasonPanic {
			w.t.Errorf("entries %+v", e)
		}
		c, _ := w.l.dial()
		io.WriteString(c, "PUT /continued HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
		got := arrived(c)
		io.WriteString(c, "x")
		if got += arrived(c); !strings.Contains(got, "\r\n\r\nHTTP/1.1 500 ") || c.gotErr() != nil {
			w.t.Errorf("after 100: %q", got)
		}
		c.Close()
		for _, path := range []string{"/abort", "/goexit"} {
			if got := w.talk(get("/1") + get(path)); len(w.answers(got, "GET")) != 1 {
				w.t.Errorf("%s: %q", path, got)
			}
		}
		c, _ = w.l.dial()
		io.WriteString(c, get("/late"))
		if synctest.Wait(); c.gotErr() != syscall.ECONNRESET {
			w.t.Errorf("late: error %v", c.gotErr())
		}
		if n := strings.Count(w.log.String(), "panic serving"); n != 3 {
			w.t.Errorf("%d panics logged", n)
		}
		if got := w.talk(get("/after")); !strings.Contains(got, "GET /after") {
			w.t.Errorf("after the panics: %q", got)
		}
	})
}

func TestShutdown(t *testing.T) { // req: 9112-9.6
	inWorld(t, demo, nil, func(w *world) {
		idle, _ := w.l.dial()
		io.WriteString(idle, get("/"))
		fresh, _ := w.l.dial()
		busy, _ := w.l.dial()
		io.WriteString(busy, get("/slow")+get("/never"))
		if got := w.answers(arrived(idle), "GET")[0]; got.Close {
			w.t.Error("close announced before Shutdown")
		}
		done := make(chan error, 1)
		start := time.Now()
		go func() { done <- w.s.Shutdown(context.Background()) }()
		synctest.Wait()
		for _, c := range []*pipeEnd{idle, fresh} {
			if !c.hasFIN() || c.gotErr() != nil {
				w.t.Errorf("idle connection: fin %v, error %v", c.hasFIN(), c.gotErr())
			}
			c.Close()
		}
		a := w.answers(w.readAll(busy), "GET")[0]
		if a.body != "slow" || !a.Close {
			w.t.Errorf("running request: %q, close %v", a.body, a.Close)
		}
		busy.Close()
		if err := <-done; err != nil || time.Since(start) != 100*time.Millisecond {
			w.t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
	})
}

func TestShutdownGivesUp(t *testing.T) {
	inWorld(t, demo, nil, func(w *world) {
		c, _ := w.l.dial()
		defer c.Close()
		io.WriteString(c, get("/slow"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := w.s.Shutdown(ctx); err != context.DeadlineExceeded {
			w.t.Errorf("Shutdown: %v", err)
		}
		if err := w.s.Serve(newPipeListener(true)); err != ErrServerClosed {
			w.t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	inWorld(t, demo, nil, func(w *world) {
		var servers []*pipeEnd
		for _, raw := range []string{"", get("/"), "GET ", get("/slow"), "garbage\r\n\r\n"} {
			c, s := w.l.dial()
			io.WriteString(c, raw)
			servers = append(servers, s)
		}
		synctest.Wait()
		w.s.Close()
		synctest.Wait()
		for i, s := range servers {
			if !s.isClosed() {
				w.t.Errorf("connection %d is open", i)
			}
		}
		time.Sleep(time.Second)
		if n := w.open(); n != 0 {
			w.t.Errorf("%d connections in the books", n)
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
func TestContext(t *testing.T) { // req: 9112-9.6
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
func TestStall(t *testing.T) {
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
	})
}
