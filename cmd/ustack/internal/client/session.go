package client

import (
	"bufio"
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
	connections atomic.Int64
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
	requests int
	buf      []byte
}

// session dials and serves the queue until the queue is empty or the connection ends; false: the
// queue is empty.
func (r *run) session(q *queue) bool {
	first := q.pop()
	if first == nil {
		return false
	}
	if err := r.ctx.Err(); err != nil {
		first.Err = err
		q.fail(err)
		return false
	}
	first.start = time.Now()
	conn, err := r.dial(q.addr)
	if err != nil {
		// The others would fare no better, each after the same wait.
		first.Err = err
		q.fail(err)
		return false
	}
	first.Connect = time.Since(first.start)
	depth := max(r.Depth, 1)
	s := &session{
		run: r, q: q, conn: &timedConn{Conn: conn, timeout: r.timeout()},
		number:  int(r.connections.Add(1)),
		slots:   make(chan struct{}, depth),
		waiting: make(chan *job, depth),
		stopped: make(chan struct{}),
	}
	stop := context.AfterFunc(r.ctx, func() { conn.Close() })
	defer stop()
	go s.write(first)
	s.read()
	return true
}

func (r *run) timeout() time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return defaultTimeout
}

func (r *run) dial(addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout())
	defer cancel()
	return r.Dial(ctx, "tcp", addr)
}

// write sends requests, several in one write where the depth allows, until none is left or the
// session ends.
func (s *session) write(j *job) {
	defer close(s.waiting)
	w := bufio.NewWriterSize(s.conn, 16<<10)
	for ; j != nil; j = s.q.pop() {
		select {
		case <-s.stopped:
			s.q.putBack([]*job{j})
			return
		case s.slots <- struct{}{}:
		}
		s.requests++
		j.Connection, j.Request = s.number, s.requests
		j.sent = time.Now()
		if s.requests > 1 || j.start.IsZero() {
			j.start = j.sent
		}
		s.waiting <- j
		err := j.req.Write(w)
		if err == nil && len(s.slots) == cap(s.slots) {
			err = w.Flush()
		}
		if err != nil {
			return // the reader sees the connection's end too, with what the server still said
		}
	}
	w.Flush()
}

// read takes the responses in order. When the connection ends it puts back what was not answered.
func (s *session) read() {
	br := bufio.NewReaderSize(s.conn, 64<<10)
	s.buf = make([]byte, bodyBuffer)
	for j := range s.waiting {
		again, err := s.response(br, j)
		<-s.slots
		if err == nil && again {
			continue
		}
		var back []*job
		if err != nil && !s.settle(j, err) {
			back = append(back, j)
		}
		close(s.stopped)
		s.conn.Close()
		for j := range s.waiting {
			j.Connection, j.Request, j.start = 0, 0, time.Time{}
			back = append(back, j)
		}
		s.q.putBack(back)
		return
	}
	s.conn.Close()
}

// settle decides what the connection's end means for the request it hit: false, it may be sent
// again, for no octet of a response came and it was not the first on its connection (RFC 9112 §9.3.1).
func (s *session) settle(j *job, err error) bool {
	j.attempts++
	if j.Status == 0 && j.FirstByte == 0 && j.Request > 1 && j.attempts < maxAttempts && s.ctx.Err() == nil {
		*j.Result = Result{URL: j.URL}
		j.start = time.Time{}
		return false
	}
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	j.Err = err
	j.Total = time.Since(j.start)
	return true
}

// response reads one response. again: the connection may carry another.
func (s *session) response(br *bufio.Reader, j *job) (again bool, err error) {
	s.conn.budget = maxHeader
	if _, err := br.Peek(1); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return false, fmt.Errorf("no response: %w", err)
	}
	j.FirstByte = max(time.Since(j.sent), 1)
	resp, err := readFinal(br, j.req)
	if err != nil {
		return false, fmt.Errorf("response header: %w", err)
	}
	s.conn.budget = -1
	defer resp.Body.Close()
	j.Status, j.Proto = resp.StatusCode, resp.Proto
	j.Bytes, err = s.body(resp.Body, j.index)
	if err != nil {
		return false, fmt.Errorf("after %d octets of body: %w", j.Bytes, err)
	}
	j.Total = time.Since(j.start)
	return !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols, nil
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

func (s *session) body(body io.Reader, i int) (int64, error) {
	var w io.Writer
	if s.Body != nil {
		w = s.Body(i)
	}
	if w == nil {
		w = discard{}
	}
	return io.CopyBuffer(w, body, s.buf)
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
