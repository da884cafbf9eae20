package httpserver

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// relayBlindly is a proxy of the time before Connection was understood: it hands a request on as it came, field by
// field, and copies what comes back until the server closes; only then does it look at its client again.
func (w *world) relayBlindly(client *pipeEnd) {
	r := bufio.NewReader(client)
	for {
		var head strings.Builder
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				client.Close()
				return
			}
			head.WriteString(line)
		}
		server, _ := w.l.dial()
		io.WriteString(server, head.String())
		io.Copy(struct{ io.Writer }{client}, server)
		server.Close()
	}
}

// TestBlindRelay: a client that asks for a persistent connection through a blind relay waits for its second answer just
// as long as this server waits for a second request; with Proxy-Connection, which this server ignores, not at all.
func TestBlindRelay(t *testing.T) { // req: 9112-C.2.2, 9112-9.5
	for _, tt := range []struct {
		field string
		idle  time.Duration
		want  time.Duration
	}{
		{"Connection: Keep-Alive", 0, DefaultIdleTimeout},
		{"Connection: Keep-Alive", 5 * time.Second, 5 * time.Second},
		{"Proxy-Connection: Keep-Alive", 0, 0},
		{"Keep-Alive: timeout=300", 0, 0},
	} {
		inWorld(t, demo, func(s *Server) { s.IdleTimeout = tt.idle }, func(w *world) {
			client, near := newPipe()
			go w.relayBlindly(near)
			r, start := bufio.NewReader(client), time.Now()
			for i, want := range []time.Duration{0, tt.want, 2 * tt.want} {
				io.WriteString(client, "GET /x HTTP/1.0\r\n"+tt.field+"\r\n\r\n")
				a, err := http.ReadResponse(r, nil)
				if err != nil {
					w.t.Fatal(err)
				}
				body := make([]byte, a.ContentLength)
				if _, err := io.ReadFull(a.Body, body); err != nil || string(body) != "GET /x" {
					w.t.Errorf("%s: answer %d: %q, %v", tt.field, i+1, body, err)
				}
				if d := time.Since(start); d != want {
					w.t.Errorf("%s: answer %d after %v, want %v", tt.field, i+1, d, want)
				}
				if kept := a.Header.Get("Connection") == "keep-alive"; kept != (tt.want > 0) {
					w.t.Errorf("%s: answer %d: %v", tt.field, i+1, a.Header)
				}
			}
			client.Close()
		})
	}
}
