package pcapng

import (
	"strconv"
	"strings"

	"ustack/ippkt"
)

// putCut adds the packets that the super-segment p is on a wire. The error is ippkt.ErrSegment if it is none.
func (w *Writer) putCut(p *Packet) error {
	var head []byte
	if len(p.Pieces) == 1 {
		head = p.Pieces[0]
	} else {
		w.gathered = gather(w.gathered[:0], p)
		head = w.gathered
	}
	size := int(p.Offload.GSOSize)
	length := max(p.Len, len(head))
	i, n := 0, 1
	return ippkt.SegmentTCPHead(w.scratch, head, length, size, func(b []byte, whole int) error {
		w.scratch = b
		if i == 0 && whole < length { // its payload is of full size
			headers := whole - size
			n = (length - headers + size - 1) / size
		}
		i++
		return w.putPacket(p, b, whole, p.named(commentsOf(p.Comments, i, n), (i-1)*size, size))
	})
}

// commentsOf returns the comments of the i-th of n packets of a super-segment: the last is what there is to say of all of
// them, those before it go with the first.
func commentsOf(comments []string, i, n int) []string {
	if n == 1 || len(comments) == 0 {
		return comments
	}
	last := len(comments) - 1
	numbered := number(comments[last], i, n)
	if i == 1 {
		return append(comments[:last:last], numbered)
	}
	return []string{numbered}
}

// number says in a comment which packet of a super-segment it is about.
func number(comment string, i, n int) string {
	return insert(comment, " ("+strconv.Itoa(i)+" of "+strconv.Itoa(n)+" of one super-segment)")
}

// named returns comments with the names of a part of p's payload in the last of them.
func (p *Packet) named(comments []string, skip, octets int) []string {
	if p.Names == nil || len(comments) == 0 {
		return comments
	}
	names := string(p.Names.Append(nil, skip, octets))
	if names == "" {
		return comments
	}
	last := len(comments) - 1
	return append(comments[:last:last], insert(comments[last], names))
}

// insert puts more into a comment, behind what the packet is.
func insert(comment, more string) string {
	what, state, found := strings.Cut(comment, separator)
	if !found {
		return what + more
	}
	return what + more + separator + state
}

// separator stands between what a comment says of a packet and what it says of the connection.
const separator = " · "
