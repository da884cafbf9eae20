package control

import (
	"strings"
	"unicode"
)

// Printable takes control characters out of a text that comes from a server: whoever else answers at a socket in /tmp
// writes nothing to a terminal that means something to it.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, s)
}
