package files

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"time"
)

// representation is what a request has selected: octets and what is said about them.
type representation struct {
	body     *body
	ctype    string
	coding   string // Content-Encoding; "" is none
	etag     etag
	modified time.Time // Last-Modified; zero: none
	noRanges bool
}

// serve answers a GET or HEAD: conditions, then ranges, then all of it (RFC 9110 §13.2.2).
func (p *representation) serve(w http.ResponseWriter, r *http.Request, now time.Time) {
	h := w.Header()
	h["Etag"] = []string{p.etag.String()}
	if !p.modified.IsZero() {
		h["Last-Modified"] = []string{p.modified.UTC().Format(http.TimeFormat)}
	}
	v := validators{p.etag, p.modified}
	switch status := v.evaluate(r.Header); status {
	case 0:
	case http.StatusNotModified:
		w.WriteHeader(status)
		return
	default:
		refuse(w, status)
		return
	}
	if p.noRanges {
		p.sendWhole(w, r, http.StatusOK)
		return
	}
	h["Accept-Ranges"] = acceptRanges
	lines := r.Header["Range"]
	// Range means something for GET only (§14.2).
	if len(lines) == 0 || r.Method != http.MethodGet || !v.rangeHolds(r.Header, now) {
		p.sendWhole(w, r, http.StatusOK)
		return
	}
	switch spans, what := parseRange(lines, p.body.size); {
	case what == unsatisfiable:
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(p.body.size, 10))
		refuse(w, http.StatusRequestedRangeNotSatisfiable)
	case what == whole:
		p.sendWhole(w, r, http.StatusOK)
	case len(spans) == 1:
		h.Set("Content-Range", p.contentRange(spans[0]))
		p.describe(h)
		p.send(w, r, http.StatusPartialContent, spans[0])
	default:
		p.sendParts(w, spans)
	}
}

var (
	acceptRanges = []string{"bytes"}
	noSniff      = []string{"nosniff"}
)

// describe sets the fields that come with content.
func (p *representation) describe(h http.Header) {
	h["Content-Type"] = []string{p.ctype}
	// The type is the table's word: a browser that guesses another could be made to run what is no script.
	h["X-Content-Type-Options"] = noSniff
	if p.coding != "" {
		h["Content-Encoding"] = []string{p.coding}
	}
}

func (p *representation) sendWhole(w http.ResponseWriter, r *http.Request, status int) {
	p.describe(w.Header())
	p.send(w, r, status, span{0, p.body.size})
}

func (p *representation) send(w http.ResponseWriter, r *http.Request, status int, s span) {
	w.Header()["Content-Length"] = []string{strconv.FormatInt(s.len(), 10)}
	w.WriteHeader(status)
	if r.Method != http.MethodHead && s.len() > 0 {
		_ = p.body.send(w, s) // the server sees what is missing
	}
}

func (p *representation) contentRange(s span) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, s.from, 10)
	b = strconv.AppendInt(append(b, '-'), s.to-1, 10)
	b = strconv.AppendInt(append(b, '/'), p.body.size, 10)
	return string(b)
}

// sendParts answers with several ranges (§14.6, §15.3.7.2). All heads are made first: the length is known then, and the
// connection can be used again.
func (p *representation) sendParts(w http.ResponseWriter, spans []span) {
	boundary := rand.Text()
	heads := make([]string, len(spans))
	end := "\r\n--" + boundary + "--\r\n"
	length := int64(len(end))
	for i, s := range spans {
		heads[i] = "--" + boundary + "\r\nContent-Type: " + p.ctype + "\r\nContent-Range: " + p.contentRange(s) + "\r\n\r\n"
		if i > 0 {
			heads[i] = "\r\n" + heads[i]
		}
		length += int64(len(heads[i])) + s.len()
	}
	h := w.Header()
	p.describe(h)
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	w.WriteHeader(http.StatusPartialContent)
	for i, s := range spans {
		if _, err := w.Write([]byte(heads[i])); err != nil {
			return
		}
		if p.body.send(w, s) != nil {
			return
		}
	}
	_, _ = w.Write([]byte(end))
}
