package stack

import "ustack/stack/tcb"

// timerSlab has the timers of all owners, by number. Chunks never move: an owner keeps a pointer.
type timerSlab struct {
	chunks []*timerChunk
	free   []uint32
	live   int
}

const timerChunkSize = 256

type timerChunk struct {
	timers [timerChunkSize]timer
	owners [timerChunkSize]timerOwner
}

// take returns a timer for o.
func (s *timerSlab) take(o timerOwner) *timer {
	if len(s.free) == 0 {
		s.grow()
	}
	last := len(s.free) - 1
	id := s.free[last]
	s.free = s.free[:last]
	s.live++
	chunk := s.chunks[id/timerChunkSize]
	chunk.owners[id%timerChunkSize] = o
	return &chunk.timers[id%timerChunkSize]
}

func (s *timerSlab) grow() {
	base := uint32(len(s.chunks) * timerChunkSize)
	chunk := new(timerChunk)
	s.chunks = append(s.chunks, chunk)
	for i := range uint32(timerChunkSize) {
		chunk.timers[i].id = base + i
		s.free = append(s.free, base+timerChunkSize-1-i)
	}
}

// at returns the timer with a number, which may be anybody's by now; nil: nobody has any.
func (s *timerSlab) at(id uint32) *timer {
	if int(id/timerChunkSize) >= len(s.chunks) {
		return nil
	}
	return &s.chunks[id/timerChunkSize].timers[id%timerChunkSize]
}

func (s *timerSlab) owner(id uint32) timerOwner {
	return s.chunks[id/timerChunkSize].owners[id%timerChunkSize]
}

// give takes t back, and lets all memory go with the last one if that is more than a chunk. It reports whether
// it did.
func (s *timerSlab) give(t *timer) bool {
	if s.live--; s.live == 0 && len(s.chunks) > 1 {
		*s = timerSlab{}
		return true
	}
	s.chunks[t.id/timerChunkSize].owners[t.id%timerChunkSize] = timerOwner{}
	s.free = append(s.free, t.id)
	return false
}

// timerHeap is a binary heap: the first one is due first.
type timerHeap []nearTimer

type nearTimer struct {
	when tcb.Time
	id   uint32
}

func (h *timerHeap) push(n nearTimer) {
	*h = append(*h, n)
	a := *h
	i := len(a) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if a[parent].when <= n.when {
			break
		}
		a[i] = a[parent]
		i = parent
	}
	a[i] = n
}

func (h *timerHeap) pop() nearTimer {
	a := *h
	first, moved := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	i := 0
	for {
		child := 2*i + 1
		if child >= len(a) {
			break
		}
		if child+1 < len(a) && a[child+1].when < a[child].when {
			child++
		}
		if a[child].when >= moved.when {
			break
		}
		a[i] = a[child]
		i = child
	}
	if len(a) > 0 {
		a[i] = moved
	}
	return first
}
