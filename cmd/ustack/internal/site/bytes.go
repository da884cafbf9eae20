package site

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Period is the length of the cycle of the fixed sequence, in octets. It is prime, so no power of
// two and no segment size divides it: data that slipped by a segment, a page or a buffer differs.
const Period = 1048573

// maxBytes is the largest n of /_/bytes/{n}: 1 TiB.
const maxBytes = 1 << 40

// cycle is one period of the sequence of /_/bytes. It never changes after start-up, so it goes out
// by reference.
var cycle = makeCycle()

// makeCycle writes splitmix64 (state 0) as little-endian words: word j is mix((j+1) × golden).
// In Python:
//
//	def sequence(n):                      # the first n octets of /_/bytes
//	    M, out = (1 << 64) - 1, bytearray()
//	    for j in range(131072):
//	        z = (j + 1) * 0x9E3779B97F4A7C15 & M
//	        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
//	        z = (z ^ z >> 27) * 0x94D049BB133111EB & M
//	        out += (z ^ z >> 31).to_bytes(8, "little")
//	    cycle = bytes(out[:1048573])
//	    return cycle * (n // 1048573) + cycle[:n % 1048573]
func makeCycle() []byte {
	b := make([]byte, 0, Period+8)
	for j := uint64(1); len(b) < Period; j++ {
		z := j * 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		b = binary.LittleEndian.AppendUint64(b, z^z>>31)
	}
	return b[:Period:Period]
}

// Bytes fills p with the octets of the sequence of /_/bytes from offset off, which must not be
// negative. SHA-256 of its first octets:
//
//	13 octets            402387c3198674ec4821c567708bc2a5e99e142b16ca24f3eb40f9c7b5c78ef5
//	1 MiB (1048576)      745a61217910af6538d6c942280e69221b6c78e7cec2f28d9ec70da5b3d59b10
//	64 MiB (67108864)    3fecf1d45d19124a5cd961aee00677e65c232181d2034330b8273c47d79029c1
//	1 GiB (1073741824)   38dff4d077cb28520a92d99d984c34c164a2d0fade45cf5181c76664b92a29d3
func Bytes(off int64, p []byte) {
	for len(p) > 0 {
		n := copy(p, cycle[off%Period:])
		p = p[n:]
		off += int64(n)
	}
}

// bytesN serves /_/bytes/{n}.
func bytesN(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, "n", r.PathValue("n"), 0, maxBytes)
	if !ok {
		return
	}
	h := w.Header()
	etag := `"bytes-` + strconv.FormatInt(n, 10) + `"`
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Accept-Ranges", "bytes")
	h.Set("Etag", etag)
	from, to, code := requestRange(r, n, etag)
	switch code {
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(n, 10))
		http.Error(w, "the range begins past the end", code)
		return
	case http.StatusPartialContent:
		h.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to-1, 10)+"/"+strconv.FormatInt(n, 10))
	}
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		writeSequence(w, from, to)
	}
}

// writeSequence writes the octets [from, to) of the sequence, until an error.
func writeSequence(w http.ResponseWriter, from, to int64) error {
	for from < to {
		p := cycle[from%Period:]
		p = p[:min(int64(len(p)), to-from)]
		n, err := writeShared(w, p)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// requestRange returns what of n octets the request wants, [from, to), and the status: 200, 206 or 416
// (RFC 9110 §14.2). Several ranges, other units and a malformed field get the whole, as they may.
func requestRange(r *http.Request, n int64, etag string) (from, to int64, code int) {
	field := r.Header.Get("Range")
	if field == "" || len(r.Header["Range"]) > 1 {
		return 0, n, http.StatusOK
	}
	if c := r.Header.Get("If-Range"); c != "" && c != etag {
		return 0, n, http.StatusOK
	}
	spec, ok := strings.CutPrefix(strings.ToLower(field), "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash {
		return 0, n, http.StatusOK
	}
	from, to, ok = parseRange(first, last, n)
	switch {
	case !ok:
		return 0, n, http.StatusOK
	case from >= to:
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	return from, to, http.StatusPartialContent
}

// parseRange reads first-last, first- or -suffix and clamps it to n octets. from ≥ to: nothing of
// it exists.
func parseRange(first, last string, n int64) (from, to int64, ok bool) {
	if first == "" {
		suffix, ok := octets(last)
		return n - min(suffix, n), n, ok
	}
	from, ok = octets(first)
	if !ok {
		return 0, 0, false
	}
	if last == "" {
		return from, n, true
	}
	end, ok := octets(last)
	if !ok || end < from {
		return 0, 0, false
	}
	return from, min(end, n-1) + 1, true
}

// octets reads digits only; more than any length we have is as good as the largest.
func octets(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1 << 62, true
	}
	return n, true
}

// Verifier checks what is written to it against the sequence, from its beginning.
type Verifier struct{ off int64 }

// Write fails at the first octet that is not the sequence's.
func (v *Verifier) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		want := cycle[v.off%Period:]
		want = want[:min(len(want), len(p)-n)]
		if !bytes.Equal(p[n:n+len(want)], want) {
			for p[n] == want[0] {
				n, want, v.off = n+1, want[1:], v.off+1
			}
			return n, fmt.Errorf("octet %d is %#02x, not %#02x of the sequence", v.off, p[n], want[0])
		}
		n += len(want)
		v.off += int64(len(want))
	}
	return len(p), nil
}
