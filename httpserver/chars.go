package httpserver

import (
	"encoding/binary"
	"unsafe"
)

// Classes of bytes, as bits, for the table that the parser reads one byte of input through.
const (
	charToken  = 1 << iota // tchar (RFC 9110, 5.6.2)
	charValue              // field content: HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5)
	charTarget             // what a request target may hold: visible ASCII but '#'
	charPath               // bytes a path may hold for which url.URL needs no RawPath
	charHost               // reg-name without pct-encoded: unreserved, sub-delims (RFC 3986, 3.2.2)
	charHex                // HEXDIG
)

var chars = makeChars()

func makeChars() (t [256]uint8) {
	mark := func(set string, class uint8) {
		for i := range len(set) {
			t[set[i]] |= class
		}
	}
	const (
		digits = "0123456789"
		alnum  = digits + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	)
	mark(alnum+"!#$%&'*+-.^_`|~", charToken)
	mark(alnum+"-._~/$&+:=@", charPath)
	mark(alnum+"-._~!$&'()*+,;=", charHost)
	mark(digits+"abcdefABCDEF", charHex)
	t['\t'] |= charValue
	for c := 0x20; c < 0x100; c++ {
		if c != 0x7f {
			t[c] |= charValue
		}
		if c > 0x20 && c < 0x7f && c != '#' {
			t[c] |= charTarget
		}
	}
	return t
}

// canon holds what each byte of a field name becomes in its canonical form, at the start of a word and inside one: words
// end with a hyphen. It is 0 for bytes that no name may hold.
var canon = func() (t [2][256]byte) {
	for c := range chars {
		if chars[c]&charToken != 0 {
			t[0][c], t[1][c] = byte(c), lower(byte(c))
		}
		if 'a' <= c && c <= 'z' {
			t[0][c] = byte(c) - 'a' + 'A'
		}
	}
	return t
}()

// canonicalize brings the field name at the start of p into its canonical form, where it stands, and returns its length.
func canonicalize(p []byte) int {
	word := &canon[0]
	for i, c := range p {
		d := word[c]
		if d == 0 {
			return i
		}
		if d != c {
			p[i] = d
		}
		if word = &canon[1]; d == '-' {
			word = &canon[0]
		}
	}
	return len(p)
}

// spanValue is span for charValue, eight bytes at a time. A byte is none of it if it is below SP or is DEL; HTAB, which
// is, comes so rarely that it may be found the slow way.
func spanValue(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		del := x ^ 0x7f*ones
		if ((x-' '*ones)&^x|(del-ones)&^del)&tops != 0 { // some byte is below SP, or some byte of del is 0
			n := span(s[i:i+8], charValue)
			if n < 8 {
				return i + n
			}
		}
	}
	return i + span(s[i:], charValue)
}

// asString makes a string of b without a copy: b does not change while the string is used.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// span returns how many bytes at the start of s belong to class.
func span(s string, class uint8) int {
	for i := range len(s) {
		if chars[s[i]]&class == 0 {
			return i
		}
	}
	return len(s)
}

func isToken(s string) bool { return s != "" && span(s, charToken) == len(s) }

// trimOWS removes optional whitespace (RFC 9110, 5.6.3) from both ends.
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// lower returns the lower case of an ASCII letter and any other byte as it is.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold reports whether s, in ASCII and whatever its case, is the lower-case word.
func equalFold(s, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i := range len(s) {
		if lower(s[i]) != word[i] {
			return false
		}
	}
	return true
}
