package httpserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMethodCase: a method in lower case is another method, which the server treats as one it does not know.
func TestMethodCase(t *testing.T) { // req: 9112-3.1
	inWorld(t, demo, nil, func(w *world) {
		for _, method := range []string{"get", "Get", "head", "post"} {
			a := w.answers(w.talk(method+" /x HTTP/1.1\r\nHost: a\r\n\r\n"), method)[0]
			if a.StatusCode != 200 || a.body != method+" /x" {
				w.t.Errorf("%s: %s %q", method, a.Status, a.body)
			}
		}
		for _, line := range []string{"options *", "connect a:80"} {
			if got := status(w.talk(line + " HTTP/1.1\r\nHost: a\r\n\r\n")); got != "400" {
				w.t.Errorf("%s: %s", line, got)
			}
		}
	})
}

// TestAbsoluteForm: the authority of the target is the request's host, whatever the Host field says.
func TestAbsoluteForm(t *testing.T) { // req: 9112-3.2.2
	h := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %q", r.Host, r.URL.Path, r.URL.RawQuery, r.Header.Values("Host"))
	}
	inWorld(t, h, nil, func(w *world) {
		for target, want := range map[string]string{
			"http://b:81/x?y":        "b:81 /x y []",
			"HTTP://[fd90::2]/":      "[fd90::2] /  []",
			"http://b/http://c:82/x": "b /http://c:82/x  []",
			"/http://c:82/x":         "a /http://c:82/x  []",
		} {
			if a := w.answers(w.talk(get(target)), "GET")[0]; a.body != want {
				w.t.Errorf("%s: %q, want %q", target, a.body, want)
			}
		}
		raw := w.talk(get("http://b/1") + get("/2"))
		if all := w.answers(raw, "GET", "GET"); all[0].body != "b /1  []" || all[1].body != "a /2  []" {
			w.t.Errorf("one after the other: %q", raw)
		}
	})
}

// TestLimitOfTarget: a target that alone is more than the limit on the head is too long as a target.
func TestLimitOfTarget(t *testing.T) { // req: 9112-3b
	for _, split := range []int{0, 1, 1000} {
		inWorld(t, demo, func(s *Server) { s.MaxHeaderBytes = 4 << 10 }, func(w *world) {
			w.l.tune = func(e *pipeEnd) { e.split = split }
			for raw, want := range map[string]string{
				get("/" + strings.Repeat("a", 5000)):                                                  "414",
				"GET /" + strings.Repeat("a", 5000):                                                   "414",
				"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 5000) + "\r\n\r\n":           "431",
				"GET /" + strings.Repeat("a", 4000) + " HTTP/1.1\r\nHost: a\r\nX: a long one\r\n\r\n": "200",
				"GET /" + strings.Repeat("a", 4060) + " HTTP/1.1\r\nHost: a\r\nX: a long one\r\n\r\n": "431",
			} {
				if got := status(w.talk(raw)); got != want {
					w.t.Errorf("split %d, %.20q, %d octets: %s, want %s", split, raw, len(raw), got, want)
				}
			}
		})
	}
}

// TestRefusedHead: a refused HEAD request gets the fields of the refusal and no content, however little was understood
// of it.
func TestRefusedHead(t *testing.T) { // req: 9110-9.3.2
	tests := []struct{ name, raw, status string }{
		{"bad field", "HEAD / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "400"},
		{"bad version", "HEAD / HTTP/1.x\r\nHost: a\r\n\r\n", "400"},
		{"bare LF, unfinished", "HEAD / HTTP/1.1\nHost: a", "400"},
		{"target too long, unfinished", "HEAD /" + strings.Repeat("a", maxTarget+100), "414"},
		{"header too large, unfinished", "HEAD / HTTP/1.1\r\nX: " + strings.Repeat("a", 64<<10), "431"},
		{"cut short", "HEAD / HTTP/1.1\r\nHost: a\r\n", "400"},
	}
	for _, split := range []int{0, 1, 37} {
		inWorld(t, demo, nil, func(w *world) {
			w.l.tune = func(e *pipeEnd) { e.split = split }
			for _, tt := range tests {
				a := w.answers(w.talk(get("/")+tt.raw), "GET", "HEAD")[1]
				if a.Status[:3] != tt.status || a.ContentLength <= 0 {
					w.t.Errorf("%s: %s, Content-Length %d", tt.name, a.Status, a.ContentLength)
				}
			}
			c, _ := w.l.dial()
			io.WriteString(c, "HEAD / HTTP/1.1\r\nHost: a\r\n")
			if a := w.answers(w.readAll(c), "HEAD")[0]; a.StatusCode != 408 {
				w.t.Errorf("too slow: %s", a.Status)
			}
			c.Close()
		})
	}
}
