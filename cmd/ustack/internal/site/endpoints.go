package site

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Caps of the endpoints: what a stranger may ask of one request.
const (
	maxDelay     = 60_000    // ms of /_/delay
	maxStream    = 1_000_000 // lines of /_/stream
	maxWrites    = 100_000   // k of /_/writes
	maxWriteSize = 1 << 20   // n of /_/writes, octets
	maxGap       = 10 * time.Second
	maxGaps      = 10 * time.Minute // k × gap
)

var (
	helloBody = []byte("Hello, World!")
	plainText = []string{"text/plain"}
)

// hello never changes: caches may keep it, and it needs no field that forbids them. The server
// counts its bytes.
func hello(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = plainText
	writeShared(w, helloBody)
}

const copyBufferSize = 64 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// counter counts and forgets. It has no ReadFrom: io.Discard's reads 8 KiB at a time.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func sink(w http.ResponseWriter, r *http.Request) {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	var n counter
	if _, err := io.CopyBuffer(&n, r.Body, buf[:]); err != nil {
		badRequest(w, "the body broke off after %d octets: %v", int64(n), err)
		return
	}
	answerText(w, strconv.FormatInt(int64(n), 10)+"\n")
}

func answerText(w http.ResponseWriter, s string) {
	h := w.Header()
	h["Content-Type"] = plainText
	h.Set("Content-Length", strconv.Itoa(len(s)))
	io.WriteString(w, s)
}

func delay(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, "the delay in ms", r.PathValue("ms"), 0, maxDelay)
	if ok && sleep(r, time.Duration(ms)*time.Millisecond) {
		answerText(w, "waited "+strconv.FormatInt(ms, 10)+" ms\n")
	}
}

// sleep waits; false: the client went away.
func sleep(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func status(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, "the status", r.PathValue("code"), 200, 599)
	if !ok {
		return
	}
	code := int(n)
	h := w.Header()
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		h.Set("Location", "/_/hello")
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="ustack"`)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "")
	case http.StatusNoContent, http.StatusNotModified:
		w.WriteHeader(code)
		return
	case http.StatusResetContent:
		h.Set("Content-Length", "0")
		w.WriteHeader(code)
		return
	}
	text := strings.TrimSpace(strconv.Itoa(code)+" "+http.StatusText(code)) + "\n"
	h["Content-Type"] = plainText
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	io.WriteString(w, text)
}

func stream(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, "n", r.PathValue("n"), 0, maxStream)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	line := make([]byte, 0, 64)
	for i := int64(1); i <= n; i++ {
		line = append(line[:0], `{"line":`...)
		line = strconv.AppendInt(line, i, 10)
		line = append(line, `,"of":`...)
		line = strconv.AppendInt(line, n, 10)
		line = append(line, "}\n"...)
		if _, err := w.Write(line); err != nil || c.Flush() != nil {
			return
		}
	}
}

// writes serves /_/writes/{k}x{n}. The length is declared, so that a write is n octets of body on
// the wire and nothing else: what the stack makes of small writes shows undisturbed.
func writes(w http.ResponseWriter, r *http.Request) {
	ks, ns, cut := strings.Cut(r.PathValue("spec"), "x")
	if !cut {
		badRequest(w, "say how many writes of how many octets, as in /_/writes/10x100?gap=50ms")
		return
	}
	k, ok := number(w, "the number of writes", ks, 1, maxWrites)
	if !ok {
		return
	}
	n, ok := number(w, "the octets of a write", ns, 1, maxWriteSize)
	if !ok {
		return
	}
	gap, ok := gapOf(w, r, k)
	if !ok {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.FormatInt(k*n, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	for i := range k {
		if i > 0 && !sleep(r, gap) {
			return
		}
		if writeSequence(w, i*n, (i+1)*n) != nil || c.Flush() != nil {
			return
		}
	}
}

func gapOf(w http.ResponseWriter, r *http.Request, k int64) (gap time.Duration, ok bool) {
	s := r.FormValue("gap")
	if s == "" {
		return 0, true
	}
	gap, err := time.ParseDuration(s)
	if err != nil || gap < 0 || gap > maxGap || time.Duration(k)*gap > maxGaps {
		badRequest(w, "gap must be a duration up to %v, %v in all, as 50ms, not %q", maxGap, maxGaps, s)
		return 0, false
	}
	return gap, true
}
