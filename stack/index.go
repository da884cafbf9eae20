package stack

// index is an open-addressed hash table of values that have a key of their own: it holds the hash of the key and the
// value, of which the zero value is an empty slot.
type index[V comparable] struct {
	slots []indexSlot[V]
	live  int
}

type indexSlot[V comparable] struct {
	hash uint32
	v    V
}

const minIndex = 16 // slots of the smallest index

// first is the slot that a hash is first looked for in; next comes after it. Multiplying instead of masking
// allows an index of any size. There must be slots.
func (x *index[V]) first(hash uint32) int { return int(uint64(hash) * uint64(len(x.slots)) >> 32) }

func (x *index[V]) next(i int) int {
	if i++; i < len(x.slots) {
		return i
	}
	return 0
}

// insert adds a value that is not there. The index grows by a quarter when it is fuller than so many eighths.
func (x *index[V]) insert(hash uint32, v V, eighths int) {
	if (x.live+1)*8 > len(x.slots)*eighths {
		x.resize(max(minIndex, len(x.slots)*5/4))
	}
	x.link(indexSlot[V]{hash, v})
	x.live++
}

func (x *index[V]) link(s indexSlot[V]) {
	var empty V
	i := x.first(s.hash)
	for x.slots[i].v != empty {
		i = x.next(i)
	}
	x.slots[i] = s
}

func (x *index[V]) resize(n int) {
	var empty V
	old := x.slots
	x.slots = make([]indexSlot[V], n)
	for _, s := range old {
		if s.v != empty {
			x.link(s)
		}
	}
}

// remove takes a value out that is there.
func (x *index[V]) remove(hash uint32, v V) {
	var empty V
	i := x.first(hash)
	for x.slots[i].v != v {
		i = x.next(i)
	}
	// Close the gap: a value that had to pass the hole on its way moves into it.
	for j := i; ; {
		j = x.next(j)
		s := x.slots[j]
		if s.v == empty {
			break
		}
		if x.distance(x.first(s.hash), j) >= x.distance(i, j) {
			x.slots[i], i = s, j
		}
	}
	x.slots[i] = indexSlot[V]{}
	x.live--
	if x.live == 0 && len(x.slots) > minIndex {
		x.slots = nil
	}
}

// distance is how many steps it is from slot i to slot j.
func (x *index[V]) distance(i, j int) int {
	if j < i {
		j += len(x.slots)
	}
	return j - i
}
