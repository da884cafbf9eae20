package tcb

import (
	"slices"

	"ustack/tcpseg"
)

// maxRanges bounds the out-of-order ranges of a connection, so that a flood of
// one-octet segments costs little (U-19).
const maxRanges = 128

// seqRange is a stretch of sequence space that arrived out of order.
type seqRange struct {
	left, right tcpseg.Seq
	stamp       uint32 // when it last changed: SACK reports the newest first
}

// ranges are the out-of-order ranges, in order, neither overlapping nor touching. Few connections ever need
// any: a nil pointer is empty.
type ranges struct {
	list  []seqRange
	clock uint32
}

func (r *ranges) empty() bool { return r == nil || len(r.list) == 0 }

// octets returns how much the ranges cover.
func (r *ranges) octets() int {
	if r == nil {
		return 0
	}
	n := 0
	for i := range r.list {
		n += r.list[i].right.Sub(r.list[i].left)
	}
	return n
}

// overlap returns the first stretch of [left, right) that the ranges cover already; empty: none.
func (r *ranges) overlap(left, right tcpseg.Seq) (from, to tcpseg.Seq) {
	if r == nil {
		return left, left
	}
	for i := range r.list {
		from, to = tcpseg.Max(left, r.list[i].left), tcpseg.Min(right, r.list[i].right)
		if from.Less(to) {
			return from, to
		}
	}
	return left, left
}

// add includes [left, right) and reports whether there was room for it.
func (r *ranges) add(left, right tcpseg.Seq) bool {
	i := 0
	for i < len(r.list) && r.list[i].right.Less(left) {
		i++
	}
	j := i
	for j < len(r.list) && r.list[j].left.LessEq(right) {
		left = tcpseg.Min(left, r.list[j].left)
		right = tcpseg.Max(right, r.list[j].right)
		j++
	}
	if i == j && len(r.list) >= maxRanges {
		return false
	}
	r.clock++
	r.list = slices.Replace(r.list, i, j, seqRange{left, right, r.clock})
	return true
}

// take removes the ranges that nxt has reached and returns how far data is now in order.
func (r *ranges) take(nxt tcpseg.Seq) tcpseg.Seq {
	n := 0
	for n < len(r.list) && r.list[n].left.LessEq(nxt) {
		nxt = tcpseg.Max(nxt, r.list[n].right)
		n++
	}
	if n > 0 {
		r.list = slices.Delete(r.list, 0, n)
	}
	if len(r.list) == 0 && cap(r.list) > 16 {
		r.list = nil
	}
	return nxt
}

// sack adds to the SACK option up to most blocks in all: the range that changed last first, then
// the others from the newest to the oldest (RFC 2018 §4).
func (r *ranges) sack(o *tcpseg.Options, most int) {
	bound := r.clock + 1
	for ; int(o.SACKCount) < most; o.SACKCount++ {
		newest := -1
		for i := range r.list {
			if s := r.list[i].stamp; s < bound && (newest < 0 || s > r.list[newest].stamp) {
				newest = i
			}
		}
		if newest < 0 {
			return
		}
		bound = r.list[newest].stamp
		o.SACK[o.SACKCount] = tcpseg.SACKBlock{Left: r.list[newest].left, Right: r.list[newest].right}
	}
}
