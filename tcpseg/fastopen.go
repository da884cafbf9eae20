package tcpseg

// Lengths of a Fast Open cookie, octets (RFC 7413 §2). It is even.
const (
	MinCookieLen = 4
	MaxCookieLen = 16
)

// FastOpen is a Fast Open option (RFC 7413 §4.1.1): a cookie, or without one the wish for it. The zero value is no option.
type FastOpen struct {
	Present bool
	Len     uint8 // octets of the cookie: 4 to 16, even; 0: there is none
	Octets  [MaxCookieLen]byte
}

// NewFastOpen returns an option with a cookie of 4 to 16 octets, an even number, or of none; else no option.
func NewFastOpen(cookie []byte) FastOpen {
	if n := len(cookie); n != 0 && (n < MinCookieLen || n > MaxCookieLen || n%2 != 0) {
		return FastOpen{}
	}
	f := FastOpen{Present: true, Len: uint8(len(cookie))}
	copy(f.Octets[:], cookie)
	return f
}

// Cookie returns the cookie; empty: there is none.
func (f *FastOpen) Cookie() []byte { return f.Octets[:f.Len] }

// paddedLen returns the octets that the option takes, padded to 32 bits.
func (f *FastOpen) paddedLen() int {
	if !f.Present {
		return 0
	}
	return (2 + int(f.Len) + 3) &^ 3
}

// appendTo appends the option, NOPs before it.
func (f *FastOpen) appendTo(b []byte) []byte {
	n := f.paddedLen()
	if n == 0 {
		return b
	}
	for range n - 2 - int(f.Len) {
		b = append(b, optNOP)
	}
	b = append(b, optFastOpen, 2+f.Len)
	return append(b, f.Cookie()...)
}
