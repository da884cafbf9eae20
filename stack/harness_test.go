package stack

import (
	"net/netip"
	"testing"

	"ustack/stack/link"
)

// less is how much of n a test does: the race detector makes all slow, and looks for other things.
func less(n int) int {
	if raceEnabled {
		return n/5 + 1
	}
	return n
}

// Addresses of the two hosts of most tests.
const (
	addrA4, addrB4 = "10.90.0.1", "10.90.0.2"
	addrA6, addrB6 = "fd90::1", "fd90::2"
)

// hosts are two stacks joined by a link in memory.
type hosts struct{ a, b *Stack }

func newHosts(t testing.TB, pc link.PairConfig, change ...func(*Config)) *hosts {
	t.Helper()
	la, lb := link.Pair(pc)
	h := &hosts{
		a: newStack(t, la, addrA4, addrA6, change...),
		b: newStack(t, lb, addrB4, addrB6, change...),
	}
	return h
}

func newStack(t testing.TB, l link.Link, a4, a6 string, change ...func(*Config)) *Stack {
	t.Helper()
	cfg := Config{
		Links: []link.Link{l},
		Addrs: []netip.Prefix{netip.MustParsePrefix(a4 + "/24"), netip.MustParsePrefix(a6 + "/64")},
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// pair returns both ends of a connection from a to b.
func (h *hosts) pair(t testing.TB) (dialled, accepted *Conn) {
	t.Helper()
	l, err := h.b.Listen("tcp", addrB4+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := h.a.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), s
}

// firstEnd is a link that leads nowhere.
func firstEnd() []link.Link {
	l, _ := link.Pair(link.PairConfig{})
	return []link.Link{l}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}
