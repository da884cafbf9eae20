package httpserver

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A world is a server with a listener in memory, in a synctest bubble: time-outs pass at once and sleeps are exact.
type world struct {
	t   *testing.T
	s   *Server
	l   *pipeListener
	log *safeLog
	mu  sync.Mutex
	ent []Entry
	end chan error
}

type safeLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inWorld runs f with connections that tell when they are readable, fresh and reused requests, and with plain ones.
func inWorld(t *testing.T, h http.HandlerFunc, tune func(*Server), f func(w *world)) {
	t.Helper()
	for _, kind := range []string{"event", "reuse", "plain"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, l: newPipeListener(kind != "plain"), log: new(safeLog), end: make(chan error, 1)}
				w.s = &Server{Handler: h, ErrorLog: log.New(w.log, "", 0), ReuseRequests: kind == "reuse"}
				w.s.AccessLog = func(e *Entry) {
					kept := *e
					for _, s := range []*string{&kept.RemoteAddr, &kept.Method, &kept.Target, &kept.Proto, &kept.Host, &kept.Referer, &kept.UserAgent} {
						*s = strings.Clone(*s)
					}
					w.mu.Lock()
					w.ent = append(w.ent, kept)
					w.mu.Unlock()
				}
				if tune != nil {
					tune(w.s)
				}
				go func() { w.end <- w.s.Serve(w.l) }()
				synctest.Wait()
				defer func() {
					w.s.Close()
					if err := <-w.end; err != ErrServerClosed {
						t.Errorf("Serve returned %v", err)
					}
					time.Sleep(time.Hour) // what still runs then is a leak, which ends the bubble in a deadlock
				}()
				f(w)
			})
		})
	}
}

func (w *world) entries() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Entry(nil), w.ent...)
}

// talk sends raw on a new connection, half-closes it and returns all that comes back, to the FIN.
func (w *world) talk(raw string) string {
	w.t.Helper()
	c, _ := w.l.dial()
	defer c.Close()
	io.WriteString(c, raw)
	c.CloseWrite()
	return w.readAll(c)
}

func (w *world) readAll(c *pipeEnd) string {
	w.t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		w.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// arrived returns what the client has received by the time everything has come to rest.
func arrived(c *pipeEnd) string {
	synctest.Wait()
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	s := string(c.in)
	c.in = nil
	return s
}

// An answer is a response as a client reads it.
type answer struct {
	*http.Response
	body string
}

// answers reads responses to requests of the given methods, and fails if anything is left.
func (w *world) answers(raw string, methods ...string) []answer {
	w.t.Helper()
	r := bufio.NewReader(strings.NewReader(raw))
	var all []answer
	for _, m := range methods {
		resp, err := http.ReadResponse(r, &http.Request{Method: m})
		if err != nil {
			w.t.Fatalf("response %d: %v in %q", len(all)+1, err, raw)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			w.t.Fatalf("body %d: %v in %q", len(all)+1, err, raw)
		}
		all = append(all, answer{resp, string(b)})
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		w.t.Fatalf("%q after the answers", rest)
	}
	return all
}

func status(raw string) string {
	line, _, _ := strings.Cut(raw, "\r\n")
	_, code, _ := strings.Cut(line, " ")
	code, _, _ = strings.Cut(code, " ")
	return code
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// demo is a handler with a few habits.
func demo(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		time.Sleep(100 * time.Millisecond)
		fmt.Fprintf(w, "slow")
	case "/read":
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(b), err)
	case "/echo":
		io.Copy(w, r.Body)
	case "/big":
		w.Write(make([]byte, 100_000))
	case "/panic":
		panic("boom")
	default:
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	}
}

type (
	nc       = net.Conn
	listener = net.Listener
)

// open returns how many connections the server knows of.
func (w *world) open() int {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	n := 0
	for c := w.s.conns; c != nil; c = c.next {
		n++
	}
	return n
}
