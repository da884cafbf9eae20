package netsim

import "testing"

// TestSmoke is the first thing a connection must do: a handshake, 100 KB one way, a close.
func TestSmoke(t *testing.T) {
	for seed := range uint64(20) {
		s := New(seed)
		a := s.AddHost("a", HostConfig{})
		b := s.AddHost("b", HostConfig{})
		s.Connect(a, b, Wire{Delay: 5 * Millisecond})
		b.Listen(80, Endpoint{Orderly: true})
		a.Dial(b, 4000, 80, Endpoint{Script: Script{Write: 100_000}, Orderly: true})
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
}
