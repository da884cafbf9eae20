package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// http2Server speaks HTTP/2 in clear text, and HTTP/1.1.
func http2Server(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// http2Site is such a server on the kernel's loopback; limit is how many streams it allows on a connection, 0: as it likes.
func http2Site(t *testing.T, limit int, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config = http2Server(h)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: limit}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func multiplexing() *Client {
	return &Client{Dial: new(net.Dialer).DialContext, Multiplexed: true, Timeout: 5 * time.Second}
}

// One answer is late. Pipelined, it would hold up all others; here it holds up none.
func TestMultiplexedOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, done := hosts(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/0" {
				time.Sleep(time.Second)
			}
			fmt.Fprint(w, r.URL.Path)
		}))
		defer done()
		c := &Client{Dial: client.DialContext, Multiplexed: true, Record: true}
		for i, r := range fetch(t, c, urls("http://10.90.0.2:82", 12)) {
			late := i == 0
			if r.Failed() || r.Proto != "HTTP/2.0" || r.Connection != 1 || r.Request != i+1 || r.Tries != 1 || (r.Connect > 0) != late {
				t.Errorf("%d: %+v", i, r)
			}
			if (r.FirstByte > time.Second) != late || r.FirstByte < 2*oneWay {
				t.Errorf("%d: first octet after %v", i, r.FirstByte)
			}
			if x := r.Exchange; x == nil || x.Server != "10.90.0.2:82" || x.Status != "200 OK" || x.Response.Get("Content-Length") == "" {
				t.Errorf("%d: exchange %+v", i, x)
			}
		}
	})
}

// Requests that a server refuses because it allows fewer at a time go again on the same connection.
func TestMultiplexedRefused(t *testing.T) {
	var now atomic.Int64
	url := http2Site(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if now.Add(1) > 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
	})
	report, err := multiplexing().Do(t.Context(), urls(url, 40))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range report.Results {
		if r.Failed() {
			t.Errorf("%d: %+v", i, r)
		}
	}
	// A request may pass the server's word on how many it allows. Then that one is a mistake, after which net/http takes no
	// others to the connection.
	if report.Connections > 3 {
		t.Errorf("%d connections", report.Connections)
	}
}

// frames serves HTTP/2 frame by frame (RFC 9113 §4.1). On the first connection it holds the second request for a mistake,
// and is slow to answer the others; on those that follow it answers at once.
func frames(l net.Listener) {
	const headers, reset, settings = 1, 3, 4
	for number := 0; ; number++ {
		c, err := l.Accept()
		if err != nil {
			return
		}
		write := func(kind byte, id uint32, payload ...byte) {
			c.Write(append(binary.BigEndian.AppendUint32([]byte{0, 0, byte(len(payload)), kind, 5}, id), payload...)) // END_STREAM, END_HEADERS
		}
		answer := func(id uint32) { write(headers, id, 0x88) } // :status 200
		go func() {
			defer c.Close()
			c.Write([]byte{0, 0, 0, settings, 0, 0, 0, 0, 0})
			r := bufio.NewReader(c)
			r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
			for {
				var head [9]byte
				if _, err := io.ReadFull(r, head[:]); err != nil {
					return
				}
				r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
				switch id := binary.BigEndian.Uint32(head[5:]); {
				case head[3] != headers:
				case number == 0 && id == 3:
					write(reset, id, 0, 0, 0, 1) // PROTOCOL_ERROR
				case number == 0:
					time.AfterFunc(100*time.Millisecond, func() { answer(id) })
				default:
					answer(id)
				}
			}
		}()
	}
}

// A connection that net/http takes no more requests to, before anything was answered on it, is followed by another.
func TestMultiplexedUnusable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go frames(l)
	report, err := multiplexing().Do(t.Context(), urls("http://"+l.Addr().String(), maxStreams+10))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range report.Results {
		if r.Failed() {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if n := report.Connections; n != 2 {
		t.Errorf("%d connections", n)
	}
}

// What a connection did not answer before it went goes over the next.
func TestMultiplexedGoAway(t *testing.T) {
	var served atomic.Int64
	url := http2Site(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 10 {
			w.Header().Set("Connection", "close")
		}
	})
	report, err := multiplexing().Do(t.Context(), urls(url, 20))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range report.Results {
		if r.Failed() {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if report.Connections != 2 {
		t.Errorf("%d connections", report.Connections)
	}
}

// A request may be refused on one connection after the other, if each allows fewer than were sent before it could say so.
func TestMultiplexedRefusedAgain(t *testing.T) {
	url := http2Site(t, 1, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	for _, method := range []string{"GET", "POST"} {
		c := multiplexing()
		c.Method = method
		for i, r := range fetch(t, c, urls(url, 8)) {
			if r.Failed() {
				t.Errorf("%s %d: %+v", method, i, r)
			}
		}
	}
}

func TestMultiplexedFailures(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	silent := http2Site(t, 0, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	broken := http2Site(t, 0, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	for _, tt := range []struct{ name, url, method, want string }{
		{"a server of HTTP/1.1", plain.URL, "GET", errNotHTTP2.Error()},
		{"a silent server", silent, "GET", "no response"},
		{"a silent server, POST", silent, "POST", ErrUnknown.Error()},
		{"an answer that breaks off", broken, "GET", "after 4 octets of body"},
		{"nobody", "http://" + refused.Addr().String(), "GET", "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := multiplexing()
			c.Method, c.Timeout = tt.method, 600*time.Millisecond
			for i, r := range fetch(t, c, urls(tt.url, 3)) {
				if r.Err == nil || !strings.Contains(r.Err.Error(), tt.want) {
					t.Errorf("%d: %+v, want %q", i, r, tt.want)
				}
				if unknown := tt.method == "POST"; errors.Is(r.Err, ErrUnknown) != unknown {
					t.Errorf("%d: %v", i, r.Err)
				}
			}
		})
	}
}
