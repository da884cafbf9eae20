package httpserver

import (
	"net/http"
	"strings"
)

// A framing says how long a request's body is.
type framing struct {
	length   int64 // in bytes; 0 without body, -1 if chunked
	chunked  bool
	expect   bool // the client waits for 100 Continue before it sends the body
	lastOnly bool // the client wants the connection closed, or does not ask to keep it
}

// check applies the rules that span several fields: Host, framing, expectation, persistence. Whatever could be read in
// two ways is refused (RFC 9112, 3.2, 6.1, 6.3; RFC 9110, 8.6, 10.1.1). known is a Host that was found good before.
func (h *head) check(known string) (framing, *protocolError) {
	f := framing{lastOnly: h.close || h.minor == 0 && !h.keepAlive}
	switch {
	case h.hosts > 1:
		return f, bad("more than one Host")
	case h.hosts == 0 && h.minor > 0:
		return f, bad("no Host")
	case h.host != "" && h.host != known && !validHost(h.host):
		return f, bad("malformed Host")
	case h.codings > 0 && h.lengths > 0:
		return f, bad("Content-Length beside Transfer-Encoding")
	case h.lengths > 1:
		return f, bad("more than one Content-Length")
	}
	if h.codings > 0 {
		if err := h.checkCoding(); err != nil {
			return f, err
		}
		if err := h.checkTrailer(); err != nil {
			return f, err
		}
		f.length, f.chunked = -1, true
	}
	if h.lengths > 0 {
		n, ok := parseLength(h.contentLength)
		if !ok {
			return f, bad("malformed Content-Length")
		}
		f.length = n
	}
	if h.expects > 0 && h.minor > 0 { // RFC 9110, 10.1.1: ignored in HTTP/1.0
		if h.expects > 1 || !equalFold(h.expectation, "100-continue") {
			return f, refuse(http.StatusExpectationFailed, "unknown expectation")
		}
		f.expect = f.length != 0
	}
	return f, nil
}

// checkCoding accepts "chunked" and nothing else as transfer coding (RFC 9112, 6.1 and 6.3).
func (h *head) checkCoding() *protocolError {
	if h.minor == 0 {
		return bad("Transfer-Encoding in HTTP/1.0")
	}
	if h.codings > 1 {
		return bad("more than one Transfer-Encoding")
	}
	if equalFold(h.coding, "chunked") {
		return nil
	}
	list := strings.Split(h.coding, ",")
	for i, coding := range list {
		coding = trimOWS(coding)
		last := i == len(list)-1
		if !isToken(coding) || last != equalFold(coding, "chunked") {
			return bad("Transfer-Encoding without chunked, once and last")
		}
	}
	return refuse(http.StatusNotImplemented, "transfer coding not supported")
}

// checkTrailer refuses a chunked body that announces framing for its end (RFC 9110, 6.5.1): nobody may move it there.
func (h *head) checkTrailer() *protocolError {
	for _, list := range h.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			switch http.CanonicalHeaderKey(trimOWS(name)) {
			case "Transfer-Encoding", "Content-Length", "Trailer":
				return bad("Trailer announces a field that frames")
			}
		}
	}
	return nil
}

// parseLength reads 1*DIGIT up to 2^63-1 (RFC 9110, 8.6).
func parseLength(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
