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

// recordRef is a half-open or TIME-WAIT flow of a shard: its kind, and where in the slab of that kind it stands.
type recordRef uint32

const refBits = 30

func makeRef(kind flowKind, at uint32) recordRef { return recordRef(kind)<<refBits | recordRef(at) }

func (r recordRef) kind() flowKind { return flowKind(r >> refBits) }
func (r recordRef) at() uint32     { return uint32(r & (1<<refBits - 1)) }

const (
	shardBits = 6
	numShards = 1 << shardBits
)

// How full an index may be, in eighths. Between that and four fifths of it, a connection costs 21 to 27 octets, a
// record 9 to 11.4.
const (
	fullOfConns   = 6
	fullOfRecords = 7
)

// table finds the flow of a segment. It is cut into shards by the hash, each with its own lock.
// A shard's lock comes after a connection's: who finds a Conn lets the shard go, locks the
// Conn, and looks again if that has left the table meanwhile (Conn.dead).
type table struct {
	seed   maphash.Seed
	shards [numShards]shard
}

// shard has the flows whose hashes begin alike. The key of a flow stands with the flow itself, whose cache line is
// needed anyway. Half-open and TIME-WAIT flows live in here as compact records and are worked on under the
// shard's lock.
type shard struct {
	mu        sync.Mutex
	conns     index[*Conn]
	records   index[recordRef]
	halfOpens slab[halfOpen]
	timeWaits slab[timeWait]
	waiting   waitLists
	_         [64]byte // keep neighbours' locks out of this cache line
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

// conn returns key's connection, or nil if it has none. The shard is locked.
func (sh *shard) conn(key *flowKey, hash uint32) *Conn {
	x := &sh.conns
	if len(x.slots) == 0 {
		return nil
	}
	for i := x.first(hash); x.slots[i].v != nil; i = x.next(i) {
		if s := &x.slots[i]; s.hash == hash && s.v.key == *key {
			return s.v
		}
	}
	return nil
}

// record returns key's record, or 0 if it has none. The shard is locked.
func (sh *shard) record(key *flowKey, hash uint32) recordRef {
	x := &sh.records
	if len(x.slots) == 0 {
		return 0
	}
	for i := x.first(hash); x.slots[i].v != 0; i = x.next(i) {
		if s := x.slots[i]; s.hash == hash && *sh.recordKey(s.v) == *key {
			return s.v
		}
	}
	return 0
}

func (sh *shard) recordKey(r recordRef) *flowKey {
	if r.kind() == kindHalfOpen {
		return &sh.halfOpens.at(r.at()).key
	}
	return &sh.timeWaits.at(r.at()).key
}

// kind tells what a flow is at the moment. The shard is locked.
func (sh *shard) kind(key *flowKey, hash uint32) flowKind {
	if sh.conn(key, hash) != nil {
		return kindConn
	}
	return sh.record(key, hash).kind()
}

// addConn enters a new connection; false: the flow exists already.
func (t *table) addConn(c *Conn) bool {
	sh, hash := t.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.kind(&c.key, hash) != kindNone {
		return false
	}
	sh.conns.insert(hash, c, fullOfConns)
	return true
}

// retire takes a connection out of the table or, given a record, makes it one in TIME-WAIT.
func (t *table) retire(c *Conn, tw *tcb.TimeWait) {
	sh, hash := t.place(&c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.conn(&c.key, hash) != c {
		return
	}
	sh.conns.remove(hash, c)
	if tw != nil && !c.s.closing.Load() {
		sh.records.insert(hash, c.s.holdTimeWait(sh, &c.key, tw), fullOfRecords)
	}
}

// conn returns the connection of a flow, if it is one.
func (t *table) conn(key *flowKey) *Conn {
	sh, hash := t.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.conn(key, hash)
}

// kind tells what a flow is at the moment.
func (t *table) kind(key *flowKey) flowKind {
	sh, hash := t.place(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.kind(key, hash)
}

// allConns returns the connections of the moment.
func (t *table) allConns() []*Conn {
	var all []*Conn
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, s := range sh.conns.slots {
			if s.v != nil {
				all = append(all, s.v)
			}
		}
		sh.mu.Unlock()
	}
	return all
}

// count returns how many flows there are of each kind.
func (t *table) count() (conns, halfOpen, timeWait int) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		conns += sh.conns.live
		halfOpen += sh.halfOpens.live
		timeWait += sh.timeWaits.live
		sh.mu.Unlock()
	}
	return conns, halfOpen, timeWait
}
