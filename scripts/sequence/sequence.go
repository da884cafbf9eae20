// Package sequence knows what /_/bytes/{n} serves, written anew from its description, so that clients can be held to it.
package sequence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Period is how long the sequence runs until it repeats, in octets.
const Period = 1_048_573

// cycle is one period: splitmix64 from state 0, as little-endian words.
var cycle = func() []byte {
	var b []byte
	for state := uint64(0); len(b) < Period; {
		state += 0x9E3779B97F4A7C15
		z := state
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		b = binary.LittleEndian.AppendUint64(b, z^z>>31)
	}
	return b[:Period:Period]
}()

// First returns the first n octets of the sequence, up to a period. They are not to be changed.
func First(n int) []byte { return cycle[:n:n] }

// Read reads to the end and says how long it was, and where it left the sequence.
func Read(r io.Reader) (int64, error) {
	buf := make([]byte, Period)
	var n int64
	for {
		k, err := io.ReadFull(r, buf)
		if !bytes.Equal(buf[:k], cycle[:k]) {
			i := 0
			for buf[i] == cycle[i] {
				i++
			}
			return n, fmt.Errorf("octet %d is %#02x, want %#02x", n+int64(i), buf[i], cycle[i])
		}
		n += int64(k)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
