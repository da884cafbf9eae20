package panel

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ustack/httpserver"
	"ustack/stack"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
)

// world is a panel that is served on the stack which it shows, and a client on another one.
type world struct {
	t       *testing.T
	own     *stack.Stack
	client  *stack.Stack
	panel   *Panel
	server  *httpserver.Server
	tracers atomic.Int32 // how many the stack has: 0 or 1
}

func newWorld(t *testing.T, impair link.Spec, options ...tcb.Options) *world {
	t.Helper()
	w := &world{t: t}
	near, far := link.Pair(link.PairConfig{QueueLen: 10_000})
	w.own, w.client = newStack(t, link.Impair(near, impair), "192.0.2.1/24", options...), newStack(t, far, "192.0.2.2/24", options...)
	w.panel = New(w.own, trace.NewHub(func(f func(*trace.Event)) {
		w.own.SetTracer(f)
		w.tracers.Store(0)
		if f != nil {
			w.tracers.Store(1)
		}
	}))
	mux := http.NewServeMux()
	for pattern, h := range Endpoints(func() *Panel { return w.panel }) {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) })
	l, err := w.own.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	w.server = &httpserver.Server{Handler: mux, ReuseRequests: true}
	go w.server.Serve(l)
	t.Cleanup(func() { w.server.Close() })
	return w
}

func newStack(t *testing.T, l link.Link, addr string, options ...tcb.Options) *stack.Stack {
	t.Helper()
	c := stack.Config{Links: []link.Link{l}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	for _, o := range options {
		c.Options = o
	}
	s, err := stack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// dial opens a connection and sends a request, unless that is empty.
func (w *world) dial(request string) net.Conn {
	w.t.Helper()
	c, err := w.client.Dial("tcp", "192.0.2.1:80")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if request != "" {
		if _, err := io.WriteString(c, request+"\r\nHost: h\r\n\r\n"); err != nil {
			w.t.Fatal(err)
		}
	}
	return c
}

// looking reads the stream and hands each message on until more returns false.
func looking(t *testing.T, c net.Conn, more func(event string, data []byte) bool) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%+v, %v", r, err)
	}
	event := ""
	for lines := bufio.NewReader(r.Body); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("the stream ends: %v", err)
		}
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			event = string(bytes.TrimSpace(name))
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && !more(event, data) {
			return
		}
	}
}

// TestStream watches a lossy download on the stream: the row in the table, the curves, the segments sent again with their
// causes, and the way to TIME-WAIT.
func TestStream(t *testing.T) {
	w := newWorld(t, link.Spec{Out: link.Faults{Loss: 2, Delay: 2 * time.Millisecond}, Seed: 7})
	viewer := w.dial("GET /_/events HTTP/1.1")
	var download net.Conn
	id, states, text := "", "", ""
	again, own, most, cwnds := 0, false, int64(0), map[int64]bool{}
	looking(t, viewer, func(event string, data []byte) bool {
		if event == "table" {
			var got table
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Conns {
				own = own || r.Own && r.Remote == viewer.LocalAddr().String()
			}
			if download == nil {
				download = w.dial("GET /large HTTP/1.0")
				go func() {
					io.Copy(io.Discard, download)
					download.Close()
				}()
				id = download.LocalAddr().String() + ">192.0.2.1:80"
			}
			return true
		}
		var b batch
		if err := json.Unmarshal(data, &b); err != nil {
			t.Fatal(err)
		}
		for _, l := range b.Lines {
			if l.Flow == id {
				text += l.Text + "\n"
			}
		}
		f := b.Flows[id]
		if f == nil {
			return true
		}
		for _, p := range f.Windows {
			cwnds[p[1]] = true
		}
		for _, s := range f.Sent {
			if s.Again {
				again++
			}
			most = max(most, s.To)
		}
		for _, s := range f.States {
			states += s[1].(string) + " "
		}
		return !strings.Contains(states, "TIME-WAIT")
	})
	const way = "LISTEN SYN-RECEIVED ESTABLISHED FIN-WAIT-1 "
	if !own || !strings.HasPrefix(states, way) || again == 0 || len(cwnds) < 4 || most < 1<<20 || most > 1<<20+1000 {
		t.Errorf("own %v, states %q, %d sent again, %d values of cwnd, sequence numbers up to %d", own, states, again, len(cwnds), most)
	}
	if !strings.Contains(text, "fast retransmit · ") || !strings.Contains(text, "slow start → fast recovery · ") || !strings.Contains(text, "ESTABLISHED → FIN-WAIT-1 · ") {
		t.Errorf("lines:\n%s", text)
	}
}

// TestNobodyLooks: the stack has a tracer only while a stream is open, and ends with its reader.
func TestNobodyLooks(t *testing.T) {
	w := newWorld(t, link.Spec{})
	if w.tracers.Load() != 0 {
		t.Error("a tracer before anybody looks")
	}
	c := w.dial("GET /_/events HTTP/1.1")
	looking(t, c, func(string, []byte) bool { return false })
	if w.tracers.Load() != 1 {
		t.Error("no tracer while somebody looks")
	}
	c.Close()
	for range 500 {
		if w.tracers.Load() == 0 && w.panel.looking.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the stream goes on without its reader")
}

// TestClose: open streams, one whose reader does not read among them, do not keep the server from ending.
func TestClose(t *testing.T) {
	w := newWorld(t, link.Spec{}, tcb.Options{SndBuf: 4 << 10, RcvBuf: 2 << 10})
	for range 40 { // rows of the table: much to tell
		w.dial("")
	}
	looking(t, w.dial("GET /_/events HTTP/1.1"), func(string, []byte) bool { return false })
	slow := w.dial("GET /_/events HTTP/1.1")
	stuck := func() bool {
		for _, c := range w.own.Conns() {
			if i := c.Info(); i.Remote.String() == slow.LocalAddr().String() && i.SndWnd < 500 && i.SndQueued > 2<<10 {
				return true
			}
		}
		return false
	}
	for n := 0; !stuck(); n++ {
		if n == 500 {
			t.Fatal("the stream does not stand still")
		}
		time.Sleep(10 * time.Millisecond)
	}
	start := time.Now()
	w.panel.Close()
	if err := w.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the server took %v to end", d)
	}
	if w.tracers.Load() != 0 {
		t.Error("a tracer after the end")
	}
}

// TestCrowd: more than a few are not let in.
func TestCrowd(t *testing.T) {
	w := newWorld(t, link.Spec{})
	for range maxStreams {
		looking(t, w.dial("GET /_/events HTTP/1.1"), func(string, []byte) bool { return false })
	}
	r, err := http.ReadResponse(bufio.NewReader(w.dial("GET /_/events HTTP/1.1")), nil)
	if err != nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("%+v, %v", r, err)
	}
	w.panel.Close()
}

// TestAssets: everything that the page asks for is there, with its type.
func TestAssets(t *testing.T) {
	w := newWorld(t, link.Spec{})
	web := http.Client{Transport: &http.Transport{DialContext: w.client.DialContext}}
	for path, kind := range map[string]string{
		"/_/": "text/html", "/_/panel/panel.js": "text/javascript", "/_/panel/store.js": "text/javascript", "/_/panel/charts.js": "text/javascript",
		"/_/panel/panel.css": "text/css", "/_/panel/uPlot.iife.min.js": "text/javascript", "/_/panel/uPlot.min.css": "text/css",
		"/_/panel/uPlot.LICENSE": "text/plain",
	} {
		r, err := web.Get("http://192.0.2.1" + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %s %v", path, r.Status, r.Header)
		}
	}
	for _, path := range []string{"/_/panel/nothing", "/_/panel/..%2fpanel.go"} {
		r, err := web.Get("http://192.0.2.1" + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode/100 != 4 {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}
