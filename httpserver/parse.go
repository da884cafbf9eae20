package httpserver

import (
	"bytes"
	"net/http"
	"strings"
)

// Limits of a request head beyond [Server.MaxHeaderBytes].
const (
	maxMethod     = 32       // longer ones are answered 501
	maxTarget     = 16 << 10 // 414 beyond
	maxFields     = 200      // 431 beyond
	maxBlankLines = 4        // ignored before a request line (RFC 9112, 2.2)
)

// A head is a request's head as it stands: split, its bytes checked, its meaning not yet.
type head struct {
	method, target, proto string
	minor                 int // of HTTP/1.x
	header                http.Header
	seen                  uint64    // one bit for all names in header that are like one another
	few                   [4]string // the values in header, if they are few
	values                []string  // or else

	host, contentLength, coding, expectation string
	hosts, lengths, codings, expects         uint8 // how many fields of that name came: maxFields at most

	spilled          bool // values are in use
	plain            bool // target holds only what a path may hold as it stands
	close, keepAlive bool // tokens of Connection
}

// headEnd returns the length of the head at the start of p, with its final empty line, or 0 if it is not complete.
// from is how much of p was searched before.
func headEnd(p []byte, from int) int {
	for i := max(0, from-len("\n\r\n")); ; {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		if i >= 2 && p[i-2] == '\r' && i+2 <= len(p) && p[i] == '\r' && p[i+1] == '\n' {
			return i + 2
		}
	}
}

// checkPartial refuses a head that is not complete and will never be good: the sender need not be waited for. from is
// how much of p was checked before. The limit is on the whole head, in bytes.
func checkPartial(p []byte, from, limit int) *protocolError {
	line := bytes.IndexByte(p, '\n')
	for i := from; i < len(p); i++ {
		n := bytes.IndexByte(p[i:], '\n')
		if n < 0 {
			break
		}
		i += n
		if i == 0 || p[i-1] != '\r' {
			return bad("line feed without carriage return")
		}
	}
	method := 0
	for method < len(p) && chars[p[method]]&charToken != 0 {
		method++
	}
	switch {
	case method > maxMethod:
		return refuse(http.StatusNotImplemented, "method too long")
	case method < len(p) && (method == 0 || p[method] != ' '):
		return bad("malformed method")
	case line < 0 && len(p) > min(limit-1, method+1+maxTarget+len(" HTTP/1.1\r\n")):
		return refuse(http.StatusRequestURITooLong, "request target too long")
	case len(p) >= limit:
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "header too large")
	}
	return nil
}

// parseHead splits p, a head with its final empty line, in one scan. It brings the field names in p into their canonical
// form; h keeps pieces of p. What was understood before an error stands in h, for the log.
func (h *head) parseHead(p []byte) *protocolError {
	p, err := h.parseRequestLine(p)
	if err != nil {
		return err
	}
	values := h.few[:]
	for fields := 1; len(p) > len("\r\n"); fields++ {
		if fields > maxFields {
			return refuse(http.StatusRequestHeaderFieldsTooLarge, "too many header fields")
		}
		name, value, rest, err := parseField(p)
		if err != nil {
			return err
		}
		if !h.note(name, value) {
			if h.header == nil {
				h.header = make(http.Header, min(countFields(p), 32))
			}
			if len(values) == 0 {
				values = h.room(p)
			}
			values = h.add(name, value, values)
		}
		p = rest
	}
	if h.header == nil {
		h.header = make(http.Header)
	}
	return nil
}

// countFields returns how many fields stand in p, which ends with an empty line.
func countFields(p []byte) int { return bytes.Count(p, crlf) - 1 }

// room returns memory for more values: that of an earlier request, or enough for all fields that are left in p.
func (h *head) room(p []byte) []string {
	if h.spilled || len(h.values) == 0 {
		h.values = make([]string, countFields(p))
	}
	h.spilled = true
	return h.values
}

// add puts a field into the header, its value in the first of values, and returns the rest of them. It asks the map only
// for names like one that has come: to ask costs as much as to store.
func (h *head) add(key, value string, values []string) []string {
	like := uint64(1) << ((len(key) + 3*int(key[0]) + 5*int(key[len(key)-1])) % 64)
	if h.seen&like != 0 {
		if old, ok := h.header[key]; ok {
			h.header[key] = append(old, value)
			return values
		}
	}
	h.seen |= like
	values[0] = value
	h.header[key] = values[:1:1]
	return values[1:]
}

// parseRequestLine reads method SP request-target SP HTTP-version CRLF (RFC 9112, 3) and returns what follows.
func (h *head) parseRequestLine(p []byte) ([]byte, *protocolError) {
	n := 0
	for chars[p[n]]&charToken != 0 {
		n++
	}
	if n == 0 || p[n] != ' ' {
		return nil, bad("malformed method")
	}
	if n > maxMethod {
		return nil, refuse(http.StatusNotImplemented, "method too long")
	}
	h.method, p = asString(p[:n]), p[n+1:]

	all := ^uint8(0)
	for n = 0; chars[p[n]]&charTarget != 0; n++ {
		all &= chars[p[n]]
	}
	if n > maxTarget {
		return nil, refuse(http.StatusRequestURITooLong, "request target too long")
	}
	if n == 0 || p[n] != ' ' {
		return nil, bad("malformed request target")
	}
	h.target, h.plain, p = asString(p[:n]), all&charPath != 0, p[n+1:]
	return h.parseVersion(p)
}

// parseVersion reads HTTP-version CRLF (RFC 9112, 2.3).
func (h *head) parseVersion(p []byte) ([]byte, *protocolError) {
	const form = "HTTP/1.1\r\n"
	if len(p) < len(form) || string(p[:5]) != form[:5] || p[6] != '.' || string(p[8:10]) != "\r\n" || !isDigit(p[5]) || !isDigit(p[7]) {
		return nil, bad("malformed HTTP version")
	}
	h.proto, h.minor = asString(p[:8]), int(p[7]-'0')
	if p[5] != '1' {
		return nil, refuse(http.StatusHTTPVersionNotSupported, "HTTP version not supported")
	}
	return p[len(form):], nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// parseField reads one field line (RFC 9112, 5), which p holds whole, and returns what follows it. The name is brought
// into its canonical form, in p.
func parseField(p []byte) (name, value string, rest []byte, err *protocolError) {
	n := canonicalize(p)
	switch {
	case n == 0 && (p[0] == ' ' || p[0] == '\t'):
		return "", "", nil, bad("folded header line") // RFC 9112, 5.2
	case n == 0 || p[n] != ':':
		return "", "", nil, bad("malformed header field name") // RFC 9112, 5.1
	}
	name, p = asString(p[:n]), p[n+1:]
	n = spanValue(asString(p))
	switch {
	case p[n] == '\n':
		return "", "", nil, bad("line feed without carriage return")
	case p[n] != '\r' || p[n+1] != '\n':
		return "", "", nil, bad("control character in header field value")
	}
	return name, trimOWS(asString(p[:n])), p[n+2:], nil
}

// note records the fields that decide framing, routing and persistence. It reports whether the field is to be kept
// out of the Request's Header, as net/http does with Host and Transfer-Encoding.
func (h *head) note(name, value string) bool {
	switch name {
	case "Host":
		h.hosts++
		h.host = value
		return true
	case "Transfer-Encoding":
		h.codings++
		h.coding = value
		return true
	case "Connection":
		h.noteConnection(value)
	case "Content-Length":
		h.lengths++
		h.contentLength = value
	case "Expect":
		h.expects++
		h.expectation = value
	}
	return false
}

// noteConnection looks for close and keep-alive in a list of connection options (RFC 9110, 7.6.1). Who has forgotten a
// comma before close is understood, as by net/http: another server must not see the end of a connection where this one
// goes on.
func (h *head) noteConnection(list string) {
	for option := range strings.SplitSeq(list, ",") {
		option = trimOWS(option)
		h.keepAlive = h.keepAlive || equalFold(option, "keep-alive")
		for word := range strings.FieldsFuncSeq(option, isBlank) {
			h.close = h.close || equalFold(word, "close")
		}
	}
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' }
