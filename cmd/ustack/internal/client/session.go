package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout = 30 * time.Second
	maxHeader      = 1 << 20 // octets
	bodyBuffer     = 64 << 10
)

// run is one Do.
type run struct {
	*Client
	ctx         context.Context
	start       time.Time
	connections atomic.Int64
	handshakes  atomic.Int64 // nanoseconds
}

// session is one connection of a run: a goroutine writes requests, the caller's reads responses.
type session struct {
	*run
	q        *queue
	conn     *timedConn
	number   int           // of the connection
	slots    chan struct{} // holds one token for each request without a response
	waiting  chan *job     // written, or being written, in order
	stopped  chan struct{} // closed when no further request may be written
	held     int           // tokens that the first response gives back: a wary session pipelines only then
	early    bool          // the first request went with the SYN
	requests int
	buf      []byte
}

// begin takes the first job of q and lets dial connect for it. Nil: the queue is empty, or the host cannot be reached.
func (r *run) begin(q *queue, dial func(ctx context.Context, first *job) error) *job {
	first := q.pop()
	if first == nil {
		return nil
	}
	if err := r.ctx.Err(); err != nil {
		first.Err = err
		q.fail(err)
		return nil
	}
	first.start = time.Now()
	first.Start = first.start.Sub(r.start)
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout())
	defer cancel()
	if err := dial(ctx, first); err != nil {
		// The others would fare no better, each after the same wait.
		first.fail(err)
		q.fail(err)
		return nil
	}
	first.Connect = time.Since(first.start)
	r.handshakes.Add(int64(first.Connect))
	return first
}

// session dials and serves the queue until the queue is empty or the connection ends; false: the
// queue is empty.
func (r *run) session(q *queue) bool {
	var conn net.Conn
	var early bool
	first := r.begin(q, func(ctx context.Context, first *job) (err error) {
		conn, early, err = r.dial(ctx, q.addr, first)
		return err
	})
	if first == nil {
		return false
	}
	s := r.newSession(q, conn, first)
	s.early = early
	stop := context.AfterFunc(r.ctx, func() { conn.Close() })
	defer stop()
	go s.write(first)
	s.read()
	return true
}

func (r *run) newSession(q *queue, conn net.Conn, first *job) *session {
	depth := max(r.Depth, 1)
	if !first.idempotent() || r.Serial {
		depth = 1
	}
	s := &session{
		run: r, q: q, conn: &timedConn{Conn: conn, timeout: r.timeout()},
		number:  int(r.connections.Add(1)),
		slots:   make(chan struct{}, depth),
		waiting: make(chan *job, depth),
		stopped: make(chan struct{}),
	}
	if q.takeWary() {
		s.held = depth - 1
		for range s.held {
			s.slots <- struct{}{}
		}
	}
	return s
}

func (r *run) timeout() time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return defaultTimeout
}

// dial connects. early: the request of first is on its way already.
func (r *run) dial(ctx context.Context, addr string, first *job) (conn net.Conn, early bool, err error) {
	if r.DialData == nil || !first.idempotent() {
		conn, err = r.Dial(ctx, "tcp", addr)
		return conn, false, err
	}
	var data bytes.Buffer
	if err := first.writeTo(&data); err != nil {
		return nil, false, err
	}
	conn, err = r.DialData(ctx, "tcp", addr, data.Bytes())
	return conn, true, err
}

// writeTo writes the request, as often as it is called.
func (j *job) writeTo(w io.Writer) error {
	if j.req.GetBody != nil {
		j.req.Body, _ = j.req.GetBody() // the reader of a string: no error
	}
	return j.req.Write(w)
}

// write sends requests, several in one write where the depth allows, until none is left or the
// session ends.
func (s *session) write(j *job) {
	defer close(s.waiting)
	w := bufio.NewWriterSize(s.conn, 16<<10)
	for ; j != nil; j = s.q.pop() {
		if !s.slot() {
			s.q.putBack([]*job{j}, false)
			return
		}
		s.requests++
		j.Connection, j.Request = s.number, s.requests
		j.Tries++
		j.sent = time.Now()
		if s.requests > 1 {
			j.start = j.sent
			j.Start = j.start.Sub(s.start)
		}
		s.waiting <- j
		var err error
		if !s.early || s.requests > 1 {
			err = j.writeTo(w)
		}
		if err == nil && len(s.slots) == cap(s.slots) {
			err = w.Flush()
		}
		if err != nil {
			return // the reader sees the connection's end too, with what the server still said
		}
	}
	w.Flush()
}

// slot waits until another request may be sent; false: none may.
func (s *session) slot() bool {
	select {
	case <-s.stopped:
		return false
	case s.slots <- struct{}{}:
	}
	select {
	case <-s.stopped: // both were ready
		return false
	default:
		return true
	}
}

// fate is what a response leaves of its connection.
type fate int

const (
	open   fate = iota // it carries more
	ended              // the server said that it answers nothing behind this response
	broken             // nobody knows what became of the requests behind this one
)

// read takes the responses in order. When the connection ends it puts back what was not answered.
func (s *session) read() {
	br := bufio.NewReaderSize(s.conn, 64<<10)
	s.buf = make([]byte, bodyBuffer)
	for j := range s.waiting {
		fate, err := s.response(br, j)
		if fate != open {
			s.end(j, fate, err)
			return
		}
		for range 1 + s.held {
			<-s.slots
		}
		s.held = 0
	}
	s.conn.Close()
}

// end closes the connection on which j was the last to be answered or, with err, was not, and
// puts back what may be sent again.
func (s *session) end(j *job, fate fate, err error) {
	close(s.stopped)
	s.conn.Close()
	var behind []*job
	for j := range s.waiting {
		behind = append(behind, j)
	}
	var back []*job
	if err != nil && !s.settle(j, err, j.Request > 1 || len(behind) > 0) {
		back = append(back, j)
	}
	for _, j := range behind {
		// Behind an announced close nothing is processed (RFC 9112 §9.6): any method may go again.
		if fate == ended || j.idempotent() {
			j.reset()
			back = append(back, j)
			continue
		}
		j.fail(cmp.Or(err, errUnasked))
	}
	s.q.putBack(back, fate == broken)
}

// settle decides what the connection's end means for the request it hit. False: it may be sent
// again, for it is idempotent, no octet of a response came, and the end may have had another
// cause: the connection is shared with others, before it or behind it (RFC 9112 §9.3.1).
func (r *run) settle(j *job, err error, shared bool) bool {
	j.attempts++
	if shared && j.FirstByte == 0 && j.idempotent() && j.attempts < maxAttempts && r.ctx.Err() == nil {
		j.reset()
		return false
	}
	if cause := context.Cause(r.ctx); cause != nil {
		err = cause
	}
	j.fail(err)
	return true
}

// response reads one response. An error is why there is no complete one; then the fate is broken.
func (s *session) response(br *bufio.Reader, j *job) (fate, error) {
	s.conn.budget = maxHeader
	if _, err := br.Peek(1); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return broken, fmt.Errorf("no response: %w", err)
	}
	j.FirstByte = max(time.Since(j.sent), 1)
	resp, err := readFinal(br, j.req)
	if err != nil {
		return broken, fmt.Errorf("response header: %w", err)
	}
	s.conn.budget = -1
	defer resp.Body.Close()
	j.Status, j.Proto = resp.StatusCode, resp.Proto
	if s.Record {
		j.Exchange = s.exchange(j.req, resp, s.conn.RemoteAddr())
	}
	j.Bytes, err = s.body(resp.Body, j.index, s.buf)
	if err != nil {
		return broken, fmt.Errorf("after %d octets of body: %w", j.Bytes, err)
	}
	j.Total = time.Since(j.start)
	switch {
	case resp.Close || s.Serial || resp.StatusCode == http.StatusSwitchingProtocols:
		return ended, nil
	case br.Buffered() > 0 && len(s.waiting) == 0:
		// Octets that nobody asked for answer no request, least of all the next (RFC 9112 §9.2).
		return broken, nil
	}
	return open, nil
}

func (r *run) exchange(req *http.Request, resp *http.Response, server net.Addr) *Exchange {
	h := req.Header.Clone()
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	h.Set("Host", host)
	if req.Close {
		h.Set("Connection", "close")
	}
	return &Exchange{Request: h, Response: resp.Header, Status: resp.Status, Server: server.String(), Sent: int64(len(r.Content))}
}

// readFinal reads a response, past interim ones (RFC 9110 §15.2).
func readFinal(br *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(br, req)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

func (r *run) body(body io.Reader, i int, buf []byte) (int64, error) {
	var w io.Writer
	if r.Body != nil {
		w = r.Body(i)
	}
	if w == nil {
		w = discard{}
	}
	return io.CopyBuffer(w, body, buf)
}

// discard has no ReadFrom, unlike io.Discard, whose buffer is small.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// timedConn gives every read and write the time-out, and a response header a budget of octets.
type timedConn struct {
	net.Conn
	timeout time.Duration
	budget  int // < 0: no limit
}

func (c *timedConn) Read(p []byte) (int, error) {
	if c.budget == 0 {
		return 0, errHeaderTooLarge
	}
	if c.budget > 0 && len(p) > c.budget {
		p = p[:c.budget]
	}
	c.SetReadDeadline(time.Now().Add(c.timeout))
	n, err := c.Conn.Read(p)
	if c.budget > 0 {
		c.budget -= n
	}
	return n, err
}

func (c *timedConn) Write(p []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(c.timeout))
	return c.Conn.Write(p)
}
