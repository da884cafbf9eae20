package site

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// echo answers with the request itself: request line, headers, empty line, body. The body flows
// back while it is still coming in and stands octet for octet after the first empty line;
// Echo-Body-Offset says where. What the server's parser has normalised cannot be had back: header
// names are in canonical case and sorted, Host comes first, framing headers are those in force.
func echo(w http.ResponseWriter, r *http.Request) {
	head := requestHead(r)
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Echo-Body-Offset", strconv.Itoa(len(head)))
	if r.ContentLength >= 0 {
		h.Set("Content-Length", strconv.FormatInt(int64(len(head))+r.ContentLength, 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	c := http.NewResponseController(w)
	// A server that knows no such switch allows it anyway (HTTP/2), or has read the body (tests).
	c.EnableFullDuplex()
	if r.Body == nil || r.ContentLength == 0 {
		w.Write(head)
		return
	}
	copyBack(w, c, head, r.Body)
}

// requestHead is the request line and the headers, in the form they have on the wire.
func requestHead(r *http.Request) []byte {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\n")
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	if r.Host != "" {
		line("Host", r.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, v := range r.Header[name] {
			line(name, v)
		}
	}
	for _, v := range r.TransferEncoding {
		line("Transfer-Encoding", v)
	}
	if _, ok := r.Header["Content-Length"]; !ok && r.ContentLength > 0 {
		line("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// echoStall is how long one write may take: a client that neither reads nor ends is let go.
const echoStall = time.Minute

// copyBack writes head and the body to w. A second goroutine reads ahead, so that a client which
// sends everything before it reads anything is served too, as far as the memory set aside goes.
func copyBack(w http.ResponseWriter, c *http.ResponseController, head []byte, body io.Reader) {
	q := newAhead()
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.fill(body)
	}()
	// The answer begins after the first read, which asks a client that expects 100 (Continue) for its body.
	p, end := q.next()
	_, err := w.Write(head)
	for err == nil && end == nil {
		c.SetWriteDeadline(time.Now().Add(echoStall))
		if _, err = w.Write(p); err == nil && q.idle() {
			err = c.Flush()
		}
		if err == nil {
			p, end = q.next()
		}
	}
	if err == nil {
		err = end
	}
	c.SetWriteDeadline(time.Time{})
	if err != io.EOF {
		// The body must not be read once the handler returned: end the read, wherever it waits.
		c.SetReadDeadline(time.Unix(1, 0))
	}
	q.stop()
	<-done
	q.release()
	if err == io.EOF {
		return
	}
	// What was promised cannot be kept; only a broken connection says so.
	panic(http.ErrAbortHandler)
}
