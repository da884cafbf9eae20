package trace

// arena is a circle of octets from which pieces are taken, and to which they are given back in the same order. A piece
// never goes round the end: what is left there, and too small, goes with the piece that came before it.
type arena struct {
	b     []byte
	first int // of the oldest octet in use
	next  int // where the next piece begins, if it fits there
	used  int // with what is left over at the end
	lent  int // the size of the piece that the reader still looks at
}

// fits reports whether there is room for a piece of n octets.
func (a *arena) fits(n int) bool {
	_, gap := a.place(a.next, n)
	return a.used+gap+n <= len(a.b)
}

// place returns where a piece of n octets begins that comes after what ends at, and what is left over before it.
func (a *arena) place(at, n int) (start, gap int) {
	if at+n > len(a.b) {
		return 0, len(a.b) - at
	}
	return at, 0
}

// take returns a piece of n octets, which fits.
func (a *arena) take(n int) []byte {
	start, gap := a.place(a.next, n)
	a.next = start + n
	a.used += gap + n
	return a.b[start:a.next:a.next]
}

// lend notes that the oldest piece, b, is the reader's until giveBack.
func (a *arena) lend(b []byte) { a.lent = len(b) }

// giveBack frees the oldest piece, if it was lent.
func (a *arena) giveBack() {
	start, gap := a.place(a.first, a.lent)
	a.first = start + a.lent
	a.used -= gap + a.lent
	a.lent = 0
	if a.used == 0 {
		a.first, a.next = 0, 0
	}
}
