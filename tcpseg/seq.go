// Package tcpseg is the TCP segment codec: sequence arithmetic, the header and
// its options (RFC 9293 §3.1, RFC 7323, RFC 2018). It parses any bytes without
// panic or allocation and knows nothing of IP: whoever has the pseudo-header
// computes the checksum.
package tcpseg

// Seq is a TCP sequence number. Sequence space is a circle of 2^32 (RFC 9293
// §3.4): numbers are compared only through these methods, never with < or >.
// Two numbers compare rightly while they are less than 2^31 apart.
type Seq uint32

// Less reports whether s comes before o.
func (s Seq) Less(o Seq) bool { return int32(s-o) < 0 }

// LessEq reports whether s comes before o or is o.
func (s Seq) LessEq(o Seq) bool { return int32(s-o) <= 0 }

// Add returns the number n octets after s; n may be negative.
func (s Seq) Add(n int) Seq { return s + Seq(n) }

// Sub returns how many octets s lies after o; negative when it lies before.
func (s Seq) Sub(o Seq) int { return int(int32(s - o)) }

// In reports whether s lies in [left, right).
func (s Seq) In(left, right Seq) bool { return s-left < right-left }

// Max returns the later of a and b.
func Max(a, b Seq) Seq {
	if a.Less(b) {
		return b
	}
	return a
}

// Min returns the earlier of a and b.
func Min(a, b Seq) Seq {
	if b.Less(a) {
		return b
	}
	return a
}
