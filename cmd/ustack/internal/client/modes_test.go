package client

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"ustack/httpserver"
	"ustack/stack"
	"ustack/stack/link"
)

// oneWay is the delay of the link between the hosts of these tests.
const oneWay = 10 * time.Millisecond

// hosts are a server of h, with HTTP/1.1 on port 80 and HTTP/2 on port 82, and what dials it, over ustack on both sides.
func hosts(t *testing.T, h http.Handler) (client *stack.Stack, done func()) {
	t.Helper()
	left, right := link.Pair(link.PairConfig{})
	spec, err := link.ParseSpec("delay=" + oneWay.String())
	if err != nil {
		t.Fatal(err)
	}
	up := func(l link.Link, addr string) *stack.Stack {
		s, err := stack.New(stack.Config{Links: []link.Link{l}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server, client := up(link.Impair(left, spec), "10.90.0.2/24"), up(right, "10.90.0.1/24")
	l, err := (&stack.ListenConfig{Stack: server, FastOpen: 16}).Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	web := &httpserver.Server{Handler: h}
	go web.Serve(l)
	l, err = server.Listen("tcp", ":82")
	if err != nil {
		t.Fatal(err)
	}
	web2 := http2Server(h)
	go web2.Serve(l)
	return client, func() {
		web.Close()
		web2.Close()
		client.Close()
		server.Close()
	}
}

// The ways to load twelve objects, each with what it must cost in round trips.
func TestModesOverUStack(t *testing.T) {
	const n, rtt = 12, 2 * oneWay
	for _, tt := range []struct {
		name        string
		client      Client
		connections int
		trips       int // round trips in all
		fastOpen    bool
	}{
		{"serial", Client{Serial: true}, n, 2 * n, false},
		{"parallel", Client{Parallel: 4}, 4, 1 + n/4, false},
		{"serial and parallel", Client{Serial: true, Parallel: 4}, n, 2 * n / 4, false},
		// The first connection asks for the cookie; each of the others saves a round trip.
		{"serial and fast open", Client{Serial: true}, n, 2 + n - 1, true},
		{"persistent", Client{}, 1, 1 + n, false},
		{"pipelined", Client{Depth: n}, 1, 2, false},
		{"pipelined by four", Client{Depth: 4}, 1, 4, false},
		{"pipelined and parallel", Client{Depth: n / 2, Parallel: 2}, 2, 2, false},
		{"multiplexed", Client{Multiplexed: true}, 1, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, done := hosts(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, r.URL.Path)
				}))
				defer done()
				c, got := tt.client, bodies{}
				c.Dial, c.Body = client.DialContext, got.writer
				if tt.fastOpen {
					c.DialData = (&stack.Dialer{Stack: client}).DialData
				}
				base := "http://10.90.0.2"
				if c.Multiplexed {
					base += ":82"
				}
				report, err := c.Do(t.Context(), urls(base, n))
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range report.Results {
					if r.Failed() || got.list[i].String() != fmt.Sprintf("/%d", i) || r.Start+r.Total > report.Elapsed {
						t.Errorf("%d: %+v, body %q", i, r, got.list[i])
					}
				}
				if report.Connections != tt.connections || report.Handshakes < time.Duration(tt.connections)*rtt {
					t.Errorf("%d connections with handshakes of %v", report.Connections, report.Handshakes)
				}
				if trips := float64(report.Elapsed) / float64(rtt); trips < float64(tt.trips) || trips > float64(tt.trips)+1 {
					t.Errorf("%.2f round trips, want %d", trips, tt.trips)
				}
			})
		})
	}
}
