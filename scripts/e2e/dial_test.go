package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"ustack/stack"
	"ustack/stack/link"
	"ustack/stack/link/tun"
)

// dialler is a stack on a TUN device of its own, with the kernel as its peer and spec on the link.
func dialler(t *testing.T, offload tun.Mode, spec string) *stack.Stack {
	t.Helper()
	own := []netip.Prefix{netip.MustParsePrefix("10.94.0.2/24"), netip.MustParsePrefix("fd94::2/64")}
	device, err := tun.Open(tun.Config{
		Name: "dialler0", Offload: offload,
		HostAddr: netip.MustParsePrefix("10.94.0.1/24"), HostAddr6: netip.MustParsePrefix("fd94::1/64"),
		Addrs: []netip.Addr{own[0].Addr(), own[1].Addr()},
	})
	if err != nil {
		t.Fatal(err)
	}
	var l link.Link = device
	if spec != "" {
		faults, err := link.ParseSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		l = link.Impair(device, faults)
	}
	s, err := stack.New(stack.Config{Links: []link.Link{l}, Addrs: own})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// exchange dials the kernel's echo server, sends n octets, ends its side, and expects them all back.
func exchange(t *testing.T, s *stack.Stack, addr string, n int) {
	t.Helper()
	c, err := s.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	page := make([]byte, 1<<20+7) // no power of two: an octet at the wrong place differs
	for i := range page {
		page[i] = byte(i * 251 >> 5)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(c, &repeat{page: page}, int64(n))
		if err == nil {
			err = c.(*stack.Conn).CloseWrite()
		}
		sent <- err
	}()
	start := time.Now()
	want, got, total := &repeat{page: page}, make([]byte, 64<<10), 0
	ref := make([]byte, len(got))
	for {
		m, err := c.Read(got)
		want.Read(ref[:m])
		if !bytes.Equal(got[:m], ref[:m]) {
			t.Fatalf("other octets came back within %d of %d", total+m, total)
		}
		total += m
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d octets: %v", total, err)
		}
	}
	if err := <-sent; err != nil || total != n {
		t.Fatalf("%d of %d octets came back, sending ended with %v", total, n, err)
	}
	t.Logf("client: %d octets there and back in %v", n, time.Since(start).Round(time.Millisecond))
}

// repeat reads page again and again.
type repeat struct {
	page []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.page[r.at:])
		n, r.at = n+m, (r.at+m)%len(r.page)
	}
	return n, nil
}

// kernelEcho is an echo server on the kernel's TCP.
func kernelEcho(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			}()
		}
	}()
}

// TestDialClean and TestDialLossy are our TCP as the client that sends as well as receives, the kernel's as
// the server.
func TestDialClean(t *testing.T) {
	for _, offload := range []tun.Mode{tun.On, tun.Off} {
		t.Run(fmt.Sprint("offload=", offload), func(t *testing.T) {
			s := dialler(t, offload, "")
			for _, addr := range []string{"10.94.0.1:7", "[fd94::1]:7"} {
				kernelEcho(t, addr)
				exchange(t, s, addr, pick(16<<20, 64<<20))
			}
		})
	}
}

func TestDialLossy(t *testing.T) {
	for _, c := range badLinks {
		for seed := range pick(3, 20) {
			t.Run(fmt.Sprintf("%s/seed=%d", c.name, seed), func(t *testing.T) {
				s := dialler(t, tun.Auto, fmt.Sprintf("%s,seed=%d", c.impair, seed))
				addr := []string{"10.94.0.1:7", "[fd94::1]:7"}[seed%2]
				kernelEcho(t, addr)
				exchange(t, s, addr, int(c.size))
			})
		}
	}
}
