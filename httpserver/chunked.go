package httpserver

import (
	"bytes"
	"net/http"
)

// Limits of what a chunked body may carry besides data.
const (
	maxChunkLine  = 256      // bytes of one chunk's extensions
	maxExtensions = 16 << 10 // bytes of all extensions of a body
	maxTrailer    = 8 << 10  // bytes of the trailer section
)

// A chunkDecoder reads the framing of a chunked body (RFC 9112, 7.1) byte by byte, so that it never needs to look
// ahead. The data itself passes beside it: after feed has returned with remaining > 0, that many bytes of data follow
// and are taken off remaining by the caller.
type chunkDecoder struct {
	state      uint8
	digits     uint8
	line       int // bytes of extensions in this chunk
	extensions int // bytes of extensions in all chunks
	size       int64
	remaining  int64  // data bytes of this chunk still to come
	trailer    []byte // the trailer section, with its final empty line
}

const (
	chunkSize       = iota // before and in the size
	chunkBWS               // blanks that only a ";" may follow
	chunkExtStart          // after ";"
	chunkExtName           // in the name
	chunkExtNameEnd        // blanks after the name
	chunkExtValue          // after "="
	chunkExtToken          // in a value that is a token
	chunkExtQuoted         // in a quoted string
	chunkExtEscape         // after "\" in a quoted string
	chunkExtEnd            // after a quoted string
	chunkSizeLF            // after the CR that ends the size
	chunkDataCR            // after the data
	chunkDataLF            // after that CR
	chunkTrailer           // in the trailer section
	chunkDone              // the body has ended
)

// feed consumes framing from p until data is due, the body has ended or p is used up, and returns how much it took.
func (d *chunkDecoder) feed(p []byte) (int, *protocolError) {
	for i, c := range p {
		if d.remaining > 0 || d.state == chunkDone {
			return i, nil
		}
		if err := d.step(c); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func (d *chunkDecoder) step(c byte) *protocolError {
	switch d.state {
	case chunkSize:
		return d.stepSize(c)
	case chunkSizeLF:
		if c != '\n' {
			return bad("malformed end of chunk size")
		}
		d.endLine()
	case chunkDataCR:
		if c != '\r' {
			return bad("malformed end of chunk")
		}
		d.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return bad("malformed end of chunk")
		}
		d.state = chunkSize
	case chunkTrailer:
		return d.stepTrailer(c)
	default:
		return d.stepExtension(c)
	}
	return nil
}

// stepSize reads 1*HEXDIG. Fifteen digits are more than any body and cannot overflow.
func (d *chunkDecoder) stepSize(c byte) *protocolError {
	if chars[c]&charHex != 0 {
		if d.digits++; d.digits > 15 {
			return bad("chunk size too large")
		}
		d.size = d.size<<4 | int64(unhex(c))
		return nil
	}
	if d.digits == 0 {
		return bad("malformed chunk size")
	}
	switch c {
	case '\r':
		d.state = chunkSizeLF
	case ';':
		d.state = chunkExtStart
	case ' ', '\t':
		d.state = chunkBWS
	default:
		return bad("malformed chunk size")
	}
	return nil
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// endLine starts the chunk whose size line has ended.
func (d *chunkDecoder) endLine() {
	d.remaining = d.size
	d.state = chunkDataCR
	if d.size == 0 {
		d.state = chunkTrailer
	}
	d.size, d.digits, d.line = 0, 0, 0
}

// stepExtension reads *( BWS ";" BWS name [ BWS "=" BWS value ] ) (RFC 9112, 7.1.1). The extensions are checked and
// counted, and mean nothing to this server.
func (d *chunkDecoder) stepExtension(c byte) *protocolError {
	d.line++
	d.extensions++
	if d.line > maxChunkLine || d.extensions > maxExtensions {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "chunk extensions too large")
	}
	blank := c == ' ' || c == '\t'
	token := chars[c]&charToken != 0
	// Where a "\r" or a ";" ends an extension.
	ends := d.state == chunkExtName || d.state == chunkExtToken || d.state == chunkExtEnd
	switch {
	case ends && c == '\r':
		d.state = chunkSizeLF
	case (ends || d.state == chunkBWS || d.state == chunkExtNameEnd) && c == ';':
		d.state = chunkExtStart
	case d.state == chunkExtStart && token:
		d.state = chunkExtName
	case (d.state == chunkExtName || d.state == chunkExtNameEnd) && c == '=':
		d.state = chunkExtValue
	case d.state == chunkExtName && blank:
		d.state = chunkExtNameEnd
	case (d.state == chunkExtToken || d.state == chunkExtEnd) && blank:
		d.state = chunkBWS
	case d.state == chunkExtValue && token:
		d.state = chunkExtToken
	case d.state == chunkExtValue && c == '"':
		d.state = chunkExtQuoted
	case d.state == chunkExtQuoted && c == '"':
		d.state = chunkExtEnd
	case d.state == chunkExtQuoted && c == '\\':
		d.state = chunkExtEscape
	case d.state == chunkExtEscape && chars[c]&charValue != 0:
		d.state = chunkExtQuoted
	case d.state == chunkExtQuoted && chars[c]&charValue != 0:
	case (d.state == chunkExtName || d.state == chunkExtToken) && token:
	case (d.state == chunkBWS || d.state == chunkExtStart || d.state == chunkExtNameEnd || d.state == chunkExtValue) && blank:
	default:
		return bad("malformed chunk extension")
	}
	return nil
}

// stepTrailer collects the trailer section up to its empty line.
func (d *chunkDecoder) stepTrailer(c byte) *protocolError {
	if len(d.trailer) >= maxTrailer {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "trailer too large")
	}
	d.trailer = append(d.trailer, c)
	if c != '\n' {
		return nil
	}
	n := len(d.trailer)
	if n < 2 || d.trailer[n-2] != '\r' {
		return bad("line feed without carriage return")
	}
	if n == 2 || n >= 4 && string(d.trailer[n-4:n-2]) == "\r\n" {
		d.state = chunkDone
	}
	return nil
}

// fields parses the trailer section into a header of its own, without the fields that may not come in a trailer
// (RFC 9110, 6.5.1). It returns nil if there are none.
func (d *chunkDecoder) fields() (http.Header, *protocolError) {
	if len(d.trailer) <= 2 {
		return nil, nil
	}
	h := make(http.Header)
	for rest := bytes.Clone(d.trailer); len(rest) > len("\r\n"); {
		key, value, after, err := parseField(rest)
		if err != nil {
			return nil, err
		}
		rest = after
		if trailerAllowed(key) {
			h[key] = append(h[key], value)
		}
	}
	return h, nil
}

// trailerAllowed reports whether a field may stand in a trailer section: none that frames, routes, authenticates,
// conditions or describes the content (RFC 9110, 6.5.1).
func trailerAllowed(key string) bool {
	switch key {
	case "Transfer-Encoding", "Content-Length", "Trailer", "Host", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Te",
		"Authorization", "Proxy-Authorization", "Proxy-Authenticate", "Www-Authenticate", "Cookie", "Set-Cookie",
		"Content-Encoding", "Content-Type", "Content-Range", "Content-Location",
		"Cache-Control", "Expect", "Max-Forwards", "Pragma", "Range", "Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning",
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range":
		return false
	}
	return true
}
