package stack

import (
	"io"
	"strings"
	"testing"

	"ustack/stack/link"
)

// TestOctets: every way to write and to read counts, and the end of the connection changes nothing.
func TestOctets(t *testing.T) {
	h := newHosts(t, link.PairConfig{})
	a, b := h.pair(t)
	const size = 100_000
	data := make([]byte, size)
	written := int64(0)
	check := func(c *Conn, wantRead, wantWritten int64) {
		t.Helper()
		if r, w := c.Octets(); r != wantRead || w != wantWritten {
			t.Errorf("%d read, %d written: want %d, %d", r, w, wantRead, wantWritten)
		}
	}
	check(a, 0, 0)
	for _, write := range []func() (int, error){
		func() (int, error) { return a.Write(data) },
		func() (int, error) { return a.WriteShared(data) },
		func() (int, error) { return a.WriteGather(data[:7], data) },
		func() (int, error) { return a.WriteSoon(data) },
		func() (int, error) {
			n, err := a.ReadFrom(struct{ io.Reader }{strings.NewReader(string(data))})
			return int(n), err
		},
	} {
		done := make(chan error, 1)
		go func() {
			n, err := write()
			written += int64(n)
			done <- err
		}()
		read, _ := b.Octets()
		if _, err := io.ReadFull(b, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		check(b, read+size, 0)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		check(a, 0, written)
	}
	if b.Discard(3) != nil { // of the 7 that are left
		t.Error("nothing to discard")
	}
	check(b, written-4, 0)
	a.Write(data)
	written += size
	a.Abort()
	check(a, 0, written)
}
