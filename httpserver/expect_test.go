package httpserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestContinueOnce: 100 Continue is sent once at most, never after the final answer has begun, and not for a request
// without a body.
func TestContinueOnce(t *testing.T) { // req: 9110-10.1.1a
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/self":
			w.WriteHeader(http.StatusContinue)
		case "/late":
			io.WriteString(w, "early ")
			w.(http.Flusher).Flush()
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(b), err)
	}
	const expect = " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
	tests := []struct {
		name, head, body string
		continues        int
		want             string
	}{
		{"length", "PUT /" + expect + "Content-Length: 5\r\n\r\n", "hello", 1, "5 <nil>"},
		{"chunked", "PUT /" + expect + "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", 1, "5 <nil>"},
		{"by itself", "PUT /self" + expect + "Content-Length: 5\r\n\r\n", "hello", 1, "5 <nil>"},
		{"after the answer began", "PUT /late" + expect + "Content-Length: 5\r\n\r\n", "hello", 0, "early 5 <nil>"},
		{"no body", "GET /" + expect + "\r\n", "", 0, "0 <nil>"},
		{"empty body", "PUT /" + expect + "Content-Length: 0\r\n\r\n", "", 0, "0 <nil>"},
	}
	inWorld(t, h, nil, func(w *world) {
		for _, tt := range tests {
			c, _ := w.l.dial()
			io.WriteString(c, tt.head)
			got := arrived(c)
			if n := strings.Count(got, " 100 Continue\r\n"); n != tt.continues {
				w.t.Errorf("%s: %d times 100 in %q", tt.name, n, got)
			}
			io.WriteString(c, tt.body)
			c.CloseWrite()
			got += w.readAll(c)
			got = strings.TrimPrefix(got, "HTTP/1.1 100 Continue\r\n\r\n")
			if a := w.answers(got, "PUT")[0]; a.body != tt.want {
				w.t.Errorf("%s: %q", tt.name, got)
			}
			c.Close()
		}
	})
}

// TestExpectUnread: a client that waits for 100 Continue and gets a final answer learns at once that the connection
// ends; what it sends nevertheless is no request.
func TestExpectUnread(t *testing.T) { // req: 9110-10.1.1c, 9112-9.6a
	inWorld(t, demo, nil, func(w *world) {
		for _, framing := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
			start := time.Now()
			c, _ := w.l.dial()
			io.WriteString(c, "PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"+framing+"\r\n\r\n")
			got := arrived(c)
			if a := w.answers(got, "PUT")[0]; a.body != "PUT /x" || !a.Close || !c.hasFIN() || time.Since(start) != 0 {
				w.t.Errorf("%s: %q after %v, fin %v", framing, got, time.Since(start), c.hasFIN())
			}
			io.WriteString(c, get("/smuggled"))
			if synctest.Wait(); arrived(c) != "" || c.gotErr() != nil {
				w.t.Errorf("%s: an answer or a reset (%v) after the last", framing, c.gotErr())
			}
			c.Close()
			if a := w.answers(w.talk("PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"+framing+"\r\n\r\n"), "PUT")[0]; a.body != "PUT /x" {
				w.t.Errorf("%s, to a half-closed client: %s", framing, a.Status)
			}
		}
	})
}

// TestExpectations: only 100-continue is known; HTTP/1.0 expects nothing.
func TestExpectations(t *testing.T) { // req: 9110-10.1.1b
	tests := []struct{ version, fields, status string }{
		{"1.1", "Expect: 100-Continue\r\n", "200"},
		{"1.1", "Expect: \t100-continue \t\r\n", "200"},
		{"1.1", "Expect: 200-ok\r\n", "417"},
		{"1.1", "Expect: 100-continue, 200-ok\r\n", "417"},
		{"1.1", "Expect: 100-continue;a=b\r\n", "417"},
		{"1.1", "Expect: 100-continue\r\nExpect: 200-ok\r\n", "417"},
		{"1.1", "Expect: 200-ok\r\nExpect: 100-continue\r\n", "417"},
		{"1.0", "Expect: 200-ok\r\n", "200"},
		{"1.0", "Expect: 100-continue\r\n", "200"},
	}
	inWorld(t, demo, nil, func(w *world) {
		for _, tt := range tests {
			raw := w.talk("PUT /read HTTP/" + tt.version + "\r\nHost: a\r\n" + tt.fields + "Content-Length: 5\r\n\r\nhello")
			if status(raw) != tt.status || tt.status == "200" && !strings.HasSuffix(raw, "5 <nil>") {
				w.t.Errorf("%s %q: %q", tt.version, tt.fields, raw)
			}
		}
	})
}
