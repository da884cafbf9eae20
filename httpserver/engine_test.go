package httpserver

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// A replay is a connection whose whole input has arrived, in pieces, with a FIN behind it.
type replay struct {
	scripted
	split int
	got   bytes.Buffer
	over  bool
}

func (c *replay) Peek() ([]byte, []byte, error) {
	switch {
	case len(c.in) == 0:
		return nil, nil, io.EOF
	case c.split > 0 && len(c.in) > c.split:
		return c.in[:c.split], c.in[c.split:], nil
	}
	return c.in, nil, nil
}

func (c *replay) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *replay) Write(p []byte) (int, error) { return c.got.Write(p) }
func (c *replay) Close() error                { c.over = true; return nil }

// replayAll serves raw and returns all answers, without their Date.
func replayAll(t *testing.T, raw string, split int) string {
	s := &Server{Handler: http.HandlerFunc(demo), ErrorLog: log.New(io.Discard, "", 0), ReuseRequests: split%2 == 1}
	s.once.Do(s.init)
	defer s.Close()
	c := &replay{split: split}
	c.in = []byte(raw)
	s.serveConn(t.Context(), c)
	c.reader.Readable()
	if !c.over {
		t.Fatalf("%q: the connection is open after the FIN", raw)
	}
	var out strings.Builder
	for line := range strings.Lines(c.got.String()) {
		if !strings.HasPrefix(line, "Date: ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// served cuts off the refusal at the end: of several flaws the pieces decide which is found first.
func served(answers string) string {
	if i := strings.LastIndex(answers, "HTTP/1.1 "); i >= 0 && strings.Contains(answers[i:], "nosniff") {
		return answers[:i] + "refusal"
	}
	return answers
}

// FuzzConn: whatever arrives, in whatever pieces, is answered alike, with answers a client can read, and the connection
// ends.
func FuzzConn(f *testing.F) {
	for _, tt := range refusals {
		f.Add(get("/a")+tt.raw, uint8(3))
	}
	f.Add(get("/a")+chunkedRead("5;a\r\nhello\r\n0\r\nX: y\r\n\r\n")+"HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n"+get("/b"), uint8(20))
	f.Fuzz(func(t *testing.T, raw string, split uint8) {
		if strings.Contains(raw, "/slow") || strings.Contains(raw, "/panic") || strings.Contains(raw, "/echo") {
			return
		}
		whole := replayAll(t, raw, 0)
		if pieces := replayAll(t, raw, 1+int(split)); served(pieces) != served(whole) {
			t.Fatalf("%q\nwhole: %q\nin pieces of %d: %q", raw, whole, 1+int(split), pieces)
		}
		if strings.Contains(raw, "HEAD ") {
			return // a reader would have to be told which answers have no body
		}
		r := bufio.NewReader(strings.NewReader(whole))
		for {
			resp, err := http.ReadResponse(r, nil)
			if err == io.EOF || err == io.ErrUnexpectedEOF && r.Buffered() == 0 {
				return
			}
			if err != nil {
				t.Fatalf("%q: %v in %q", raw, err, whole)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatalf("%q: %v in %q", raw, err, whole)
			}
		}
	})
}

func TestTimeoutList(t *testing.T) {
	s := new(Server)
	s.once.Do(s.init)
	var fired []*conn
	done := make(chan bool)
	l := &timeoutList[conn]{wait: 20 * time.Millisecond, clock: s.clock, mu: &s.timeouts}
	l.fire = func(c *conn) {
		if fired = append(fired, c); len(fired) == 3 {
			close(done)
		}
	}
	nodes := make([]timeoutNode[conn], 5)
	conns := make([]conn, 5)
	now := s.clock()
	for i := range nodes {
		nodes[i].owner = &conns[i]
		l.push(&nodes[i], now)
	}
	l.push(&nodes[0], now+2*time.Millisecond) // begins again, behind the others
	l.push(&nodes[1], now+time.Millisecond)   // and this one before it
	l.forget(&nodes[2])
	(&timeoutList[conn]{wait: time.Hour, clock: s.clock, mu: &s.timeouts}).push(&nodes[4], now)
	<-done
	if fired[0] != &conns[3] || fired[1] != &conns[1] || fired[2] != &conns[0] {
		t.Error("wrong order")
	}
	if l.n != 0 || l.head != nil || l.tail != nil {
		t.Errorf("%d nodes are left", l.n)
	}
}

// TestConnSize keeps an eye on what an idle connection costs beside its transport.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 192 {
		t.Errorf("a connection is %d bytes", n)
	}
}

// TestExchangeSize: a fresh request's exchange fits its size class, with the 8 bytes that the allocator adds.
func TestExchangeSize(t *testing.T) {
	if n := unsafe.Sizeof(exchange{}); n > 1024-8 {
		t.Errorf("an exchange is %d bytes", n)
	}
}
