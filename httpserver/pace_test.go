package httpserver

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestMinRate: a client that moves its bytes slower than it must is cut off, in either direction; one that is fast enough,
// or that only waits for a slow handler, is not.
func TestMinRate(t *testing.T) { // req: HTTP-04
	const rate, size = 1000, 60_000
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up":
			io.Copy(io.Discard, r.Body)
		case "/down":
			for range size / 1000 {
				w.Write(make([]byte, 1000))
				http.NewResponseController(w).Flush()
			}
		case "/handler":
			for range 60 {
				w.Write([]byte("x"))
				http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		}
	}
	inWorld(t, h, func(s *Server) { s.MinRate = rate }, func(w *world) {
		w.l.tune = func(server *pipeEnd) { server.peer.limit = 1000 }
		for _, path := range []string{"/up", "/down", "/handler"} {
			for pause, wantFail := range map[time.Duration]bool{time.Second / 2: false, 3 * time.Second: path != "/handler"} {
				c, _ := w.l.dial()
				head := get(path)
				if path == "/up" {
					head = "PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
				}
				io.WriteString(c, head)
				buf, served := make([]byte, 1000), len(w.entries())
				for range 70 {
					if path == "/up" {
						c.Write(buf)
					} else {
						c.SetReadDeadline(time.Now().Add(time.Second))
						c.Read(buf)
					}
					time.Sleep(pause)
					synctest.Wait()
				}
				failed := len(w.entries()) == served || w.entries()[served].Close == ReasonStall
				if failed != wantFail {
					w.t.Errorf("%s, a step each %v: failed %v", path, pause, failed)
				}
				c.Close()
				synctest.Wait()
			}
		}
	})
}

// TestMinRateGrace: the rate counts from the tenth second of waiting on; before that a client may pause.
func TestMinRateGrace(t *testing.T) { // req: HTTP-04
	inWorld(t, demo, func(s *Server) { s.MinRate = 1000 }, func(w *world) {
		for pause, want := range map[time.Duration]string{10 * time.Second: "2 <nil>", 11 * time.Second: ""} {
			c, _ := w.l.dial()
			io.WriteString(c, post("Content-Length: 2"))
			time.Sleep(pause)
			io.WriteString(c, "x")
			synctest.Wait() // here the server looks
			io.WriteString(c, "x")
			got := arrived(c)
			if ok := strings.HasSuffix(got, "\r\n\r\n"+want) && got != ""; ok != (want != "") {
				w.t.Errorf("after a pause of %v: %q", pause, got)
			}
			c.Close()
		}
	})
}
