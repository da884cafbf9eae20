package netsim

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
)

// period is the length of the sequence that all streams are cut from: a prime,
// so that no window, block or segment size is a multiple of it.
const period = 1_048_573

// sequence stands twice, so that up to a period may be taken at any offset.
var (
	sequence    = makeSequence()
	sequenceSum = crc32.ChecksumIEEE(sequence)
)

func makeSequence() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 2*period)
	for i := range period {
		b[i] = byte(rng.Uint32())
	}
	copy(b[period:], b[:period])
	return b
}

// stream is the octets one end writes: each depends on its position alone, so
// neither end has to remember them. Streams start at different places of the sequence.
type stream struct{ shift int64 }

// at returns up to n octets from offset off on: shared memory, never to be written.
func (s stream) at(off int64, n int) []byte {
	i := int((off + s.shift) % period)
	return sequence[i : i+min(n, period)]
}

// check returns how many octets of b are those from offset off on.
func (s stream) check(off int64, b []byte) int {
	good := 0
	for good < len(b) {
		want := s.at(off+int64(good), len(b)-good)
		got := b[good : good+len(want)]
		if !bytes.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					return good + i
				}
			}
		}
		good += len(want)
	}
	return good
}

// sequenceIntact reports whether nobody has written to what WriteShared lends.
func sequenceIntact() bool { return crc32.ChecksumIEEE(sequence) == sequenceSum }
