package httpserver

import (
	"bytes"
	"net/http"
	"net/textproto"
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
	few                   [4]string // the values in header, if they are few
	values                []string  // or else

	hosts, lengths, codings, expects         int // how many fields of that name came
	host, contentLength, coding, expectation string

	close, keepAlive bool // tokens of Connection
}

// headEnd returns the length of the head at the start of p, with its final empty line, or 0 if it is not complete.
// from is how much of p was searched before.
func headEnd(p []byte, from int) int {
	from = max(0, from-3)
	if i := bytes.Index(p[from:], crlfcrlf); i >= 0 {
		return from + i + 4
	}
	return 0
}

var crlfcrlf = []byte("\r\n\r\n")

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
	case line < 0 && len(p) > method+1+maxTarget+len(" HTTP/1.1\r\n"):
		return refuse(http.StatusRequestURITooLong, "request target too long")
	case len(p) >= limit:
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "header too large")
	}
	return nil
}

// parseHead splits s, a head with its final empty line, in one scan. h keeps substrings of s. What was understood
// before an error stands in h, for the log.
func (h *head) parseHead(s string) *protocolError {
	rest, err := h.parseRequestLine(s)
	if err != nil {
		return err
	}
	n := strings.Count(rest, "\n") - 1
	if n > maxFields {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "too many header fields")
	}
	if h.header == nil {
		h.header = make(http.Header, min(n, 32))
	}
	values := h.few[:]
	if n > len(values) {
		if len(h.values) < n {
			h.values = make([]string, n)
		}
		values = h.values
	}
	for rest != "\r\n" {
		name, value, after, err := parseField(rest)
		if err != nil {
			return err
		}
		rest = after
		if h.note(name, value) {
			continue
		}
		key := canonical(name)
		if old, ok := h.header[key]; ok {
			h.header[key] = append(old, value)
			continue
		}
		values[0] = value
		h.header[key] = values[:1:1]
		values = values[1:]
	}
	return nil
}

// parseRequestLine reads method SP request-target SP HTTP-version CRLF (RFC 9112, 3) and returns what follows.
func (h *head) parseRequestLine(s string) (string, *protocolError) {
	n := span(s, charToken)
	if n == 0 || s[n] != ' ' {
		return "", bad("malformed method")
	}
	if n > maxMethod {
		return "", refuse(http.StatusNotImplemented, "method too long")
	}
	h.method, s = s[:n], s[n+1:]

	n = span(s, charTarget)
	if n > maxTarget {
		return "", refuse(http.StatusRequestURITooLong, "request target too long")
	}
	if n == 0 || s[n] != ' ' {
		return "", bad("malformed request target")
	}
	h.target, s = s[:n], s[n+1:]

	const form = "HTTP/1.1\r\n"
	if len(s) < len(form) || s[:5] != "HTTP/" || s[6] != '.' || s[8:10] != "\r\n" || !isDigit(s[5]) || !isDigit(s[7]) {
		return "", bad("malformed HTTP version")
	}
	h.proto, h.minor = s[:8], int(s[7]-'0')
	if s[5] != '1' {
		return "", refuse(http.StatusHTTPVersionNotSupported, "HTTP version not supported")
	}
	return s[10:], nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// parseField reads one field line (RFC 9112, 5), which s holds whole, and returns what follows it.
func parseField(s string) (name, value, rest string, err *protocolError) {
	n := span(s, charToken)
	switch {
	case n == 0 && (s[0] == ' ' || s[0] == '\t'):
		return "", "", "", bad("folded header line") // RFC 9112, 5.2
	case n == 0 || s[n] != ':':
		return "", "", "", bad("malformed header field name") // RFC 9112, 5.1
	}
	name, s = s[:n], s[n+1:]
	n = span(s, charValue)
	switch {
	case s[n] == '\n':
		return "", "", "", bad("line feed without carriage return")
	case s[n] != '\r' || s[n+1] != '\n':
		return "", "", "", bad("control character in header field value")
	}
	return name, trimOWS(s[:n]), s[n+2:], nil
}

// note records the fields that decide framing, routing and persistence. It reports whether the field is to be kept
// out of the Request's Header, as net/http does with Host and Transfer-Encoding.
func (h *head) note(name, value string) bool {
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			h.hosts++
			h.host = value
			return true
		}
	case len("expect"):
		if equalFold(name, "expect") {
			h.expects++
			h.expectation = value
		}
	case len("connection"):
		if equalFold(name, "connection") {
			h.noteConnection(value)
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			h.lengths++
			h.contentLength = value
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			h.codings++
			h.coding = value
			return true
		}
	}
	return false
}

// noteConnection looks for close and keep-alive in a list of connection options (RFC 9110, 7.6.1).
func (h *head) noteConnection(list string) {
	for token := range strings.SplitSeq(list, ",") {
		switch token = trimOWS(token); {
		case equalFold(token, "close"):
			h.close = true
		case equalFold(token, "keep-alive"):
			h.keepAlive = true
		}
	}
}

// canonical returns the canonical form of a field name that is known to be a token, without allocating when it has
// that form already, as most have.
func canonical(name string) string {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			return textproto.CanonicalMIMEHeaderKey(name)
		}
		upper = c == '-'
	}
	return name
}
