package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestNegativeTimeouts: a negative time-out is none.
func TestNegativeTimeouts(t *testing.T) {
	tune := func(s *Server) { s.ReadHeaderTimeout, s.IdleTimeout, s.StallTimeout = -1, -1, -1 }
	inWorld(t, demo, tune, func(w *world) {
		w.l.tune = func(server *pipeEnd) { server.peer.limit = 1000 }
		raw := []string{get("/1"), post("Content-Length: 5") + "hello", get("/big")}
		for _, cut := range []int{0, 10, len(raw[1]) - 2} {
			c, _ := w.l.dial()
			io.WriteString(c, raw[0]+raw[1][:cut])
			time.Sleep(24 * time.Hour)
			io.WriteString(c, raw[1][cut:]+raw[2])
			time.Sleep(24 * time.Hour) // the client takes nothing
			c.CloseWrite()
			if all := w.answers(w.readAll(c), "GET", "POST", "GET"); all[1].body != "5 <nil>" || len(all[2].body) != 100_000 {
				w.t.Errorf("cut at %d: %q, %d octets", cut, all[1].body, len(all[2].body))
			}
			c.Close()
		}
	})
}

// TestConnStates: the states that a connection goes through, by how it ends.
func TestConnStates(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/close":
			w.Header().Set("Connection", "close")
		case "/hijack", "/hijack-panic":
			nc, _, _ := w.(http.Hijacker).Hijack()
			nc.Close()
			if r.URL.Path == "/hijack-panic" {
				panic("intended")
			}
		case "/panic":
			panic("intended")
		}
	}
	for raw, want := range map[string]string{
		"":                       "new closed",
		"BOGUS REQUEST\r\n\r\n":  "new closed",
		get("/"):                 "new active idle closed",
		get("/") + get("/"):      "new active idle closed",
		get("/close"):            "new active closed",
		"GET / HTTP/1.0\r\n\r\n": "new active closed",
		get("/hijack"):           "new active hijacked",
		get("/hijack-panic"):     "new active hijacked",
		get("/panic"):            "new active closed",
	} {
		var states []string
		inWorld(t, h, func(s *Server) {
			states = nil
			s.ConnState = func(c nc, st http.ConnState) {
				if c == nil {
					t.Error("no connection")
				}
				states = append(states, st.String())
			}
		}, func(w *world) {
			c, _ := w.l.dial()
			io.WriteString(c, raw)
			arrived(c)
			c.Close()
			synctest.Wait()
			if got := strings.Join(states, " "); got != want {
				w.t.Errorf("%q: %s, want %s", raw, got, want)
			}
		})
	}
}

// A listenerOf is a listener of a type that cannot be compared, and fails as it is told before it accepts.
type listenerOf struct {
	*pipeListener
	closed *atomic.Int32
	errs   chan error
	_      []int
}

func (l listenerOf) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.pipeListener.Accept()
	}
}

func (l listenerOf) Close() error {
	l.closed.Add(1)
	return l.pipeListener.Close()
}

type temporary struct{ error }

func (temporary) Temporary() bool { return true }

// TestListeners: a server serves several listeners, whatever their type, goes on after what will pass, such as too many
// open files, ends with what will not, and closes each listener once.
func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged := new(safeLog)
		s := &Server{Handler: http.HandlerFunc(demo), ErrorLog: log.New(logged, "", 0)}
		fatal := errors.New("the device is gone")
		var served sync.WaitGroup
		var all []listenerOf
		full := temporary{errors.New("too many open files")}
		for i, errs := range [][]error{nil, {full, full, full}, {fatal}} {
			l := listenerOf{newPipeListener(true), new(atomic.Int32), make(chan error, 3), nil}
			for _, err := range errs {
				l.errs <- err
			}
			all = append(all, l)
			served.Go(func() {
				want := ErrServerClosed
				if i == 2 {
					want = fatal
				}
				if err := s.Serve(l); err != want {
					t.Errorf("listener %d: %v", i, err)
				}
			})
		}
		start := time.Now()
		for i, l := range all[:2] {
			c, _ := l.dial()
			if d := time.Since(start); d != time.Duration(i)*35*time.Millisecond { // 5 ms, 10 ms, 20 ms
				t.Errorf("listener %d took %v", i, d)
			}
			io.WriteString(c, get("/x"))
			if got := arrived(c); !strings.HasSuffix(got, "GET /x") {
				t.Errorf("listener %d: %q", i, got)
			}
			c.Close()
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		served.Wait()
		s.Close()
		s.Close()
		late := listenerOf{newPipeListener(true), new(atomic.Int32), nil, nil}
		if err := s.Serve(late); err != ErrServerClosed {
			t.Errorf("after the end: %v", err)
		}
		for i, l := range append(all, late) {
			if n := l.closed.Load(); n != 1 {
				t.Errorf("listener %d was closed %d times", i, n)
			}
		}
		if got := logged.String(); strings.Count(got, "trying again") != 3 {
			t.Errorf("logged %q", got)
		}
		new(Server).Close()
	})
}

// A shyConn does not tell its client's address until it may.
type shyConn struct {
	net.Conn
	may chan struct{}
}

func (c shyConn) RemoteAddr() net.Addr { <-c.may; return c.Conn.RemoteAddr() }

type shyListener struct {
	*pipeListener
	may   chan struct{}
	first atomic.Bool
}

func (l *shyListener) Accept() (net.Conn, error) {
	c, err := l.pipeListener.Accept()
	if err == nil && l.first.CompareAndSwap(false, true) {
		c = shyConn{c, l.may}
	}
	return c, err
}

// TestSlowAddress: a connection that takes long to tell its client's address holds up no other.
func TestSlowAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &shyListener{pipeListener: newPipeListener(false), may: make(chan struct{})}
		s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })}
		go s.Serve(l)
		first, _ := l.dial()
		io.WriteString(first, get("/"))
		second, _ := l.dial()
		io.WriteString(second, get("/"))
		if got := arrived(second); !strings.HasSuffix(got, "\r\n\r\n10.90.0.1:40001") {
			t.Errorf("the second: %q", got)
		}
		close(l.may)
		if got := arrived(first); !strings.HasSuffix(got, "\r\n\r\n10.90.0.1:40000") {
			t.Errorf("the first: %q", got)
		}
		s.Close()
	})
}

// TestContextsOfConns: what ConnContext adds is seen by its connection's requests, all of them and no other's.
func TestContextsOfConns(t *testing.T) {
	type base struct{}
	type own struct{}
	h := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Context().Value(base{}), " ", r.Context().Value(own{}))
	}
	tune := func(s *Server) {
		n := 0
		s.BaseContext = func(l net.Listener) context.Context {
			return context.WithValue(context.Background(), base{}, l.Addr().String())
		}
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			if n++; n == 2 {
				return context.WithValue(ctx, own{}, n)
			}
			return ctx
		}
	}
	inWorld(t, h, tune, func(w *world) {
		for _, want := range []string{"<nil>", "2", "<nil>"} {
			for _, a := range w.answers(w.talk(get("/")+get("/")), "GET", "GET") {
				if a.body != "10.90.0.2:80 "+want {
					w.t.Errorf("got %q, want %q", a.body, want)
				}
			}
		}
	})
}

// TestHijackGetsEverything: who hijacks gets every octet behind the head: the body that was not read, and what came
// while the handler waited for a reset.
func TestHijackGetsEverything(t *testing.T) {
	large := strings.Repeat("0123456789", 100_000)
	for _, tt := range []struct {
		name, fields, first, then string
	}{
		{"nothing yet", "", "", "later"},
		{"an octet while the context is watched", "", "x", "yz"},
		{"much while the context is watched", "", large, "end"},
		{"an unread body", "Content-Length: 5\r\n", "hello", "more"},
		{"an unread body of several pieces", "Content-Length: 1000000\r\n", large, "more"},
	} {
		h := func(w http.ResponseWriter, r *http.Request) {
			done := r.Context().Done()
			select {
			case <-done:
			case <-time.After(time.Second):
			}
			nc, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer nc.Close()
			b := make([]byte, len(tt.first+tt.then))
			n, err := io.ReadFull(rw, b)
			if string(b[:n]) != tt.first+tt.then {
				err = fmt.Errorf("%d octets, other ones: %w", n, err)
			}
			fmt.Fprint(nc, err)
		}
		inWorld(t, h, nil, func(w *world) {
			c, _ := w.l.dial()
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n"+tt.fields+"\r\n")
			synctest.Wait()
			io.WriteString(c, tt.first)
			time.Sleep(2 * time.Second)
			io.WriteString(c, tt.then)
			if got := w.readAll(c); got != "<nil>" {
				w.t.Errorf("%s: %s", tt.name, got)
			}
			c.Close()
		})
	}
}
