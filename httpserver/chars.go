package httpserver

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
