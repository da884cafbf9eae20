package httpserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These tests show what docs/httpserver.md says of net/http's own tests, as far as no other test does.

// TestHeaderToWire: a field counts if it is set before the first byte or Flush, or before the handler returns.
func TestHeaderToWire(t *testing.T) {
	const html = "<html><head></head><body>some html</body></html>"
	tests := []struct {
		name    string
		handler http.HandlerFunc
		has     []string
		hasNot  string
	}{
		{"write without a field", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello world")
		}, []string{"Content-Length: 11\r\n", "Content-Type: text/plain; charset=utf-8\r\n"}, "chunked"},
		{"field before the write", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "some/type")
			io.WriteString(w, html)
			w.Header().Set("Too-Late", "x")
		}, []string{"Content-Length: ", "Content-Type: some/type\r\n"}, "Too-Late"},
		{"type after the write", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, html)
			w.Header().Set("Content-Type", "x/wrong")
		}, []string{"Content-Type: text/html; charset=utf-8\r\n"}, "x/wrong"},
		{"flush, then write", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "some/type")
			w.(http.Flusher).Flush()
			io.WriteString(w, "after")
			w.Header().Set("Too-Late", "x")
		}, []string{"Transfer-Encoding: chunked\r\n", "Content-Type: some/type\r\n"}, "Too-Late"},
		{"nothing", func(w http.ResponseWriter, r *http.Request) {}, []string{"Content-Length: 0\r\n"}, "Content-Type"},
		{"a field, no write", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Some-Header", "some-value")
		}, []string{"Some-Header: some-value\r\n", "Content-Length: 0\r\n"}, "chunked"},
		{"status, then a field", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			w.Header().Set("Too-Late", "x")
		}, []string{"HTTP/1.1 404 Not Found\r\n"}, "Too-Late"},
		{"no Date", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
		}, []string{"Content-Length: 0\r\n"}, "Date"},
		{"a Date of one's own", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", "yesterday")
		}, []string{"\r\nDate: yesterday\r\n"}, "GMT"},
		{"no Content-Type", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, html)
		}, []string{"Content-Length: "}, "Content-Type"},
		{"an encoding", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, html)
		}, []string{"Content-Encoding: gzip\r\n"}, "Content-Type"},
		{"an empty encoding", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "")
			io.WriteString(w, html)
		}, []string{"Content-Type: text/html; charset=utf-8\r\n"}, "gzip"},
		{"a type for no content", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(204)
		}, []string{"HTTP/1.1 204 No Content\r\n", "Content-Type: text/html\r\n"}, "Content-Length"},
		{"chunked by the handler", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			io.WriteString(w, "hello")
		}, []string{"Content-Length: 5\r\n"}, "chunked"},
		{"a coding of the handler's", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Transfer-Encoding", "gzip")
			io.WriteString(w, "hello")
		}, []string{"Content-Length: 5\r\n"}, "gzip"},
		{"no length", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Length"] = nil
			io.WriteString(w, "hello")
		}, []string{"Content-Length: 5\r\n"}, "chunked"},
	}
	for _, tt := range tests {
		inWorld(t, tt.handler, nil, func(w *world) {
			raw := w.talk(get("/"))
			for _, s := range tt.has {
				if !strings.Contains(raw, s) {
					w.t.Errorf("%s: no %q in %q", tt.name, s, raw)
				}
			}
			if strings.Contains(raw, tt.hasNot) {
				w.t.Errorf("%s: %q in %q", tt.name, tt.hasNot, raw)
			}
		})
	}
}

// TestWaysToWrite: every way to write content is there, counts what it was given, and says nothing in answer to HEAD.
func TestWaysToWrite(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		var n int64
		var err error
		switch r.URL.Path {
		case "/string":
			var m int
			m, err = w.(io.StringWriter).WriteString("hello")
			n = int64(m)
		case "/from":
			n, err = w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello"))
		case "/limited":
			n, err = io.Copy(w, io.LimitReader(strings.NewReader("hello world"), 5))
		case "/sized":
			w.Header().Set("Content-Length", "5")
			n, err = io.Copy(w, struct{ io.Reader }{strings.NewReader("hello")})
		case "/body":
			n, err = io.Copy(w, r.Body)
		}
		if n != 5 || err != nil {
			panic(fmt.Sprint(r.URL.Path, n, err))
		}
	}
	inWorld(t, h, nil, func(w *world) {
		for _, path := range []string{"/string", "/from", "/limited", "/sized", "/body"} {
			for method, want := range map[string]string{"GET": "hello", "HEAD": ""} {
				raw := w.talk(method + " " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + get("/string"))
				all := w.answers(raw, method, "GET")
				if all[0].StatusCode != 200 || all[0].body != want || all[0].ContentLength != 5 {
					w.t.Errorf("%s %s: %q", method, path, raw)
				}
			}
		}
	})
}

// TestHijackedWrites: once hijacked, the connection is the handler's alone, and the answer takes nothing more.
func TestHijackedWrites(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/switch":
			w.Header().Set("Upgrade", "thing")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		case "/flush":
			io.WriteString(w, "begun ")
			w.(http.Flusher).Flush()
		}
		nc, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		_, again, err := w.(http.Hijacker).Hijack()
		n1, err1 := w.Write(nil)
		n2, err2 := io.WriteString(w, "x")
		err3 := http.NewResponseController(w).Flush()
		w.WriteHeader(500)
		if again != nil || n1+n2 != 0 {
			fmt.Fprint(nc, "taken ")
		}
		for _, err := range []error{err, err1, err2, err3} {
			fmt.Fprint(nc, errors.Is(err, http.ErrHijacked), " ")
		}
		if r.URL.Path == "/panic" {
			panic("after hijack")
		}
	}
	inWorld(t, h, nil, func(w *world) {
		const refused = "true true true true "
		if got := w.talk(get("/")); got != refused {
			w.t.Errorf("got %q", got)
		}
		got := w.talk(get("/switch"))
		if !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") || !strings.Contains(got, "\r\nUpgrade: thing\r\n") ||
			!strings.Contains(got, "\r\nConnection: Upgrade\r\n") || !strings.HasSuffix(got, "\r\n\r\n"+refused) {
			w.t.Errorf("switching: %q", got)
		}
		if got := w.talk(get("/flush")); !strings.HasSuffix(got, "\r\n\r\n6\r\nbegun \r\n"+refused) {
			w.t.Errorf("flushed: %q", got)
		}
		got = w.talk(get("/panic"))
		synctest.Wait()
		if got != refused || !strings.Contains(w.log.String(), "panic serving 10.90.0.1") {
			w.t.Errorf("after a panic: %q, logged %q", got, w.log.String())
		}
		if n := w.open(); n != 0 {
			w.t.Errorf("%d connections in the books", n)
		}
	})
}

// TestWriteDeadlines: a deadline of a handler's ends the answer where it passes, and the connection with it; one that
// does not pass does nothing.
func TestWriteDeadlines(t *testing.T) {
	var flushed []bool
	h := func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(struct{ http.ResponseWriter }{w})
		if r.URL.Path == "/wrapped" {
			fmt.Fprint(w, errors.Is(rc.Flush(), http.ErrNotSupported), http.NewResponseController(wrapped{w}).Flush() == nil)
			return
		}
		rc = http.NewResponseController(w)
		io.WriteString(w, "one")
		flushed = append(flushed, rc.Flush() == nil)
		past := time.Now().Add(-10 * time.Second)
		if r.URL.Path == "/future" {
			past = time.Now().Add(time.Hour)
		}
		rc.SetWriteDeadline(past)
		io.WriteString(w, "two")
		flushed = append(flushed, rc.Flush() == nil)
		rc.SetWriteDeadline(time.Now().Add(time.Hour))
		io.WriteString(w, "three")
		flushed = append(flushed, rc.Flush() == nil)
	}
	inWorld(t, h, nil, func(w *world) {
		for path, want := range map[string]string{"/past": "[true false false]", "/future": "[true true true]"} {
			flushed = nil
			c, server := w.l.dial()
			io.WriteString(c, get(path))
			got := arrived(c)
			ok := strings.HasSuffix(got, "\r\n\r\n3\r\none\r\n") && server.isClosed()
			if path == "/future" {
				ok = w.answers(got, "GET")[0].body == "onetwothree" && !server.isClosed()
			}
			if fmt.Sprint(flushed) != want || !ok {
				w.t.Errorf("%s: flushed %v, %q, closed %v", path, flushed, got, server.isClosed())
			}
			c.Close()
		}
		if a := w.answers(w.talk(get("/wrapped")), "GET")[0]; a.body != "true true" {
			w.t.Errorf("wrapped: %q", a.body)
		}
	})
}

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestReadDeadlines: as TestWriteDeadlines, for the request's body.
func TestReadDeadlines(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 3)
		io.ReadFull(r.Body, first)
		at := time.Now().Add(-time.Second)
		if r.URL.Path == "/future" {
			at = time.Now().Add(time.Second)
		}
		http.NewResponseController(w).SetReadDeadline(at)
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q %v", first, b, errors.Is(err, os.ErrDeadlineExceeded))
	}
	inWorld(t, h, nil, func(w *world) {
		for path, want := range map[string]string{"/past": `one "" true`, "/future": `one "two" true`} {
			c, _ := w.l.dial()
			io.WriteString(c, strings.Replace(post("Content-Length: 9"), "/read", path, 1)+"one")
			if path == "/future" {
				time.Sleep(time.Millisecond)
				io.WriteString(c, "two")
			}
			if a := w.answers(w.readAll(c), "POST")[0]; a.body != want {
				w.t.Errorf("%s: %q", path, a.body)
			}
			c.Close()
		}
	})
}
