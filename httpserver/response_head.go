package httpserver

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fieldSet is what the handler's own fields settle, so that the server does not.
type fieldSet struct {
	contentType, encoded bool
	close                bool
	upgrade              bool
	trailer              []string // names announced in Trailer
}

// settle writes the status line, the date and the handler's fields, as they are now, to the stage, but for those that
// frame the message.
func (w *response) settle() {
	t := w.c.turn
	if t.stage == nil {
		t.stage = make([]byte, 0, stageRoom)
	}
	w.stage, w.length = t.stage, -1
	if !w.settleUsual() {
		w.settleFields()
	}
	w.settled = len(w.stage)
	if w.status == http.StatusResetContent {
		w.length = 0 // RFC 9110, 15.3.6
	}
}

// usual returns the handler's Content-Type and Content-Length, and reports whether it has set no other fields, and these
// to one value each: to look for these two costs less than to walk a map.
func (w *response) usual() (ctype, length []string, only bool) {
	if len(w.hdr) > 0 {
		ctype = w.hdr["Content-Type"]
	}
	if len(w.hdr) > len(ctype) {
		length = w.hdr["Content-Length"]
	}
	return ctype, length, len(ctype) <= 1 && len(length) <= 1 && len(ctype)+len(length) == len(w.hdr)
}

// settleUsual is settleFields for usual fields only, and reports whether they are.
func (w *response) settleUsual() bool {
	ctype, length, only := w.usual()
	if !only {
		return false
	}
	w.stage = w.c.srv.appendStart(w.stage, w.status)
	if len(length) > 0 {
		w.noteLength(length[0])
	}
	if len(ctype) > 0 {
		w.fields.contentType = true
		w.stage = appendValue(append(w.stage, "Content-Type: "...), ctype[0])
	}
	return true
}

func (w *response) settleFields() {
	if _, own := w.hdr["Date"]; own {
		w.stage = appendStatusLine(w.stage, w.status)
	} else {
		w.stage = w.c.srv.appendStart(w.stage, w.status)
	}
	type field struct {
		key    string
		values []string
	}
	var room [8]field
	fields := room[:0]
	for key, values := range w.hdr {
		if key == "Trailer" {
			w.noteTrailer(values)
		}
		fields = append(fields, field{key, values})
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.key, b.key) })
	for _, f := range fields {
		if w.noteField(f.key, f.values) || slices.Contains(w.fields.trailer, f.key) {
			continue
		}
		for _, v := range f.values {
			w.stage = appendField(w.stage, f.key, v)
		}
	}
}

// noteTrailer takes the names that the handler announced.
func (w *response) noteTrailer(lists []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if key := http.CanonicalHeaderKey(trimOWS(name)); isToken(key) && trailerAllowed(key) {
				w.fields.trailer = append(w.fields.trailer, key)
			}
		}
	}
}

// noteField looks at a field of the handler's and reports whether the server writes it, or nobody.
func (w *response) noteField(key string, values []string) bool {
	switch key {
	case "Content-Length":
		if len(values) > 0 {
			w.noteLength(strings.Join(values, ","))
		}
		return true
	case "Transfer-Encoding", "Keep-Alive", "Trailer":
		return true
	case "Connection":
		for _, list := range values {
			for token := range strings.SplitSeq(list, ",") {
				token = trimOWS(token)
				w.fields.close = w.fields.close || equalFold(token, "close")
				w.fields.upgrade = w.fields.upgrade || equalFold(token, "upgrade")
			}
		}
		return true
	case "Content-Type":
		w.fields.contentType = true
	case "Content-Encoding":
		w.fields.encoded = len(values) > 0 && values[0] != ""
	default:
		return strings.HasPrefix(key, http.TrailerPrefix)
	}
	return false
}

// noteLength takes the length of the content from the handler, if it is one.
func (w *response) noteLength(value string) {
	if n, ok := parseLength(trimOWS(value)); ok {
		w.length = n
	} else {
		w.c.srv.logf("httpserver: handler set a malformed Content-Length %q", value)
	}
}

// appendField writes a field line. A name that is not a token is left out; control characters in a value become blanks
// (RFC 9112, 11.1).
func appendField(b []byte, key, value string) []byte {
	if !isToken(key) {
		return b
	}
	b = append(b, key...)
	return appendValue(append(b, ": "...), value)
}

// appendValue writes the rest of a field line.
func appendValue(b []byte, value string) []byte {
	value = trimOWS(value)
	if spanValue(value) == len(value) {
		b = append(b, value...)
	} else {
		for i := range len(value) {
			c := value[i]
			if chars[c]&charValue == 0 {
				c = ' '
			}
			b = append(b, c)
		}
	}
	return append(b, "\r\n"...)
}

// commit decides framing and persistence and puts the head into the output, with what is staged of the body. p is
// written next: unless it is large, or goes into chunks, it comes with it, and commit returns how much of it was taken.
// final tells that the handler has returned and nothing follows.
func (w *response) commit(p []byte, final bool) (int, error) {
	w.committed = true
	body := w.stage[w.settled:]
	w.frame(len(body), final)
	w.decideClose(final)

	all := append(w.appendFraming(w.stage, body, p), "\r\n"...)
	fields, framing := all[:w.settled], all[len(w.stage):]
	w.headSize = int64(len(fields) + len(framing))
	content := body
	if w.head || w.noBody || w.chunked {
		content, p = nil, nil
	}
	if len(p) > stageSize {
		p = nil
	}
	n, err := w.out.begin(w, fields, framing, content, p)
	if w.chunked && !w.head {
		w.stage = append(w.stage[:0], body...)
	} else {
		w.stage = w.stage[:0]
	}
	w.settled = 0
	return n, err
}

// frame decides how the end of the body is told (RFC 9112, 6).
func (w *response) frame(staged int, final bool) {
	switch {
	case w.noBody || w.length >= 0:
	case final && (!w.hasTrailers() || w.x.head.minor == 0) && (!w.head || staged > 0):
		w.length = int64(staged)
	case w.head && final:
	case w.x.head.minor > 0:
		w.chunked = true
	default:
		w.close = true // HTTP/1.0: the end of the connection is the end of the body
	}
}

func (w *response) hasTrailers() bool {
	if len(w.fields.trailer) > 0 {
		return true
	}
	if _, _, only := w.usual(); only {
		return false
	}
	for key := range w.hdr {
		if strings.HasPrefix(key, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// decideClose settles whether the connection ends with this answer, so that the answer can say so (RFC 9112, 9.6).
func (w *response) decideClose(final bool) {
	c, x := w.c, w.x
	if x.lastOnly || w.fields.close || c.srv.closing.Load() || c.srv.MaxRequests > 0 && x.number >= c.srv.MaxRequests {
		w.close = true
	}
	if w.status == http.StatusSwitchingProtocols {
		w.close = true
	}
	if !w.close && x.body != nil && !w.keepsBody(final) {
		w.close = true
	}
	if !w.close && x.number == c.requests && w.endsView() {
		w.close = c.srv.clients.yield(c)
	}
}

// endsView reports whether nothing behind the request is in view. One with a body has left the view before its handler
// ran, and another goroutine may be reading there now.
func (w *response) endsView() bool { return w.x.body != nil || len(w.c.turn.view) == 0 }

// keepsBody reports whether the connection can be kept in spite of what is unread of the request's body.
func (w *response) keepsBody(final bool) bool {
	b := w.x.body
	if !b.mu.TryLock() {
		return true // another goroutine of the handler waits for the body
	}
	defer b.mu.Unlock()
	if !final && (b.touched || w.duplex) {
		return true // the handler goes on reading
	}
	if b.lent || b.awaited() {
		return false // the client may send the body or not: nobody knows where the next request starts
	}
	if err := b.skip(maxDrain); err != errWouldWait {
		return err == io.EOF
	}
	return !b.chunked && b.left <= maxDrain
}

// appendFraming writes the server's own fields.
func (w *response) appendFraming(b, staged, p []byte) []byte {
	if content := firstOf(staged, p); len(content) > 0 && !w.noBody && !w.fields.contentType && !w.fields.encoded {
		b = append(b, "Content-Type: "...)
		b = append(b, http.DetectContentType(content)...)
		b = append(b, "\r\n"...)
	}
	switch {
	case w.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		for _, key := range w.fields.trailer {
			b = appendField(b, "Trailer", key)
		}
	case w.length >= 0 && w.status >= 200 && w.status != http.StatusNoContent:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, w.length, 10)
		b = append(b, "\r\n"...)
	}
	return w.appendConnection(b)
}

func firstOf(a, b []byte) []byte {
	if len(a) > 0 {
		return a
	}
	return b
}

// appendConnection tells whether the connection persists (RFC 9112, 9.3 and C.2.2).
func (w *response) appendConnection(b []byte) []byte {
	switch {
	case w.status == http.StatusSwitchingProtocols || w.fields.upgrade && !w.close:
		return append(b, "Connection: Upgrade\r\n"...)
	case w.fields.upgrade:
		return append(b, "Connection: close, Upgrade\r\n"...)
	case w.close:
		return append(b, "Connection: close\r\n"...)
	case w.x.head.minor > 0:
		return b
	}
	b = append(b, "Connection: keep-alive\r\n"...)
	s := w.c.srv
	if s.idles.wait <= 0 && s.MaxRequests <= 0 {
		return b
	}
	b = append(b, "Keep-Alive: "...)
	if s.idles.wait > 0 {
		b = append(b, "timeout="...)
		b = strconv.AppendInt(b, int64(s.idles.wait/time.Second), 10)
		if s.MaxRequests > 0 {
			b = append(b, ", "...)
		}
	}
	if s.MaxRequests > 0 {
		b = append(b, "max="...)
		b = strconv.AppendInt(b, int64(s.MaxRequests-w.x.number), 10)
	}
	return append(b, "\r\n"...)
}

// sendTrailers ends a chunked body, with the fields the handler announced or named with http.TrailerPrefix.
func (w *response) sendTrailers() {
	b := append(make([]byte, 0, 64), "0\r\n"...)
	for _, key := range w.fields.trailer {
		for _, v := range w.hdr[key] {
			b = appendField(b, key, v)
		}
	}
	for key, values := range w.hdr {
		name, ok := strings.CutPrefix(key, http.TrailerPrefix)
		if !ok || !trailerAllowed(http.CanonicalHeaderKey(name)) {
			continue
		}
		for _, v := range values {
			b = appendField(b, http.CanonicalHeaderKey(name), v)
		}
	}
	w.out.write(append(b, "\r\n"...))
}

// inform sends an informational answer (RFC 9110, 15.2) with the fields set so far. HTTP/1.0 knows none.
func (w *response) inform(status int) {
	if w.x.head.minor == 0 {
		return
	}
	if status == http.StatusContinue && w.x.body != nil {
		w.x.body.answerExpectation()
	}
	b := appendStatusLine(make([]byte, 0, 256), status)
	for key, values := range w.hdr {
		switch key {
		case "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive":
			continue
		}
		for _, v := range values {
			b = appendField(b, key, v)
		}
	}
	w.out.interim(w, status, append(b, "\r\n"...))
}

func appendStatusLine(b []byte, status int) []byte {
	if status < len(statusLines) {
		return append(b, statusLines[status]...)
	}
	return makeStatusLine(b, status)
}

// statusLines are those of every status that may have a reason phrase.
var statusLines = func() (lines [600]string) {
	for status := 100; status < len(lines); status++ {
		lines[status] = string(makeStatusLine(nil, status))
	}
	return lines
}()

func makeStatusLine(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, "\r\n"...)
}
