package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// period is how long the sequence of /_/bytes runs until it repeats, in octets.
const period = 1_048_573

// sequence is one period of /_/bytes, written anew from its description: splitmix64 from state 0,
// as little-endian words.
var sequence = func() []byte {
	var b []byte
	for state := uint64(0); len(b) < period; {
		state += 0x9E3779B97F4A7C15
		z := state
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		b = binary.LittleEndian.AppendUint64(b, z^z>>31)
	}
	return b[:period]
}()

// readSequence reads to the end and says how long it was, and where it left the sequence.
func readSequence(r io.Reader) (int64, error) {
	buf := make([]byte, period)
	var n int64
	for {
		k, err := io.ReadFull(r, buf)
		if !bytes.Equal(buf[:k], sequence[:k]) {
			i := 0
			for buf[i] == sequence[i] {
				i++
			}
			return n, fmt.Errorf("octet %d is %#02x, want %#02x", n+int64(i), buf[i], sequence[i])
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
