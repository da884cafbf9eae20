package files

import "strings"

// etag is an entity tag (RFC 9110 §8.8.3). The zero value is none.
type etag struct {
	opaque string // with its quotes
	weak   bool
}

func (e etag) String() string {
	if e.weak {
		return "W/" + e.opaque
	}
	return e.opaque
}

// strongMatch is the strong comparison of §8.8.3.2: weak tags equal nothing.
func (e etag) strongMatch(f etag) bool {
	return !e.weak && !f.weak && e.opaque != "" && e.opaque == f.opaque
}

// weakMatch is the weak comparison.
func (e etag) weakMatch(f etag) bool { return e.opaque != "" && e.opaque == f.opaque }

// nextTag reads an entity tag from the beginning of s.
func nextTag(s string) (e etag, rest string, ok bool) {
	if r, weak := strings.CutPrefix(s, "W/"); weak { // W is case-sensitive
		e.weak, s = true, r
	}
	if !strings.HasPrefix(s, `"`) {
		return etag{}, s, false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			e.opaque = s[:i+1]
			return e, s[i+1:], true
		case c < '!' || c == 0x7f:
			return etag{}, s, false
		}
	}
	return etag{}, s, false
}

// tagIn reports whether a list of entity tags, which may stand in several lines, is "*" or holds one
// that match accepts. A comma may stand within a tag, so the list cannot just be split. Of a malformed list what
// comes before the fault counts.
func tagIn(lines []string, match func(etag) bool) bool {
	if len(lines) == 1 && strings.Trim(lines[0], " \t") == "*" {
		return true
	}
	for _, s := range lines {
		for {
			s = strings.TrimLeft(s, " \t,") // empty elements are allowed (§5.6.1.2)
			e, rest, ok := nextTag(s)
			if !ok {
				break
			}
			if match(e) {
				return true
			}
			rest = strings.TrimLeft(rest, " \t")
			if rest != "" && rest[0] != ',' {
				break
			}
			s = rest
		}
	}
	return false
}
