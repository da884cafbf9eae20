package stack

import (
	"io"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"ustack/stack/link"
)

func TestNettest(t *testing.T) {
	for name, pc := range map[string]link.PairConfig{"plain": {}, "gso": {GSO: true}} {
		t.Run(name, func(t *testing.T) {
			h := newHosts(t, pc)
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, b := h.pair(t)
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}

func TestHello(t *testing.T) {
	h := newHosts(t, link.PairConfig{})
	a, b := h.pair(t)
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	if string(got) != "hello" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	b.Close()
}
