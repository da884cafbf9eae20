package tcpseg

import (
	"bytes"
	"testing"
)

// req: 7413-01
func TestFastOpen(t *testing.T) {
	cookie := []byte("0123456789abcdefgh")
	for n := range len(cookie) + 1 {
		option := append([]byte{34, byte(2 + n)}, cookie[:n]...)
		good := n == 0 || n >= 4 && n <= 16 && n%2 == 0
		for _, flags := range []Flags{SYN, SYN | ACK, ACK} {
			s, err := Parse(raw(flags, option, "x"))
			if err != nil {
				t.Fatal(err)
			}
			f := s.Options.FastOpen
			if want := good && flags.Has(SYN); f.Present != want || want && !bytes.Equal(f.Cookie(), cookie[:n]) {
				t.Errorf("%v with a cookie of %d octets: %+v", flags, n, f)
			}
			again, err := Parse(append(s.AppendTo(nil), s.Payload...))
			if err != nil || again.Header != s.Header {
				t.Errorf("%v\n got %v, %v\nwant %v", flags, again, err, s)
			}
		}
	}
}

// All that a SYN may carry, with the longest cookie, fits into 40 octets; what does not is the cookie.
func TestFastOpenBesideOthers(t *testing.T) {
	h := Header{Flags: SYN, Options: Options{MSS: 1460, SACKPermitted: true, HasTimestamps: true, HasScale: true, Scale: 7,
		FastOpen: NewFastOpen([]byte("0123456789abcdef"))}}
	if n := h.Options.Len(); n != 40 {
		t.Errorf("%d octets", n)
	}
	if s, err := Parse(h.AppendTo(nil)); err != nil || s.Header != h {
		t.Errorf("%v, %v", s, err)
	}
	h.Options.UserTimeout = 300
	s, err := Parse(h.AppendTo(nil))
	h.Options.FastOpen = FastOpen{}
	if err != nil || s.Header != h {
		t.Errorf("%v, %v", s, err)
	}
}
