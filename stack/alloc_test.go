package stack

import (
	"io"
	"testing"

	"ustack/stack/link"
)

// One octet there and back costs no memory: neither per segment nor per call.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, pc := range map[string]link.PairConfig{"plain": {}, "gso": {GSO: true}} {
		for _, blocking := range []bool{true, false} {
			h := newHosts(t, pc)
			var c *Conn
			if blocking {
				a, b := h.pair(t)
				c = a
				go func() {
					buf := make([]byte, 64<<10)
					for {
						n, err := b.Read(buf)
						if err != nil {
							return
						}
						b.Write(buf[:n])
					}
				}()
			} else {
				c = dialOrFail(t, h.a, h.onData(t, echoThrough(make([]byte, 64<<10))))
			}
			small, large := make([]byte, 1), make([]byte, 20_000)
			for size, msg := range map[string][]byte{"small": small, "large": large} {
				trip := func() {
					if _, err := c.Write(msg); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(c, msg); err != nil {
						t.Fatal(err)
					}
				}
				for range 200 {
					trip()
				}
				if n := testing.AllocsPerRun(500, trip); n > 0 {
					t.Errorf("%s, %s, blocking %v: %v allocations for a round trip", name, size, blocking, n)
				}
			}
			c.Close()
		}
	}
}

// echoThrough returns a callback that sends back what comes, without an allocation; one connection may have it.
func echoThrough(buf []byte) func(*Conn) {
	return func(c *Conn) {
		a, b, _ := c.Peek()
		n := copy(buf, a)
		n += copy(buf[n:], b)
		c.Discard(n)
		c.Write(buf[:n])
	}
}

// BenchmarkRoundTrip is a request and its answer, one octet each, over the memory link.
func BenchmarkRoundTrip(b *testing.B) {
	h := newHosts(b, link.PairConfig{GSO: true})
	c := dialOrFail(b, h.a, h.onData(b, echoThrough(make([]byte, 4096))))
	buf := []byte{1}
	for b.Loop() {
		c.Write(buf)
		io.ReadFull(c, buf)
	}
}

// BenchmarkStream is one way, through Write and Read.
func BenchmarkStream(b *testing.B) {
	h := newHosts(b, link.PairConfig{GSO: true})
	w, r := h.pair(b)
	buf := make([]byte, 128<<10)
	go func() {
		for {
			if _, err := w.Write(buf); err != nil {
				return
			}
		}
	}()
	got := make([]byte, 128<<10)
	b.SetBytes(int64(len(got)))
	for b.Loop() {
		io.ReadFull(r, got)
	}
	w.Abort()
}

// BenchmarkConnect opens and closes.
func BenchmarkConnect(b *testing.B) {
	h := newHosts(b, link.PairConfig{}, func(c *Config) { c.Options.MSL = 1 })
	address := h.onData(b, echoBack)
	for b.Loop() {
		c := dialOrFail(b, h.a, address)
		c.CloseWrite()
		c.Read(make([]byte, 1))
		c.Close()
	}
}
