package files

import (
	"math"
	"strings"
)

// span is the octets [from, to).
type span struct{ from, to int64 }

func (s span) len() int64 { return s.to - s.from }

// maxRanges is how many ranges one request may name. Nobody needs more; each costs a part with a head.
const maxRanges = 16

// verdict is what becomes of a Range field.
type verdict int

const (
	whole         verdict = iota // as if there were none
	partial                      // these spans
	unsatisfiable                // none of it exists
)

// parseRange reads the Range field for a representation of size octets (RFC 9110 §14.1.2, §14.2). Another unit, a
// malformed field, too many ranges and ranges that together ask for more than the whole get the whole. The spans are
// within the representation, in the order in which they were asked for; those that overlap or touch are joined.
func parseRange(lines []string, size int64) ([]span, verdict) {
	if len(lines) != 1 {
		return nil, whole
	}
	unit, set, ok := strings.Cut(lines[0], "=")
	if !ok || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") {
		return nil, whole
	}
	var spans []span
	named, total := 0, int64(0)
	lastOfNothing := false // satisfiable, but no Content-Range can say so
	for set != "" {
		var spec string
		spec, set, _ = strings.Cut(set, ",")
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue // an empty element of a list (§5.6.1.2)
		}
		s, ok := parseSpec(spec, size)
		if named++; !ok || named > maxRanges {
			return nil, whole
		}
		if s.from == s.to {
			lastOfNothing = lastOfNothing || size == 0 && spec[0] == '-' && strings.Trim(spec, "-0") != ""
			continue
		}
		if s.len() > size-total {
			return nil, whole
		}
		spans = append(spans, s)
		total += s.len()
	}
	switch {
	case named == 0 || lastOfNothing:
		return nil, whole
	case len(spans) == 0:
		return nil, unsatisfiable
	}
	return join(spans), partial
}

// parseSpec reads first-last, first- or -suffix and clamps it to size. An empty span: nothing of it exists.
func parseSpec(spec string, size int64) (span, bool) {
	first, last, dash := strings.Cut(spec, "-")
	if !dash {
		return span{}, false
	}
	if first == "" {
		n, ok := position(last)
		return span{size - min(n, size), size}, ok
	}
	from, ok := position(first)
	if !ok {
		return span{}, false
	}
	if last == "" {
		return span{min(from, size), size}, true
	}
	if !digits(last) || less(last, first) {
		return span{}, false
	}
	to, _ := position(last)
	return span{min(from, size), min(to, size-1) + 1}, true
}

// position reads a decimal number. One that is too large for any file is as good as the largest.
func position(s string) (int64, bool) {
	if !digits(s) {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if n > (math.MaxInt64-9)/10 {
			return math.MaxInt64, true
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// less compares two decimal numbers of any length.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// join unites spans that overlap or touch; the union stands where the first of them stood (§15.3.7.2).
func join(spans []span) []span {
	var out []span
	for _, s := range spans {
		at := len(out)
		kept := out[:0]
		for i, o := range out {
			if s.from <= o.to && o.from <= s.to {
				s = span{min(s.from, o.from), max(s.to, o.to)}
				at = min(at, i)
				continue
			}
			kept = append(kept, o)
		}
		at = min(at, len(kept))
		out = append(kept, span{})
		copy(out[at+1:], out[at:])
		out[at] = s
	}
	return out
}
