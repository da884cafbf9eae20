package httpserver

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinger: the answer to a refused request survives whatever the client still sends.
func TestLinger(t *testing.T) { // req: 9112-9.6d 9112-2.2e
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

func TestLingerIsBounded(t *testing.T) { // req: 9112-9.6d
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

// TestLingerBytes: what is discarded after the last answer has a bound; beyond it the window closes.
func TestLingerBytes(t *testing.T) { // req: 9112-9.6d
	if raceEnabled || testing.Short() {
		t.Skip("much data")
	}
	inWorld(t, demo, nil, func(w *world) {
		w.l.tune = func(server *pipeEnd) { server.limit = 1 << 20 }
		c, server := w.l.dial()
		defer c.Close()
		io.WriteString(c, "garbage\r\n\r\n")
		synctest.Wait()
		c.SetWriteDeadline(time.Now().Add(time.Second))
		sent, buf := 0, make([]byte, 1<<20)
		for {
			n, err := c.Write(buf)
			if sent += n; err != nil {
				break
			}
		}
		if synctest.Wait(); sent < lingerBytes || sent > lingerBytes+3<<20 || server.isClosed() != !w.l.event {
			w.t.Errorf("%d octets were taken, closed: %v", sent, server.isClosed())
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

func TestShutdown(t *testing.T) { // req: HTTP-06 9112-9.6b
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

// TestShutdownInHead: a request that is on its way when the shutdown begins is still answered, as the last.
func TestShutdownInHead(t *testing.T) { // req: HTTP-06 9112-9.6b
	inWorld(t, demo, nil, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, get("/x")[:10])
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- w.s.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		io.WriteString(c, get("/x")[10:])
		if a := w.answers(w.readAll(c), "GET")[0]; a.body != "GET /x" || !a.Close {
			w.t.Errorf("%q, close %v", a.body, a.Close)
		}
		c.Close()
		if err := <-done; err != nil {
			w.t.Error(err)
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
