package files

import (
	"net/http"
	"strings"
	"time"
)

// validators are what conditions are held against.
type validators struct {
	etag     etag
	modified time.Time // whole seconds; zero: unknown
}

// evaluate applies the conditions of a GET or HEAD in the order of RFC 9110 §13.2.2, but for If-Range. It returns the
// status that they lead to: 304, 412, or 0 to go on.
func (v validators) evaluate(h http.Header) int {
	if lines, ok := h["If-Match"]; ok {
		if !tagIn(lines, v.etag.strongMatch) { // §13.1.1
			return http.StatusPreconditionFailed
		}
	} else if t, ok := date(h["If-Unmodified-Since"]); ok && !v.modified.IsZero() && v.modified.After(t) { // §13.1.4
		return http.StatusPreconditionFailed
	}
	if lines, ok := h["If-None-Match"]; ok { // §13.1.2; If-Modified-Since is then ignored (§13.1.3)
		if tagIn(lines, v.etag.weakMatch) {
			return http.StatusNotModified
		}
		return 0
	}
	if t, ok := date(h["If-Modified-Since"]); ok && !v.modified.IsZero() && !v.modified.After(t) {
		return http.StatusNotModified
	}
	return 0
}

// rangeHolds reports whether Range may be heeded: there is no If-Range, or it names exactly this
// representation (§13.1.5). A date does so only if the file cannot have changed twice within its second (§8.8.2.2).
func (v validators) rangeHolds(h http.Header, now time.Time) bool {
	lines, ok := h["If-Range"]
	if !ok {
		return true
	}
	if len(lines) != 1 {
		return false
	}
	s := strings.Trim(lines[0], " \t")
	if e, rest, ok := nextTag(s); ok {
		return rest == "" && v.etag.strongMatch(e)
	}
	t, ok := date(lines)
	return ok && !v.modified.IsZero() && v.modified.Equal(t) && now.Sub(v.modified) >= 2*time.Second
}

// date reads a field that is one HTTP-date in any of the three formats; anything else is as if the
// field were absent (§13.1.3, §13.1.4).
func date(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(strings.Trim(lines[0], " \t"))
	return t, err == nil
}
