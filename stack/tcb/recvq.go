package tcb

// recvBlock is a piece of the receive queue: it holds the octets of the stream
// from offset off on, whether they have arrived or not.
type recvBlock struct {
	off int64
	buf []byte
}

func (b *recvBlock) end() int64 { return b.off + int64(len(b.buf)) }

// recvQueue holds received octets at their place in the stream: in order up to
// ready, and out of order beyond. Blocks stand in order and do not overlap; where
// nothing has arrived there need be none. Offsets count from the first octet
// after the peer's SYN.
type recvQueue struct {
	mem    Blocks
	blocks []recvBlock
	read   int64 // first octet not consumed
	ready  int64 // octets before it have arrived in order
	first  [1]recvBlock
}

// init makes q empty. From then on it must not be moved.
func (q *recvQueue) init(mem Blocks) {
	*q = recvQueue{mem: mem}
	q.blocks = q.first[:0]
}

// write stores p at offset off, at or above ready, and returns how many octets found memory.
func (q *recvQueue) write(off int64, p []byte) int {
	n := 0
	for n < len(p) {
		b := q.blockFor(off+int64(n), len(p)-n)
		if b == nil {
			break
		}
		n += copy(b.buf[off+int64(n)-b.off:], p[n:])
	}
	return n
}

// blockFor returns the block that holds offset off, lending one if there is none.
func (q *recvQueue) blockFor(off int64, n int) *recvBlock {
	i := len(q.blocks)
	for i > 0 && q.blocks[i-1].off > off {
		i--
	}
	if i > 0 && off < q.blocks[i-1].end() {
		return &q.blocks[i-1]
	}
	return q.insert(i, off, n)
}

// insert puts a block for offset off at index i. Blocks beyond a hole stand on a grid of whole
// blocks after the last octet before the hole, so that filling the hole wastes nothing.
func (q *recvQueue) insert(i int, off int64, n int) *recvBlock {
	from := q.ready
	if i > 0 {
		from = q.blocks[i-1].end()
	}
	if len(q.blocks) > 0 || off != from {
		n = LargeBlock
	}
	buf := getBlock(q.mem, n)
	if buf == nil {
		return nil
	}
	size := int64(len(buf))
	at := from + (off-from)/size*size
	if i < len(q.blocks) {
		buf = buf[:min(size, q.blocks[i].off-at)]
	}
	q.blocks = append(q.blocks, recvBlock{})
	copy(q.blocks[i+1:], q.blocks[i:])
	q.blocks[i] = recvBlock{at, buf}
	return &q.blocks[i]
}

// peek returns what is ready to be read, as far as two blocks hold it.
func (q *recvQueue) peek() (a, b []byte) {
	if q.read == q.ready {
		return nil, nil
	}
	first := &q.blocks[0]
	a = first.buf[q.read-first.off : min(q.ready, first.end())-first.off]
	if q.ready > first.end() {
		second := &q.blocks[1]
		b = second.buf[:min(q.ready, second.end())-second.off]
	}
	return a, b
}

// discard consumes n octets.
func (q *recvQueue) discard(n int, outOfOrder bool) {
	q.read += min(int64(n), q.ready-q.read)
	i := 0
	for i < len(q.blocks) && q.blocks[i].end() <= q.read {
		q.put(i)
		i++
	}
	if q.read == q.ready && !outOfOrder { // drained: an idle connection holds nothing
		for ; i < len(q.blocks); i++ {
			q.put(i)
		}
	}
	if i > 0 {
		m := copy(q.blocks, q.blocks[i:])
		clear(q.blocks[m:])
		q.blocks = q.blocks[:m]
		if m == 0 && cap(q.blocks) > 4 {
			q.blocks = q.first[:0]
		}
	}
}

func (q *recvQueue) put(i int) {
	b := q.blocks[i].buf
	q.mem.Put(b[:cap(b)])
	q.blocks[i].buf = nil
}

// prune gives back the blocks that lie more than n octets beyond what is ready.
func (q *recvQueue) prune(n int64) {
	keep := len(q.blocks)
	for keep > 0 && q.blocks[keep-1].off >= q.ready+n {
		keep--
		q.put(keep)
	}
	q.blocks = q.blocks[:keep]
}

// flush makes what has arrived unreadable. Its memory stays until drop, because somebody may
// still be looking at it.
func (q *recvQueue) flush() { q.read = q.ready }

// drop gives everything back.
func (q *recvQueue) drop() {
	for i := range q.blocks {
		q.put(i)
	}
	q.blocks = q.first[:0]
	q.read = q.ready
}
