package stack

import (
	"hash/maphash"
	"sync"

	"ustack/ippkt"
	"ustack/stack/tcb"
)

// flowKey names a flow: 36 octets without a pointer.
type flowKey struct {
	local, remote ippkt.Addr
	lport, rport  uint16
}

// flowKind says what a flow is at the moment.
type flowKind uint8

const (
	kindNone flowKind = iota
	kindConn
	kindHalfOpen
	kindTimeWait
)

// flowRef is a flow of a shard: its kind, and where in the slab of that kind it stands.
type flowRef uint32

const refBits = 30

func makeRef(kind flowKind, at uint32) flowRef { return flowRef(kind)<<refBits | flowRef(at) }

func (r flowRef) kind() flowKind { return flowKind(r >> refBits) }
func (r flowRef) at() uint32     { return uint32(r & (1<<refBits - 1)) }

const (
	shardBits = 6
	numShards = 1 << shardBits
	minIndex  = 16 // slots of the smallest index
)

// table finds the flow of a segment. It is cut into shards by the hash, each with its own lock.
// A shard's lock comes after a connection's: who finds a Conn lets the shard go, locks the
// Conn, and looks again if that has left the table meanwhile (Conn.dead).
type table struct {
	seed   maphash.Seed
	shards [numShards]shard
}

// shard is an open-addressed index over slabs. The key of a flow stands with the flow itself, whose cache
// line is needed anyway: eight octets of the index are all that a connection costs beside. Half-open and
// TIME-WAIT flows live in here as compact records and are worked on under the shard's lock.
type shard struct {
	mu        sync.Mutex
	index     []indexSlot
	live      int
	conns     slab[*Conn]
	halfOpens slab[halfOpen]
	timeWaits slab[timeWait]
	waiting   waitLists
	_         [64]byte // keep neighbours' locks out of this cache line
}

// indexSlot is a flow and its hash. A zero ref is an empty slot.
type indexSlot struct {
	hash uint32
	ref  flowRef
}

func (t *table) init(seed maphash.Seed) {
	t.seed = seed
	for i := range t.shards {
		t.shards[i].waiting.shard = uint8(i)
	}
}

// place returns the shard of key and its hash there. The hash is keyed: nobody outside can
// choose flows that collide.
func (t *table) place(key *flowKey) (*shard, uint32) {
	h := maphash.Comparable(t.seed, *key)
	return &t.shards[h>>(64-shardBits)], uint32(h)
}

// number returns which of the table's shards sh is.
func (sh *shard) number() uint8 { return sh.waiting.shard }

// key returns the key of a flow of the shard.
func (sh *shard) key(ref flowRef) *flowKey {
	switch ref.kind() {
	case kindConn:
		return &(*sh.conns.at(ref.at())).key
	case kindHalfOpen:
		return &sh.halfOpens.at(ref.at()).key
	}
	return &sh.timeWaits.at(ref.at()).key
}

// home is the slot that a hash is first looked for in. Multiplying instead of masking allows an index of any
// size.
func (sh *shard) home(hash uint32) int { return int(uint64(hash) * uint64(len(sh.index)) >> 32) }

func (sh *shard) next(i int) int {
	if i++; i < len(sh.index) {
		return i
	}
	return 0
}

// find returns key's flow, or 0 if there is none. The shard is locked.
func (sh *shard) find(key *flowKey, hash uint32) flowRef {
	if len(sh.index) == 0 {
		return 0
	}
	for i := sh.home(hash); sh.index[i].ref != 0; i = sh.next(i) {
		if s := sh.index[i]; s.hash == hash && *sh.key(s.ref) == *key {
			return s.ref
		}
	}
	return 0
}

// insert adds a flow whose key is not there.
func (sh *shard) insert(hash uint32, ref flowRef) {
	// Seven eighths full and growing by a quarter, an index costs 9 to 11.4 octets a flow.
	if (sh.live+1)*8 > len(sh.index)*7 {
		sh.resize(max(minIndex, len(sh.index)*5/4))
	}
	sh.link(indexSlot{hash, ref})
	sh.live++
}

func (sh *shard) link(s indexSlot) {
	i := sh.home(s.hash)
	for sh.index[i].ref != 0 {
		i = sh.next(i)
	}
	sh.index[i] = s
}

func (sh *shard) resize(n int) {
	old := sh.index
	sh.index = make([]indexSlot, n)
	for _, s := range old {
		if s.ref != 0 {
			sh.link(s)
		}
	}
}

// slot returns where in the index a flow of the shard stands.
func (sh *shard) slot(hash uint32, ref flowRef) int {
	i := sh.home(hash)
	for sh.index[i].ref != ref {
		i = sh.next(i)
	}
	return i
}

// replace makes one flow another with the same key.
func (sh *shard) replace(hash uint32, ref, by flowRef) { sh.index[sh.slot(hash, ref)].ref = by }

// remove takes a flow out.
func (sh *shard) remove(hash uint32, ref flowRef) {
	i := sh.slot(hash, ref)
	// Close the gap: a flow that had to pass the hole on its way moves into it.
	for j := i; ; {
		j = sh.next(j)
		s := sh.index[j]
		if s.ref == 0 {
			break
		}
		if sh.distance(sh.home(s.hash), j) >= sh.distance(i, j) {
			sh.index[i], i = s, j
		}
	}
	sh.index[i] = indexSlot{}
	sh.live--
	if sh.live == 0 && len(sh.index) > minIndex {
		sh.index = nil
	}
}

// distance is how many steps it is from slot i to slot j.
func (sh *shard) distance(i, j int) int {
	if j < i {
		j += len(sh.index)
	}
	return j - i
}

// addConn enters a new connection; false: the flow exists already.
func (t *table) addConn(c *Conn) bool {
	sh, hash := t.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.find(&c.key, hash) != 0 {
		return false
	}
	sh.insert(hash, sh.holdConn(c))
	return true
}

// holdConn gives a connection a place in the slab.
func (sh *shard) holdConn(c *Conn) flowRef {
	at := sh.conns.take()
	*sh.conns.at(at) = c
	return makeRef(kindConn, at)
}

// retire takes a connection out of the table or, given a record, makes it one in TIME-WAIT.
func (t *table) retire(c *Conn, tw *tcb.TimeWait) {
	sh, hash := t.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ref := sh.find(&c.key, hash)
	if ref.kind() != kindConn || *sh.conns.at(ref.at()) != c {
		return
	}
	if tw != nil && !c.s.closing.Load() {
		sh.replace(hash, ref, c.s.holdTimeWait(sh, &c.key, tw))
	} else {
		sh.remove(hash, ref)
	}
	sh.conns.give(ref.at())
}

// conn returns the connection of a flow, if it is one.
func (t *table) conn(key *flowKey) *Conn {
	sh, hash := t.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if ref := sh.find(key, hash); ref.kind() == kindConn {
		return *sh.conns.at(ref.at())
	}
	return nil
}

// kind tells what a flow is at the moment.
func (t *table) kind(key *flowKey) flowKind {
	sh, hash := t.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.find(key, hash).kind()
}

func (t *table) allConns() []*Conn {
	var all []*Conn
	t.each(func(sh *shard, ref flowRef) {
		if ref.kind() == kindConn {
			all = append(all, *sh.conns.at(ref.at()))
		}
	})
	return all
}

// each calls f with every flow, its shard locked.
func (t *table) each(f func(*shard, flowRef)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, s := range sh.index {
			if s.ref != 0 {
				f(sh, s.ref)
			}
		}
		sh.mu.Unlock()
	}
}
