package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxStreams is how many requests may be under way on one connection, where the server allows more.
	maxStreams   = 250
	streamBuffer = 16 << 10 // octets, as much as a frame holds
)

var errNotHTTP2 = errors.New("the server did not begin with HTTP/2 in clear text")

// multiplexed is one connection of a run with HTTP/2 on it, which net/http speaks.
type multiplexed struct {
	*run
	q        *queue
	conn     *http.ClientConn
	below    *greeted
	number   int // of the connection
	requests atomic.Int64
	streams  sync.WaitGroup
	answered atomic.Bool // a response has begun
	over     atomic.Bool // the connection takes no further requests
}

// greeted is a connection that looks at what the server says first.
type greeted struct {
	timedConn
	once    sync.Once
	heard   chan struct{} // closed after that
	foreign bool          // it was HTTP/1, or the connection broke before
}

func (c *greeted) Read(p []byte) (int, error) {
	n, err := c.timedConn.Read(p)
	c.once.Do(func() {
		c.foreign = n == 0 || bytes.HasPrefix(p[:n], []byte("HTTP/1"))
		close(c.heard)
	})
	return n, err
}

// multiplex dials and sends what is in the queue, each request as soon as the one before it is on its way, until
// the queue is empty or the connection ends; false: the queue is empty.
func (r *run) multiplex(q *queue) bool {
	m := &multiplexed{run: r, q: q}
	first := r.begin(q, func(ctx context.Context, _ *job) error { return m.dial(ctx) })
	if first == nil {
		return false
	}
	defer m.conn.Close()
	m.number = int(r.connections.Add(1))
	slots := make(chan struct{}, maxStreams)
	for j := first; j != nil; j = m.next() {
		slots <- struct{}{}
		s := &stream{begun: make(chan struct{})}
		m.streams.Go(func() {
			m.fetch(j, s)
			<-slots
		})
		<-s.begun
	}
	m.streams.Wait()
	return true
}

func (m *multiplexed) dial(ctx context.Context) (err error) {
	t := &http.Transport{Protocols: new(http.Protocols), MaxResponseHeaderBytes: maxHeader, DisableCompression: true}
	t.Protocols.SetUnencryptedHTTP2(true)
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := m.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		m.below = &greeted{timedConn: timedConn{Conn: conn, timeout: m.timeout(), budget: -1}, heard: make(chan struct{})}
		return m.below, nil
	}
	m.conn, err = t.NewClientConn(ctx, "http", m.q.addr)
	return err
}

// next is the next request for this connection, nil if there is none or the connection has ended.
func (m *multiplexed) next() *job {
	j := m.pop()
	if j == nil {
		m.streams.Wait()
		j = m.pop() // the server refused some when there were more than it allows: it had not said so yet
	}
	return j
}

func (m *multiplexed) pop() *job {
	if m.over.Load() || m.conn.Err() != nil {
		return nil
	}
	return m.q.pop()
}

// stream is what net/http tells of a request, on goroutines of its own, which may outlast one that was given up.
type stream struct {
	sent, first atomic.Pointer[time.Time] // when it was written, and the first octet of its response read
	request     atomic.Int64              // its number on the connection
	once        sync.Once
	begun       chan struct{} // closed when the request was written, or will never be
}

func (s *stream) begin() { s.once.Do(func() { close(s.begun) }) }

func (s *stream) trace(m *multiplexed) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		WroteHeaders: func() {
			now := time.Now()
			s.request.Store(m.requests.Add(1))
			s.sent.Store(&now)
			s.begin()
		},
		GotFirstResponseByte: func() {
			now := time.Now()
			s.first.Store(&now)
			m.answered.Store(true) // before the connection can be seen to have ended
		},
	}
}

// fetch sends j and reads its response. Without one, j may go again, on this connection or another.
func (m *multiplexed) fetch(j *job, s *stream) {
	defer s.begin()
	req := j.req.WithContext(httptrace.WithClientTrace(m.ctx, s.trace(m)))
	if req.GetBody != nil {
		req.Body, _ = req.GetBody() // the reader of a string: no error
	}
	resp, err := m.conn.RoundTrip(req)
	if err == nil {
		select {
		case <-s.begun: // the goroutine that has written the request may be slower than its response
		case <-m.ctx.Done():
		}
	}
	m.note(j, s)
	if err == nil {
		err = m.response(j, resp)
	} else {
		err = fmt.Errorf("no response: %w", err)
	}
	if err != nil {
		m.lost(j, err, s.sent.Load() != nil)
	}
}

// lost settles what becomes of a request without a complete response.
func (m *multiplexed) lost(j *job, err error, sent bool) {
	if !sent {
		m.over.Store(true)
	}
	foreign, refused := m.foreign(), isRefused(err)
	if foreign {
		err = fmt.Errorf("%w: %w", errNotHTTP2, err)
	}
	switch {
	case foreign || !refused && !m.answered.Load() && m.conn.Err() != nil:
		// The others would fare no better.
		j.fail(err)
		m.q.fail(err)
	case (refused || !sent) && j.refusals < maxRefusals && m.ctx.Err() == nil:
		j.refusals++
		j.reset()
		m.q.putBack([]*job{j}, false)
	case !m.settle(j, err, m.requests.Load() > 1):
		m.q.putBack([]*job{j}, false)
	}
}

// streamError is what net/http says of the end of one request: errors.As fills in whatever has these fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string {
	return fmt.Sprintf("stream %d ended with code %d", e.StreamID, e.Code)
}

// isRefused reports whether the server says that it has not begun with a request, because it was sent too many at a time
// or because the connection ends before it: whatever the method is, it may go again (RFC 9113 §6.8, §8.7).
func isRefused(err error) bool {
	const refusedStream = 7
	const goneAway = "http2: Transport received Server's graceful shutdown GOAWAY" // net/http has nothing else to know it by
	var e streamError
	return errors.As(err, &e) && e.Code == refusedStream || strings.Contains(err.Error(), goneAway)
}

// foreign waits for the server's first words and reports whether they were none of HTTP/2.
func (m *multiplexed) foreign() bool {
	select {
	case <-m.below.heard:
		return m.below.foreign
	case <-m.ctx.Done():
		return false
	}
}

// note brings into j what is known of its request.
func (m *multiplexed) note(j *job, s *stream) {
	sent := s.sent.Load()
	if sent == nil {
		return
	}
	j.Tries++
	j.Connection, j.Request, j.sent = m.number, int(s.request.Load()), *sent
	if j.start.IsZero() {
		j.start = j.sent
		j.Start = j.start.Sub(m.run.start)
	}
	if first := s.first.Load(); first != nil {
		j.FirstByte = max(first.Sub(j.sent), 1)
	}
}

// response reads the content of a response.
func (m *multiplexed) response(j *job, resp *http.Response) (err error) {
	defer resp.Body.Close()
	j.Status, j.Proto = resp.StatusCode, resp.Proto
	if m.Record {
		j.Exchange = m.exchange(j.req, resp, m.below.RemoteAddr())
	}
	if j.Bytes, err = m.body(resp.Body, j.index, make([]byte, streamBuffer)); err != nil {
		return fmt.Errorf("after %d octets of body: %w", j.Bytes, err)
	}
	j.Total = time.Since(j.start)
	return nil
}
