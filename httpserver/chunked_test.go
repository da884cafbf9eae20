package httpserver

import (
	"bufio"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// decode feeds raw to a decoder in pieces, 0 for all at once, and returns the data, what follows the body, and whether it
// ended.
func decode(raw string, piece int) (data, trailer, rest string, ended bool) {
	var d chunkDecoder
	var b strings.Builder
	for raw != "" && d.state != chunkDone {
		p := raw
		if piece > 0 {
			p = raw[:min(piece, len(raw))]
		}
		if d.remaining > 0 {
			p = p[:min(int64(len(p)), d.remaining)]
			b.WriteString(p)
			d.remaining -= int64(len(p))
			raw = raw[len(p):]
			continue
		}
		n, err := d.feed([]byte(p))
		if err != nil {
			return "", "", "", false
		}
		raw = raw[n:]
	}
	return b.String(), string(d.trailer), raw, d.state == chunkDone
}

// FuzzChunks: a chunked body that the decoder takes holds for net/http's the same data and ends at the same octet, in
// whatever pieces it comes.
func FuzzChunks(f *testing.F) {
	head := post("Transfer-Encoding: chunked")
	for _, p := range handWritten() {
		if _, body, ok := strings.Cut(p.raw, head); ok {
			f.Add(body, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, raw string, piece uint8) {
		data, trailer, rest, ended := decode(raw, 0)
		data2, trailer2, rest2, ended2 := decode(raw, 1+int(piece))
		if data != data2 || trailer != trailer2 || rest != rest2 || ended != ended2 {
			t.Fatalf("%q: %q %q %q %v, in pieces of %d: %q %q %q %v", raw, data, trailer, rest, ended, 1+piece, data2, trailer2, rest2, ended2)
		}
		if !ended || blankExtension.MatchString(raw) {
			return
		}
		r := bufio.NewReader(strings.NewReader(raw))
		want, err := io.ReadAll(httputil.NewChunkedReader(r))
		if err != nil || data != string(want) {
			t.Fatalf("%q: %q, net/http %q, %v", raw, data, want, err)
		}
		if left, _ := io.ReadAll(r); string(left) != trailer+rest { // that reader stops before the trailer section
			t.Fatalf("%q: left are %q and %q, net/http %q", raw, trailer, rest, left)
		}
	})
}
