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

// entryKind says what a flow is at the moment.
type entryKind uint8

const (
	kindNone entryKind = iota
	kindConn
	kindHalfOpen
	kindTimeWait
)

// entry is one flow of the table. Its index never changes while it lives.
type entry struct {
	key  flowKey
	hash uint32
	ref  uint32 // slot in the slab of its kind
	kind entryKind
}

const (
	shardBits  = 6
	numShards  = 1 << shardBits
	smallIndex = 64 // slots; an empty shard keeps an index no larger than this
)

// table finds the flow of a segment. It is cut into shards by the hash, each with its own lock.
// A shard's lock comes after a connection's: who finds a Conn lets the shard go, locks the
// Conn, and looks again if that has left the table meanwhile (Conn.dead).
type table struct {
	seed   maphash.Seed
	shards [numShards]shard
}

// shard is an open-addressed index over slabs: 0 is an empty slot, else it holds the number of
// an entry plus one. Half-open and TIME-WAIT flows live in here as compact records and are
// worked on under the shard's lock.
type shard struct {
	mu        sync.Mutex
	index     []uint32
	live      int
	entries   slab[entry]
	conns     slab[*Conn]
	halfOpens slab[halfOpen]
	timeWaits slab[timeWait]
	_         [64]byte // keep neighbours' locks out of this cache line
}

func (t *table) init(seed maphash.Seed) { t.seed = seed }

// place returns the shard of key and its hash there. The hash is keyed: nobody outside can
// choose flows that collide.
func (t *table) place(key *flowKey) (*shard, uint32) {
	h := maphash.Comparable(t.seed, *key)
	return &t.shards[h>>(64-shardBits)], uint32(h)
}

// find returns the number of key's entry. The shard is locked.
func (s *shard) find(key *flowKey, hash uint32) (uint32, bool) {
	if len(s.index) == 0 {
		return 0, false
	}
	mask := uint32(len(s.index) - 1)
	for i := hash & mask; s.index[i] != 0; i = (i + 1) & mask {
		id := s.index[i] - 1
		if e := s.entries.at(id); e.hash == hash && e.key == *key {
			return id, true
		}
	}
	return 0, false
}

// insert adds an entry for a key that is not there and returns its number.
func (s *shard) insert(key *flowKey, hash uint32) uint32 {
	if (s.live+1)*4 > len(s.index)*3 {
		s.resize(max(16, len(s.index)*2))
	}
	id := s.entries.take()
	*s.entries.at(id) = entry{key: *key, hash: hash}
	s.link(id, hash)
	s.live++
	return id
}

func (s *shard) link(id, hash uint32) {
	mask := uint32(len(s.index) - 1)
	i := hash & mask
	for s.index[i] != 0 {
		i = (i + 1) & mask
	}
	s.index[i] = id + 1
}

func (s *shard) resize(n int) {
	old := s.index
	s.index = make([]uint32, n)
	for _, v := range old {
		if v != 0 {
			s.link(v-1, s.entries.at(v-1).hash)
		}
	}
}

// remove takes entry id out. What it refers to has been given back already.
func (s *shard) remove(id uint32) {
	mask := uint32(len(s.index) - 1)
	i := s.entries.at(id).hash & mask
	for s.index[i] != id+1 {
		i = (i + 1) & mask
	}
	// Close the gap: an entry that had to pass the hole on its way moves into it.
	for j := i; ; {
		j = (j + 1) & mask
		v := s.index[j]
		if v == 0 {
			break
		}
		home := s.entries.at(v-1).hash & mask
		if (j-home)&mask >= (j-i)&mask {
			s.index[i], i = v, j
		}
	}
	s.index[i] = 0
	s.entries.give(id)
	s.live--
	if s.live == 0 && len(s.index) > smallIndex {
		s.index = nil
	}
}

// addConn enters a new connection; false: the flow exists already.
func (t *table) addConn(c *Conn) bool {
	sh, hash := t.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, ok := sh.find(&c.key, hash); ok {
		return false
	}
	sh.setConn(sh.insert(&c.key, hash), c)
	return true
}

// setConn makes entry id, which refers to nothing, a connection.
func (s *shard) setConn(id uint32, c *Conn) {
	e := s.entries.at(id)
	e.kind, e.ref = kindConn, s.conns.take()
	*s.conns.at(e.ref) = c
}

// retire takes a connection out of the table or, given a record, turns its entry into TIME-WAIT.
func (t *table) retire(c *Conn, tw *tcb.TimeWait) {
	sh, hash := t.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	id, ok := sh.find(&c.key, hash)
	if !ok {
		return
	}
	e := sh.entries.at(id)
	if e.kind != kindConn || *sh.conns.at(e.ref) != c {
		return
	}
	sh.conns.give(e.ref)
	e.kind = kindNone
	if tw == nil || c.s.closing.Load() {
		sh.remove(id)
		return
	}
	c.s.addTimeWait(sh, id, c, tw)
}

func (t *table) allConns() []*Conn {
	var all []*Conn
	t.each(func(sh *shard, e *entry) {
		if e.kind == kindConn {
			all = append(all, *sh.conns.at(e.ref))
		}
	})
	return all
}

// each calls f with every entry, its shard locked.
func (t *table) each(f func(*shard, *entry)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, v := range sh.index {
			if v != 0 {
				f(sh, sh.entries.at(v-1))
			}
		}
		sh.mu.Unlock()
	}
}
