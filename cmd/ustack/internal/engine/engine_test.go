package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"ustack/stack/link"
)

var (
	serverAddrs = []netip.Prefix{netip.MustParsePrefix("10.90.0.2/24"), netip.MustParsePrefix("fd90::2/64")}
	clientAddrs = []netip.Prefix{netip.MustParsePrefix("10.90.0.1/24"), netip.MustParsePrefix("fd90::1/64")}
)

// closing closes c at the end of the test.
func closing(t *testing.T, c io.Closer) {
	t.Cleanup(func() { c.Close() })
}

func newGVisor(t *testing.T, l link.Link, addrs []netip.Prefix) Engine {
	t.Helper()
	e, err := GVisor(GVisorConfig{Link: l, Addrs: addrs})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, e)
	return e
}

// gvisors returns a client and a server on the ends of a pair.
func gvisors(t *testing.T, c link.PairConfig) (client, server Engine, ends [2]*link.Memory) {
	a, b := link.Pair(c)
	closing(t, a)
	closing(t, b)
	return newGVisor(t, a, clientAddrs), newGVisor(t, b, serverAddrs), [2]*link.Memory{a, b}
}

// patience is how long one exchange may take. gVisor as the sender needs up to a minute for 2 MiB at
// 5 % of loss: its window stays at two segments, so most losses wait for its retransmission timer.
const patience = 4 * time.Minute

// exchange sends up from client to server and down the other way, at the same time, over one
// connection, and compares.
func exchange(t *testing.T, client, server Engine, network, addr string, up, down []byte) {
	t.Helper()
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		served <- swap(ctx, c, down, up)
	}()
	c, err := client.DialContext(ctx, network, addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := swap(ctx, c, up, down); err != nil {
		t.Error("client:", err)
	}
	if err := <-served; err != nil {
		t.Error("server:", err)
	}
}

// swap writes out and half-closes, reads until the end of the stream, which must be in, and
// closes. Who has nothing to write leaves its half open until then: gVisor sends SACK blocks in
// ESTABLISHED only, so closing early would measure recovery without SACK.
func swap(ctx context.Context, c net.Conn, out, in []byte) error {
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		c.SetDeadline(end)
	}
	wrote := make(chan error, 1)
	send := func() {
		_, err := c.Write(out)
		if err == nil {
			err = c.(interface{ CloseWrite() error }).CloseWrite()
		}
		wrote <- err
	}
	if len(out) > 0 {
		go send()
	}
	got := make([]byte, len(in)+1)
	n, err := io.ReadFull(c, got)
	switch {
	case err != io.ErrUnexpectedEOF && err != io.EOF:
		return fmt.Errorf("read %d of %d octets: %w", n, len(in), err)
	case !bytes.Equal(got[:n], in):
		return fmt.Errorf("received %d octets, want %d; first difference at %d", n, len(in), differ(got[:n], in))
	}
	if len(out) == 0 {
		send()
	}
	if err := <-wrote; err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestGVisorToGVisor(t *testing.T) {
	for _, gso := range []bool{false, true} {
		for _, addr := range []string{"10.90.0.2:80", "[fd90::2]:80"} {
			t.Run(fmt.Sprintf("gso=%v/%s", gso, addr), func(t *testing.T) {
				client, server, ends := gvisors(t, link.PairConfig{GSO: gso})
				exchange(t, client, server, "tcp", addr, pattern(4<<20, 1), pattern(4<<20, 2))
				s := ends[0].Stats()
				if s.WriteErrors != 0 {
					t.Errorf("the link refused %d packets", s.WriteErrors)
				}
				if mean := s.TxBytes / s.TxPackets; gso != (mean > 1500) {
					t.Errorf("gso %v, but packets have %d octets on average", gso, mean)
				}
			})
		}
	}
}

// The device stops taking super-segments in mid-connection, because somebody captures.
func TestGVisorGSOSwitchedOff(t *testing.T) {
	client, server, ends := gvisors(t, link.PairConfig{GSO: true, QueueLen: 4096})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 40 {
			time.Sleep(2 * time.Millisecond)
			ends[0].SetGSO(i%2 == 1)
		}
	}()
	exchange(t, client, server, "tcp", "10.90.0.2:80", pattern(24<<20, 1), pattern(24<<20, 2))
	<-done
	for i, e := range ends {
		if n := e.Stats().WriteErrors; n > 64 {
			t.Errorf("end %d: the link refused %d packets", i, n)
		}
	}
}

func TestEngineErrors(t *testing.T) {
	client, server, _ := gvisors(t, link.PairConfig{})
	engines := map[string][2]Engine{"gvisor": {client, server}, "kernel": {Kernel(), Kernel()}}
	host := map[string]string{"gvisor": "10.90.0.2", "kernel": "127.0.0.1"}
	for name, pair := range engines {
		t.Run(name, func(t *testing.T) { testErrors(t, pair[0], pair[1], host[name]) })
	}
}

func testErrors(t *testing.T, client, server Engine, host string) {
	ctx := t.Context()
	if _, err := client.DialContext(ctx, "tcp", net.JoinHostPort(host, "9")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial to a closed port: %v", err)
	}
	if _, err := client.DialContext(ctx, "udp", host+":9"); err == nil && server.Name() == "gvisor" {
		t.Error("dial udp: no error")
	}
	if _, err := server.Listen("tcp", host); err == nil {
		t.Error("listen without port: no error")
	}
	l, err := server.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Listen("tcp", l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listen twice: %v", err)
	}
	accepted := make(chan net.Conn, 1)
	ended := make(chan error, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
		_, err := l.Accept()
		ended <- err
	}()
	c, err := client.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer (<-accepted).Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read past its deadline: %v", err)
	}
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
}

func TestGVisorConfig(t *testing.T) {
	a, b := link.Pair(link.PairConfig{})
	closing(t, a)
	closing(t, b)
	if _, err := GVisor(GVisorConfig{Link: a}); err == nil {
		t.Error("no address: no error")
	}
	if _, err := GVisor(GVisorConfig{Link: a, Addrs: clientAddrs, CC: "vegas"}); err == nil {
		t.Error("unknown congestion control: no error")
	}
	e, err := GVisor(GVisorConfig{Link: a, Addrs: clientAddrs, CC: "reno"})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	// Quiet: not a packet before the first SYN.
	if n := b.Queues()[0]; n != nil {
		if ok, _ := n.Read(link.NewFrame()); ok {
			t.Error("an idle gVisor sent a packet")
		}
	}
}
