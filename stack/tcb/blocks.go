package tcb

import "ustack/tcpseg"

// heapBlocks is the Blocks of a connection that was given none.
type heapBlocks struct{}

func (heapBlocks) Get(n int) []byte { return make([]byte, n) }
func (heapBlocks) Put([]byte)       {}

// getBlock asks for a large block when n octets are worth one, and settles for a
// small one when the budget is spent.
func getBlock(mem Blocks, n int) []byte {
	if n > SmallBlock {
		if b := mem.Get(LargeBlock); b != nil {
			return b
		}
	}
	return mem.Get(SmallBlock)
}

// sendBlock is a piece of the send queue: buf[r:w] is queued, buf[w:] is free.
type sendBlock struct {
	buf    []byte
	r, w   int
	shared bool // borrowed from the application: never written, never given back
}

// sendQueue holds what was written and is not yet acknowledged, as a chain of
// blocks. Nothing in it ever moves, and when it is empty it holds no memory.
type sendQueue struct {
	mem      Blocks
	blocks   []sendBlock
	head     int // index of the first live block
	len      int
	start    tcpseg.Seq // sequence number of the first octet
	reserved bool       // between Reserve and Commit the tail stays
	dropped  bool       // drop came between them: commit does it
	first    [1]sendBlock
}

// init makes q empty. From then on it must not be moved.
func (q *sendQueue) init(mem Blocks, start tcpseg.Seq) {
	*q = sendQueue{mem: mem, start: start}
	q.blocks = q.first[:0]
}

// end returns the sequence number after the last octet.
func (q *sendQueue) end() tcpseg.Seq { return q.start.Add(q.len) }

// tailRoom returns the free part of the last block.
func (q *sendQueue) tailRoom() []byte {
	if q.head == len(q.blocks) {
		return nil
	}
	b := &q.blocks[len(q.blocks)-1]
	if b.shared {
		return nil
	}
	return b.buf[b.w:]
}

// grow appends an empty block fit for n octets.
func (q *sendQueue) grow(n int) bool {
	if q.head != len(q.blocks) {
		n = LargeBlock // the first block is small, the others are not
	}
	buf := getBlock(q.mem, n)
	if buf == nil {
		return false
	}
	q.push(sendBlock{buf: buf})
	return true
}

func (q *sendQueue) push(b sendBlock) {
	if q.head > 0 && len(q.blocks) == cap(q.blocks) {
		n := copy(q.blocks, q.blocks[q.head:])
		clear(q.blocks[n:])
		q.blocks, q.head = q.blocks[:n], 0
	}
	q.blocks = append(q.blocks, b)
}

// write copies p to the end of the queue and returns how much found room.
func (q *sendQueue) write(p []byte) int {
	n := 0
	for n < len(p) {
		room := q.tailRoom()
		if len(room) == 0 {
			if !q.grow(len(p) - n) {
				break
			}
			continue
		}
		m := copy(room, p[n:])
		q.blocks[len(q.blocks)-1].w += m
		n += m
	}
	q.len += n
	return n
}

// writeShared appends p itself.
func (q *sendQueue) writeShared(p []byte) {
	q.push(sendBlock{buf: p, w: len(p), shared: true})
	q.len += len(p)
}

// reserve returns room for up to n octets at the end.
func (q *sendQueue) reserve(n int) (room [2][]byte) {
	i := 0
	if r := q.tailRoom(); len(r) > 0 {
		room[0] = r[:min(len(r), n)]
		n -= len(room[0])
		i = 1
	}
	if n > 0 && q.grow(n) {
		r := q.tailRoom()
		room[i] = r[:min(len(r), n)]
	}
	q.reserved = true
	return room
}

// commit queues the first n octets of the reserved room and gives back what stayed empty.
func (q *sendQueue) commit(n int) {
	if !q.reserved {
		return
	}
	q.reserved = false
	if q.dropped {
		q.drop()
		return
	}
	q.len += n
	last := len(q.blocks) - 1
	if last > q.head { // the room may have begun in the block before
		b := &q.blocks[last-1]
		if q.blocks[last].w == 0 && !b.shared {
			m := min(n, len(b.buf)-b.w)
			b.w += m
			n -= m
		}
	}
	if last >= q.head {
		q.blocks[last].w += n
	}
	for ; last >= q.head && q.blocks[last].r == q.blocks[last].w; last-- {
		q.release(&q.blocks[last])
		q.blocks = q.blocks[:last]
	}
	q.trim()
}

// view fills out with up to n octets from offset off and returns how many it covers: fewer
// than n when they lie in more than four pieces.
func (q *sendQueue) view(off, n int, out *[4][]byte) int {
	i := q.head
	for ; i < len(q.blocks); i++ {
		size := q.blocks[i].w - q.blocks[i].r
		if off < size {
			break
		}
		off -= size
	}
	got := 0
	for k := 0; k < len(out); k++ {
		if got == n || i == len(q.blocks) {
			out[k] = nil
			continue
		}
		b := &q.blocks[i]
		piece := b.buf[b.r+off : b.w]
		piece = piece[:min(len(piece), n-got)]
		out[k] = piece
		got += len(piece)
		off = 0
		i++
	}
	return got
}

// advance drops the first n octets: they are acknowledged.
func (q *sendQueue) advance(n int) {
	q.start = q.start.Add(n)
	q.len -= n
	for n > 0 {
		b := &q.blocks[q.head]
		m := min(n, b.w-b.r)
		b.r += m
		n -= m
		if b.r == b.w {
			if q.lent() {
				break
			}
			q.release(b)
			q.head++
		}
	}
	q.trim()
}

// lent reports whether the head block, though empty, must stay: reserve has lent its room, being
// the last block or the one before a block that is lent as a whole.
func (q *sendQueue) lent() bool {
	last := len(q.blocks) - 1
	return q.reserved && (q.head == last || q.head == last-1 && q.blocks[last].w == 0)
}

// trim lets go of an empty chain.
func (q *sendQueue) trim() {
	if q.reserved || q.head < len(q.blocks) {
		return
	}
	q.head = 0
	if cap(q.blocks) > 4 {
		q.blocks = q.first[:0]
	} else {
		q.blocks = q.blocks[:0]
	}
}

func (q *sendQueue) release(b *sendBlock) {
	if !b.shared {
		q.mem.Put(b.buf)
	}
	*b = sendBlock{}
}

// drop gives everything back, at once or, while somebody fills reserved room, at commit.
func (q *sendQueue) drop() {
	if q.reserved {
		q.dropped = true
		return
	}
	for i := q.head; i < len(q.blocks); i++ {
		q.release(&q.blocks[i])
	}
	q.init(q.mem, q.end())
}
