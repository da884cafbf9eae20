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

// TestNoInjection: no line end or NUL of a handler's leaves in a field, wherever it stands: alone, among others, in an
// informational answer, in a trailer.
func TestNoInjection(t *testing.T) { // req: 9112-11.1
	const evil = "a\r\nEvil: b\r\n\r\nc\x00d\ne"
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/alone":
			w.Header().Set("Content-Type", evil)
		case "/among":
			w.Header().Set("Content-Type", evil)
			w.Header().Set("Location", evil)
			w.Header()[evil] = []string{"x"}
			w.Header()["Evil"+":"] = []string{"x"}
			w.Header()[""] = []string{"x"}
		case "/early":
			w.Header().Set("Link", evil)
			w.Header()["Evil\n"] = []string{"x"}
			w.WriteHeader(http.StatusEarlyHints)
		case "/connection":
			w.Header().Set("Connection", evil)
			w.Header().Set("Keep-Alive", evil)
			w.Header().Set("Transfer-Encoding", evil)
			w.Header().Set("Content-Length", "5\r\nEvil: b")
		case "/trailer":
			w.Header().Set("Trailer", "T, Evil\r\n")
			defer func() {
				w.Header().Set("T", evil)
				w.Header().Set(http.TrailerPrefix+"U", evil)
				w.Header().Set(http.TrailerPrefix+evil, "x")
				w.Header().Set(http.TrailerPrefix+"Content-Length", "7")
			}()
		}
		io.WriteString(w, "content")
	}
	inWorld(t, h, nil, func(w *world) {
		for _, path := range []string{"/alone", "/among", "/early", "/connection", "/trailer"} {
			raw := w.talk(get(path) + get("/next"))
			for line := range strings.Lines(raw) {
				bareLF := strings.HasSuffix(line, "\n") && !strings.HasSuffix(line, "\r\n")
				if bareLF || strings.HasPrefix(line, "Evil") || strings.HasPrefix(line, ":") || strings.Contains(line, "\x00") {
					w.t.Errorf("%s: line %q in %q", path, line, raw)
				}
			}
			if path == "/early" {
				_, raw, _ = strings.Cut(raw, "\r\n\r\n")
			}
			if all := w.answers(raw, "GET", "GET"); all[0].body != "content" || all[1].body != "content" || all[0].Trailer.Get("Content-Length") != "" {
				w.t.Errorf("%s: %q", path, raw)
			}
		}
	})
}

// TestNoFraming: 1xx and 204 carry neither Content-Length nor Transfer-Encoding, whatever the handler sets.
func TestNoFraming(t *testing.T) { // req: 9110-8.6
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Trailer", "T")
		var code int
		fmt.Sscanf(r.URL.Path, "/%d", &code)
		w.WriteHeader(code)
		if code == 103 {
			w.WriteHeader(204)
		}
		w.(http.Flusher).Flush()
		io.WriteString(w, "hello")
	}
	inWorld(t, h, nil, func(w *world) {
		if raw := w.talk(get("/101") + get("/204")); strings.Count(raw, "HTTP/1.1 ") != 1 {
			w.t.Errorf("behind another protocol that nobody speaks: %q", raw)
		}
		for _, path := range []string{"/101", "/103", "/204"} {
			for _, version := range []string{"1.0", "1.1"} {
				raw := w.talk("GET " + path + " HTTP/" + version + "\r\nHost: a\r\n\r\n")
				if strings.Contains(raw, "Content-Length") || strings.Contains(raw, "chunked") || !strings.HasSuffix(raw, "\r\n\r\n") {
					w.t.Errorf("%s in %s: %q", path, version, raw)
				}
				if version == "1.0" && strings.Contains(raw, " 103 ") {
					w.t.Errorf("%s in %s: %q", path, version, raw)
				}
			}
		}
	})
}

// TestHandlerCloses: a handler that sets Connection: close has the last word, once, and nothing after it is served.
func TestHandlerCloses(t *testing.T) { // req: 9112-9.6a, 9112-9.6b
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" {
			w.Header().Add("Connection", "X")
			w.Header().Add("Connection", "y, Close")
		}
		io.WriteString(w, r.URL.Path)
	}
	inWorld(t, h, nil, func(w *world) {
		raw := w.talk(get("/1") + get("/last") + get("/never"))
		all := w.answers(raw, "GET", "GET")
		if all[0].Close || !all[1].Close || strings.Count(raw, "Connection:") != 1 {
			w.t.Errorf("got %q", raw)
		}
		if n := len(w.entries()); n != 2 {
			w.t.Errorf("%d requests were served", n)
		}
	})
}

// TestBodyIsNoRequest: a body that nobody reads is not taken for a request, whatever it looks like.
func TestBodyIsNoRequest(t *testing.T) { // req: 9112-9.3a
	inWorld(t, demo, nil, func(w *world) {
		for _, line := range []string{"POST /x HTTP/1.1\r\n", "GET /x HTTP/1.1\r\n", "HEAD /x HTTP/1.1\r\n", "BREW /x HTTP/1.1\r\n"} {
			inner := get("/smuggled")
			for _, body := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inner), inner),
				fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(inner), inner),
				"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
			} {
				method, _, _ := strings.Cut(line, " ")
				all := w.answers(w.talk(line+"Host: a\r\n"+body+get("/next")), method, "GET")
				if all[1].body != "GET /next" {
					w.t.Errorf("%s %q: then %q", method, body, all[1].body)
				}
			}
		}
	})
}

// TestClientFIN: all that was asked for before the FIN is still sent, to a client that takes it slowly; and an idle
// connection answers a FIN with one at once.
func TestClientFIN(t *testing.T) { // req: 9112-9.6c, 9112-9.5
	inWorld(t, demo, nil, func(w *world) {
		w.l.tune = func(server *pipeEnd) { server.peer.limit = 1000 }
		c, _ := w.l.dial()
		io.WriteString(c, get("/big")+get("/slow")+get("/big"))
		c.CloseWrite()
		time.Sleep(time.Second)
		all := w.answers(w.readAll(c), "GET", "GET", "GET")
		if len(all[0].body) != 100_000 || all[1].body != "slow" || len(all[2].body) != 100_000 {
			w.t.Errorf("%d, %q, %d", len(all[0].body), all[1].body, len(all[2].body))
		}
		c.Close()
		for _, raw := range []string{"", get("/"), get("/") + "\r\n"} {
			c, server := w.l.dial()
			io.WriteString(c, raw)
			arrived(c)
			c.CloseWrite()
			if synctest.Wait(); !c.hasFIN() || c.gotErr() != nil || !server.isClosed() {
				w.t.Errorf("%q: fin %v, error %v, closed %v", raw, c.hasFIN(), c.gotErr(), server.isClosed())
			}
			c.Close()
		}
	})
}
