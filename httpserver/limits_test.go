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

// TestLimits: what is as large as may be is taken, and one octet more is refused.
func TestLimits(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	head := func(n int) string {
		const start, end = "GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"
		return start + a(n-len(start+end)) + end
	}
	extensions := func(n int) string { // each with its CR
		var b strings.Builder
		for ; n > 0; n -= min(n, maxChunkLine) {
			b.WriteString("1;" + a(min(n, maxChunkLine)-1) + "\r\nx\r\n")
		}
		return b.String() + "0\r\n\r\n"
	}
	tests := []struct {
		name    string
		raw     func(more int) string
		refused string
	}{
		{"target", func(more int) string { return get("/" + a(maxTarget-1+more)) }, "414"},                             // req: 9112-3a 9112-3b
		{"method", func(more int) string { return a(maxMethod+more) + " / HTTP/1.1\r\nHost: a\r\n\r\n" }, "501"},       // req: 9112-3c
		{"head", func(more int) string { return head(DefaultMaxHeaderBytes + more) }, "431"},                           // req: 9110-5.4
		{"chunk size", func(more int) string { return chunkedRead(strings.Repeat("0", 15+more) + "\r\n\r\n") }, "400"}, // req: 9112-7.1a
		// req: 9112-7.1.1
		{"extension", func(more int) string { return chunkedRead("1;" + a(maxChunkLine-1+more) + "\r\nx\r\n0\r\n\r\n") }, "431"},
		{"extensions", func(more int) string { return chunkedRead(extensions(maxExtensions + 2*more)) }, "431"},
		// req: 9112-7.1.2
		{"trailer", func(more int) string { return chunkedRead("0\r\nX: " + a(maxTrailer-7+more) + "\r\n\r\n") }, "431"},
	}
	for _, split := range []int{0, 1, 1000} {
		inWorld(t, demo, nil, func(w *world) {
			w.l.tune = func(e *pipeEnd) { e.split = split }
			for _, tt := range tests {
				for more, want := range []string{"200", tt.refused} {
					if got := status(w.talk(tt.raw(more))); got != want {
						w.t.Errorf("%s and %d more: %s, want %s", tt.name, more, got, want)
					}
				}
			}
		})
	}
}

// TestEmptyLines: empty lines before a later request are ignored as before the first, and each may have as many.
func TestEmptyLines(t *testing.T) { // req: 9112-2.2a
	const four = "\r\n\r\n\r\n\r\n"
	body := "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	for _, split := range []int{0, 1, 7} {
		inWorld(t, demo, nil, func(w *world) {
			w.l.tune = func(e *pipeEnd) { e.split = split }
			raw := w.talk(four + get("/1") + four + body + "\r\n" + get("/2") + four + get("/3") + four + "\r\n" + get("/4"))
			all := w.answers(raw, "GET", "POST", "GET", "GET", "GET")
			if all[1].body != "5 <nil>" || all[2].body != "GET /2" || all[3].body != "GET /3" || all[4].StatusCode != 400 {
				w.t.Errorf("got %q", raw)
			}
		})
	}
}

// TestDumbProxy: an HTTP/1.0 relay that passes Connection on without understanding it waits for our FIN. With
// keep-alive that comes after the idle time-out and no later; with Proxy-Connection there is no wait.
func TestDumbProxy(t *testing.T) { // req: 9112-C.2.2
	inWorld(t, demo, nil, func(w *world) {
		for field, want := range map[string]time.Duration{
			"Connection: keep-alive":       DefaultIdleTimeout,
			"Proxy-Connection: keep-alive": 0,
		} {
			c, _ := w.l.dial()
			start := time.Now()
			io.WriteString(c, "GET /x HTTP/1.0\r\n"+field+"\r\n\r\n")
			a := w.answers(w.readAll(c), "GET")[0]
			if d := time.Since(start); d != want || a.body != "GET /x" {
				w.t.Errorf("%s: %q after %v", field, a.body, d)
			}
			if named := strings.Contains(fmt.Sprint(a.Header), "Proxy"); named {
				w.t.Errorf("%s: %v", field, a.Header)
			}
			c.Close()
		}
	})
}

// TestUpgradeInOldVersion: HTTP/1.0 cannot ask for an upgrade.
func TestUpgradeInOldVersion(t *testing.T) { // req: 9110-7.8
	inWorld(t, demo, nil, func(w *world) {
		for _, protocol := range []string{"websocket", "h2c", "HTTP/2.0", "TLS/1.0, HTTP/1.1", ""} {
			raw := w.talk("GET /x HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n" + get("/y"))
			if all := w.answers(raw, "GET", "GET"); all[0].body != "GET /x" || all[0].Header.Get("Upgrade") != "" || all[1].body != "GET /y" {
				w.t.Errorf("%q: %q", protocol, raw)
			}
		}
	})
}

// TestSlowButAlive: time-outs of a body and of an answer count from the last progress, also if the handler writes its
// answer at once.
func TestSlowButAlive(t *testing.T) { // req: HTTP-03
	const size = 5_000_000
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/write":
			w.Write(make([]byte, size))
		case "/shared":
			w.(interface{ WriteShared([]byte) (int, error) }).WriteShared(make([]byte, size))
		default:
			demo(w, r)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		c, _ := w.l.dial()
		io.WriteString(c, post("Content-Length: 10"))
		for range 10 {
			time.Sleep(DefaultStallTimeout - time.Second)
			io.WriteString(c, "x")
		}
		if a := w.answers(arrived(c), "POST")[0]; a.body != "10 <nil>" {
			w.t.Errorf("got %q", a.body)
		}
		c.Close()
		for path, step := range map[string]int{"/write": writeSize, "/shared": sharedSize} {
			c, _ := w.l.dial()
			c.p.mu.Lock()
			c.limit = step
			c.p.mu.Unlock()
			io.WriteString(c, get(path))
			got, buf := 0, make([]byte, step)
			for range 2 + size/step {
				n, err := io.ReadFull(c, buf)
				if got += n; got >= size {
					break // the rest is less than a step: ReadFull has met the end of the idle time
				}
				if err != nil {
					w.t.Fatalf("%s: %v after %d octets", path, err, got)
				}
				time.Sleep(DefaultStallTimeout - time.Second)
			}
			c.Close()
		}
	})
}

// TestSlowHead: an octet at a time, or none at all: a head has its time, and what was answered before it stands.
func TestSlowHead(t *testing.T) { // req: HTTP-02
	inWorld(t, demo, nil, func(w *world) {
		for _, first := range []string{"", get("/1"), "\r\n"} {
			c, _ := w.l.dial()
			io.WriteString(c, first)
			arrived(c)
			time.Sleep(30 * time.Second)
			start := time.Now()
			for i := 0; !c.hasFIN() && i < 30; i++ {
				io.WriteString(c, get("/2")[i:i+1])
				time.Sleep(time.Second)
				synctest.Wait()
			}
			d := time.Since(start)
			if got := arrived(c); status(got) != "408" || d < DefaultReadHeaderTimeout || d > DefaultReadHeaderTimeout+2*time.Second {
				w.t.Errorf("%q: %q after %v", first, got, d)
			}
			c.Close()
		}
	})
}
