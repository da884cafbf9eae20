package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ustack/stack"
	"ustack/stack/link"

	"golang.org/x/sys/unix"
)

// client does what curl, wrk and ab are going to do.
func client(t *testing.T, dial func(ctx context.Context, network, addr string) (net.Conn, error), base string) {
	t.Helper()
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dial, DisableCompression: true}}
	defer c.CloseIdleConnections()
	get := func(path string) []byte {
		t.Helper()
		r, err := c.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", path, r.Status, err)
		}
		return b
	}
	for range 3 {
		if b := get("/_/hello"); string(b) != "Hello, World!" {
			t.Errorf("hello: %q", b)
		}
	}
	for _, n := range []int{1, 1460, 64240, 64241, 5_000_001} {
		if b := get(fmt.Sprintf("/_/bytes/%d", n)); len(b) != n {
			t.Errorf("bytes: %d of %d", len(b), n)
		}
	}
	const size = 5 << 20
	q, err := http.NewRequest("PUT", base+"/_/sink", strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != 200 || len(b) == 0 {
		t.Errorf("sink: %s %q", r.Status, b)
	}
	pipeline(t, dial, strings.TrimPrefix(base, "http://"))
}

// pipeline sends a burst, cut in an awkward place, and expects all answers.
func pipeline(t *testing.T, dial func(ctx context.Context, network, addr string) (net.Conn, error), addr string) {
	t.Helper()
	nc, err := dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	burst := strings.Repeat("GET /_/hello HTTP/1.1\r\nHost: x\r\n\r\n", pipelineDepth)
	for _, part := range []string{burst[:101], burst[101:]} {
		if _, err := io.WriteString(nc, part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	var got strings.Builder
	buf := make([]byte, 4096)
	for strings.Count(got.String(), "Hello, World!") < pipelineDepth {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("after %d answers: %v", strings.Count(got.String(), "Hello, World!"), err)
		}
		got.Write(buf[:n])
	}
}

func TestKernelServers(t *testing.T) {
	for name, serve := range map[string]func(context.Context, net.Listener) error{"net/http": serveNetHTTP, "fasthttp": serveFastHTTP} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- serve(ctx, ln) }()
			client(t, new(net.Dialer).DialContext, "http://"+ln.Addr().String())
			openLoop(t, ln.Addr().(*net.TCPAddr).Port)
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Error("the server does not end")
			}
		})
	}
}

// openLoop runs the fixed-rate client against a server that has nothing else to do.
func openLoop(t *testing.T, port int) {
	t.Helper()
	l := newLoader(unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err := l.connect(4); err != nil {
		t.Fatal(err)
	}
	if err := l.run(500, 400*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if r := l.report(500); r.Sent != 200 || r.Answered != 200 || r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99 {
		t.Errorf("%+v", r)
	}
}

// TestOpenLoopCountsWaiting: a server that stands still makes every request late that was due
// meanwhile, not only those that the client had under way.
func TestOpenLoopCountsWaiting(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const pause = 300 * time.Millisecond
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		for first := true; ; first = false {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if first {
				time.Sleep(pause)
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!")
		}
	}()
	l := newLoader(unix.SockaddrInet4{Port: ln.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}})
	if err := l.connect(1); err != nil {
		t.Fatal(err)
	}
	if err := l.run(200, 400*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if r := l.report(200); r.P50 < 100_000 || r.Answered != 80 {
		t.Errorf("%+v: half of the requests were due while the server slept", r)
	}
}

// TestRaw holds the fake TCP against a real one: ours.
func TestRaw(t *testing.T) {
	for name, gso := range map[string]bool{"super-segments": true, "wire-sized": false} {
		t.Run(name, func(t *testing.T) {
			near, far := link.Pair(link.PairConfig{GSO: gso, QueueLen: 10_000})
			s, err := stack.New(stack.Config{Links: []link.Link{near}, Addrs: []netip.Prefix{netip.MustParsePrefix(clientAddr + "/24")}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			raw := newRawServer(far.Queues()[0], gso)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go raw.watchdog(ctx)
			ended := make(chan error, 1)
			go func() { ended <- raw.run() }()
			client(t, s.DialContext, baseURL+":80")
			far.Close()
			<-ended
			if d := s.Stats().Drops; d["tcp-checksum"] != 0 {
				t.Errorf("drops: %v", d)
			}
		})
	}
}

// TestGrow runs every kind of growth at a small size.
func TestGrow(t *testing.T) {
	for kind, figure := range map[string]string{"requests": "idle-rss", "segments": "cost-ns", "timewait": "record-heap", "halfopen": "record-heap"} {
		t.Run(kind, func(t *testing.T) {
			g, err := newGrowth(200, kind == "segments")
			if err != nil {
				t.Fatal(err)
			}
			defer g.stack.Close()
			m := &meter{figures: map[string]float64{}, conns: 200}
			if err := growKinds[kind](g, m); err != nil {
				t.Fatal(err)
			}
			if _, ok := m.figures[figure]; !ok {
				t.Errorf("no %s in %v", figure, m.figures)
			}
		})
	}
}
