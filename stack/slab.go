package stack

// slabChunk is how many values a chunk has. Chunks of TIME-WAIT records, of which there may be most, and of
// half-open ones then fill a class of the allocator, 1,152 and 2,048 octets, but for a few; and of the 64 shards'
// last chunks, half empty on average, ten thousand records bear 4 octets each.
const slabChunk = 15

// slab holds values in chunks, so that they never move and cost no allocation each.
type slab[T any] struct {
	chunks []*[slabChunk]T
	free   []uint32
	live   int
}

// take returns the number of an unused, zero value.
func (s *slab[T]) take() uint32 {
	s.live++
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	base := uint32(len(s.chunks) * slabChunk)
	s.chunks = append(s.chunks, new([slabChunk]T))
	for i := base + slabChunk - 1; i > base; i-- {
		s.free = append(s.free, i)
	}
	return base
}

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i/slabChunk][i%slabChunk] }

// give takes value i back. A slab that is empty lets its memory go.
func (s *slab[T]) give(i uint32) {
	s.live--
	if s.live == 0 && len(s.chunks) > 1 {
		*s = slab[T]{}
		return
	}
	var zero T
	*s.at(i) = zero
	s.free = append(s.free, i)
}
