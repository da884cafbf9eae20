package httpserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"
)

// TestReuse: a request and an answer that use one another's memory see nothing of each other.
func TestReuse(t *testing.T) {
	var used []*http.Request
	h := func(w http.ResponseWriter, r *http.Request) {
		used = append(used, r)
		body, err := io.ReadAll(r.Body)
		dump, _ := httputil.DumpRequest(r, false)
		answer := fmt.Sprintf("%s%q %v %d %v %v %v", dump, body, err, r.ContentLength, r.Trailer, r.Context().Err(), r.PathValue("a"))
		if r.URL.Path == "/plain" {
			io.WriteString(w, answer)
			return
		}
		r.ParseForm()
		r.SetPathValue("a", "b")
		r.Header.Set("Y", "mine")
		r.URL.Path, r.Method, r.Host = "/changed", "PUT", "changed"
		r.Context().Done()
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Encoding", "none")
		w.Header().Set("Trailer", "T")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, answer)
		http.NewResponseController(w).Flush()
		w.Header().Set("T", "t")
	}
	const (
		plain  = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
		others = "POST /x?q=1 HTTP/1.1\r\nHost: other\r\nX: 1\r\nX: 2\r\nCookie: c\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"3\r\nabc\r\n0\r\nT: u\r\n\r\n"
		want = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n\"\" <nil> 0 map[] <nil> "
	)
	inWorld(t, h, nil, func(w *world) {
		used = nil
		for _, raw := range []string{plain + others + plain + others + plain, others + plain + plain + others + plain} {
			for i, a := range w.answers(w.talk(raw), "GET", "POST", "GET", "POST", "GET") {
				switch {
				case a.StatusCode == 404:
					if a.Header.Get("Set-Cookie") == "" || a.Trailer.Get("T") != "t" {
						w.t.Errorf("answer %d: %v, trailer %v", i, a.Header, a.Trailer)
					}
				case a.body != want || len(a.Header) != 3 || len(a.Trailer) != 0 || a.StatusCode != 200:
					w.t.Errorf("answer %d: %v %v %q", i, a.Status, a.Header, a.body)
				}
			}
		}
		same := used[0] == used[1]
		if same != w.s.ReuseRequests {
			w.t.Errorf("the Request is the same: %v", same)
		}
	})
}

// TestReuseNotWhileUsed: a handler that hijacks or panics keeps its request, and two that run at once have one each.
func TestReuseNotWhileUsed(t *testing.T) {
	var kept *http.Request
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hijack":
			kept = r
			http.NewResponseController(w).Hijack()
		case "/panic":
			kept = r
			panic(http.ErrAbortHandler)
		default:
			time.Sleep(time.Second)
			io.WriteString(w, r.URL.Path)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		a, _ := w.l.dial()
		b, _ := w.l.dial()
		io.WriteString(a, get("/first"))
		io.WriteString(b, get("/second"))
		time.Sleep(2 * time.Second)
		for path, c := range map[string]*pipeEnd{"/first": a, "/second": b} {
			if got := w.answers(arrived(c), "GET")[0].body; got != path {
				w.t.Errorf("%s was answered %q", path, got)
			}
			c.Close()
		}
		for _, path := range []string{"/hijack", "/panic"} {
			c, _ := w.l.dial()
			io.WriteString(c, get(path))
			arrived(c)
			d, _ := w.l.dial()
			port := fmt.Sprint(":", 40000+w.l.dialed.Load()-2) // c's
			io.WriteString(d, get("/next"))
			time.Sleep(2 * time.Second)
			w.answers(arrived(d), "GET")
			if !strings.HasSuffix(kept.RemoteAddr, port) {
				w.t.Errorf("the address of %s has become %s", path, kept.RemoteAddr)
			}
			if kept.URL.Path != path || kept.RequestURI != path || kept.Context().Err() != context.Canceled {
				w.t.Errorf("the request of %s has become %s", path, kept.RequestURI)
			}
			c.Close()
			d.Close()
		}
	})
}

// TestBurstIsDiscardedOnce: the heads of a burst are discarded together, before its answers leave.
func TestBurstIsDiscardedOnce(t *testing.T) {
	c := newScripted(t, nil)
	c.turn(pipelined(simpleGet))
	if c.discards != 1 || len(c.in) != 0 {
		t.Errorf("%d discards, %d bytes left", c.discards, len(c.in))
	}
}
