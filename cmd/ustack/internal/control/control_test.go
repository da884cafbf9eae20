package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ustack/cmd/ustack/internal/priv"
	"ustack/stack"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// room is a served stack with one connection on it, and a client of its control socket.
type room struct {
	stack  *stack.Stack
	hub    *trace.Hub
	server *Server
	client *Client
	near   net.Conn // the served stack's end
	far    net.Conn
}

func host(t *testing.T, l link.Link, addr string) *stack.Stack {
	t.Helper()
	s, err := stack.New(stack.Config{Links: []link.Link{l}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func self(t *testing.T) Owners {
	t.Helper()
	u, err := priv.Starter()
	if err != nil {
		t.Fatal(err)
	}
	return Owners{Started: u, Serving: u}
}

func newRoom(t *testing.T) *room {
	t.Helper()
	near, far := link.Pair(link.PairConfig{})
	r := &room{stack: host(t, near, "192.0.2.1/24")}
	other := host(t, far, "192.0.2.2/24")
	ln, err := r.stack.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	r.hub = trace.NewHub(r.stack.SetTracer)
	r.server = NewServer(Config{Engine: "ustack", Device: "test0", Source: r.stack, Hub: r.hub})
	r.serve(t, r.server)
	if r.far, err = other.Dial("tcp", "192.0.2.1:80"); err != nil {
		t.Fatal(err)
	}
	if r.near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return r
}

// serve opens a socket for a server, and a client for that.
func (r *room) serve(t *testing.T, s *Server) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Open(path, "test0", self(t))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	if r.client, err = Dial(t.Context(), path, ""); err != nil {
		t.Fatal(err)
	}
}

// exchange sends n octets to the served stack, and a tenth of them back.
func (r *room) exchange(t *testing.T, n int) {
	t.Helper()
	if _, err := r.far.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.near, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.near.Write(make([]byte, n/10)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r.far, make([]byte, n/10)); err != nil {
		t.Fatal(err)
	}
}

func TestConns(t *testing.T) {
	r := newRoom(t)
	r.exchange(t, 10_000)
	if _, err := r.far.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	var c Conn
	for range 200 {
		list, err := r.client.Conns(t.Context())
		if err != nil || len(list.Conns) != 1 {
			t.Fatalf("%+v, %v: want one connection", list, err)
		}
		if c = list.Conns[0]; c.RecvQueue == 6 && c.InFlight == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	info := r.near.(*stack.Conn).Info()
	if c.Local != info.Local || c.Remote != info.Remote || c.State != "ESTABLISHED" || c.CC != info.CC || c.Phase != "slow-start" {
		t.Errorf("%+v is not %+v", c, info)
	}
	if c.BytesReceived != 10_006 || c.BytesSent != 1_000 || c.RecvQueue != 6 {
		t.Errorf("received %d, sent %d, unread %d; want 10006, 1000, 6", c.BytesReceived, c.BytesSent, c.RecvQueue)
	}
	if c.MSS != info.MSS || c.Cwnd != info.Cwnd || c.SSThresh != nil || c.SendScale != info.SndScale || c.RecvScale != info.RcvScale || !c.SACK || !c.WindowScale {
		t.Errorf("%+v is not %+v", c, info)
	}
	if want := time.Duration(info.SRTT).Microseconds(); c.SRTT != want || c.RTO < c.SRTT+200_000 {
		t.Errorf("srtt %d, rto %d µs: want %d", c.SRTT, c.RTO, want)
	}
}

func TestSSThresh(t *testing.T) {
	info := stack.Info{Snapshot: tcb.Snapshot{SSThresh: 5000, SndQueued: 10, InFlight: 11}}
	if c := fromInfo(&info); c.SSThresh == nil || *c.SSThresh != 5000 || c.Unsent != 0 {
		t.Errorf("%+v: want an ssthresh of 5000, nothing unsent", c)
	}
}

func TestStats(t *testing.T) {
	r := newRoom(t)
	r.exchange(t, 1000)
	before := r.stack.Stats()
	s, err := r.client.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := r.stack.Stats() // a delayed ACK may have come meanwhile
	if s.Conns != 1 || s.Counters["packets-in"] == 0 || len(s.Links) != 1 || s.MemoryBudget != after.MemoryBudget ||
		s.Links[0].RxBytes < before.Links[0].RxBytes || s.Links[0].RxBytes > after.Links[0].RxBytes {
		t.Errorf("%+v is not between %+v and %+v", s, before, after)
	}
}

func TestAbout(t *testing.T) {
	r := newRoom(t)
	a, err := r.client.About(t.Context())
	if err != nil || a.Version != Version || a.Engine != "ustack" || a.Device != "test0" || a.PID == 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestTrace expects the events of a connection, and the end of the stream when the server ends.
func TestTrace(t *testing.T) {
	r := newRoom(t)
	s, err := r.client.Trace(t.Context(), &Filter{Kinds: []string{"in", "ended"}, Peer: netip.MustParsePrefix("192.0.2.2/32"), Port: 80, Comments: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other, err := r.client.Trace(t.Context(), &Filter{Port: 81})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r.exchange(t, 3000)
	r.far.Close()
	r.near.Close()
	octets := 0
	for {
		line, e, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(line) || e.Local != netip.MustParseAddrPort("192.0.2.1:80") || e.Comment == "" || e.Time.IsZero() {
			t.Fatalf("%s", line)
		}
		if e.Event == "ended" {
			break
		}
		if e.Event != "in" || e.Flags == "" {
			t.Fatalf("%s: want segments that come in", line)
		}
		if e.Drop == "" { // a slow machine makes the peer send some again
			octets += e.Payload
		}
	}
	if octets != 3000 {
		t.Errorf("events tell of %d octets, want 3000", octets)
	}
	r.server.Close()
	for _, stream := range []*Stream{s, other} {
		for err = nil; err == nil; {
			_, e, nextErr := stream.Next()
			if err = nextErr; err == nil && stream == other {
				t.Errorf("%+v is about port 81?", e)
			}
		}
		if !errors.Is(err, ErrEnded) {
			t.Errorf("the stream ends with %v", err)
		}
	}
}

// TestTraceEndsTracing: when nobody reads any more, nobody is told.
func TestTraceEndsTracing(t *testing.T) {
	r := newRoom(t)
	traced := make(chan bool, 16)
	r.server.cfg.Hub = trace.NewHub(func(f func(*trace.Event)) { traced <- f != nil })
	ctx, cancel := context.WithCancel(t.Context())
	s, err := r.client.Trace(ctx, &Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if !<-traced {
		t.Error("nothing is traced")
	}
	cancel()
	if _, _, err := s.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ends with %v", err)
	}
	select {
	case on := <-traced:
		if on {
			t.Error("traced twice")
		}
	case <-time.After(5 * time.Second):
		t.Error("tracing goes on")
	}
}

// gathered is a ResponseWriter for stream.
type gathered struct {
	strings.Builder
	header http.Header
}

func (g *gathered) Header() http.Header { return g.header }
func (g *gathered) WriteHeader(int)     {}

// TestLost fills a ring beyond its size: what is missing is told where it is missing, also at the end.
func TestLost(t *testing.T) {
	ring := trace.NewRing(2, 0)
	header := tcpseg.Header{Flags: tcpseg.ACK}
	event := func(port uint16) {
		ring.Trace(&trace.Event{Kind: trace.PacketIn, Segment: &header,
			Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), port), Remote: netip.MustParseAddrPort("192.0.2.2:9")})
	}
	for port := range uint16(5) {
		event(port + 1)
	}
	var rec trace.Record
	ring.Next(&rec)
	event(80)
	event(81)
	ring.Close()
	g := &gathered{}
	stream(newLines(g), ring, &Filter{Port: 80})
	var kinds []string
	for line := range strings.Lines(g.String()) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kinds = append(kinds, e.Event)
	}
	if want := []string{"lost", "in", "lost"}; !slices.Equal(kinds, want) {
		t.Errorf("%q, want %q:\n%s", kinds, want, g.String())
	}
	if !strings.HasPrefix(g.String(), `{"event":"lost","lost":3}`) || !strings.HasSuffix(g.String(), "{\"event\":\"lost\",\"lost\":1}\n") {
		t.Errorf("want 3 lost before port 80, and 1 after it:\n%s", g.String())
	}
}

// TestRefuses: what is asked for wrongly, and what an engine does not tell.
func TestRefuses(t *testing.T) {
	r := newRoom(t)
	for path, want := range map[string]string{
		"/trace?kinds=up": "want some of in,out,held,ended", "/trace?peer=x": "want an address", "/trace?port=0": "want a port",
		"/trace?port=1&port=2": "given 2 times", "/trace?depth=1": "there are kinds", "/trace?comments=perhaps": "want true or false",
		"/conn": "there are GET /",
	} {
		path, query, _ := strings.Cut(path, "?")
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.get(t.Context(), path, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s?%s: %v, want %q", path, query, err, want)
		}
	}
	r.serve(t, NewServer(Config{Engine: "kernel"}))
	_, err := r.client.Conns(t.Context())
	_, traceErr := r.client.Trace(t.Context(), &Filter{})
	for _, err := range []error{err, traceErr} {
		if err == nil || !strings.Contains(err.Error(), "engine kernel") || !strings.Contains(err.Error(), "ss -tinO") {
			t.Errorf("engine kernel: %v", err)
		}
	}
}

// TestOtherServers: somebody else at the socket, and a protocol of the future.
func TestOtherServers(t *testing.T) {
	for version, want := range map[string]string{"": "is no ustack", "2": `version "2"`} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if version != "" {
				w.Header().Set(versionHeader, version)
			}
			io.WriteString(w, `{"conns":[]}`)
		}))
		c, err := Dial(t.Context(), path, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Conns(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("version %q: %v, want %q", version, err, want)
		}
		l.Close()
		if _, err := c.Conns(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: %v", err)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := Printable("a\x1b[2J·\r\nb\u009b"); got != "a[2J·\nb" {
		t.Errorf("%q", got)
	}
}
