package control

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ustack/stack/trace"
)

const (
	// ringEvents is how many events may wait for one who reads a stream.
	ringEvents = 8192
	// flushTime is how long an event may wait for more to go with it.
	flushTime = 50 * time.Millisecond
)

// trace answers with events, one a line, until the client goes or the server ends.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	if s.silent(w) {
		return
	}
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	ring := trace.NewRing(ringEvents, 0)
	for _, k := range []trace.Kind{trace.Held, trace.Sampled} { // the others are few, or comments need them
		if !f.takesKind(k) {
			ring.Except(k)
		}
	}
	s.cfg.Hub.Add(ring)
	defer s.cfg.Hub.Remove(ring)
	for _, end := range []context.Context{r.Context(), s.closing} {
		stop := context.AfterFunc(end, ring.Close)
		defer stop()
	}
	w.Header().Set("Content-Type", "application/jsonl")
	stream(newLines(w), ring, &f)
}

// stream writes what f takes of the events of a ring.
func stream(out *lines, ring *trace.Ring, f *Filter) {
	defer out.close()
	var rec trace.Record
	var comments *commenter
	if f.Comments {
		comments = new(commenter)
	}
	var line []byte
	for ring.Next(&rec) {
		if line = line[:0]; rec.Lost > 0 {
			line = appendLost(line, rec.Lost)
		}
		comments.see(&rec.Event)
		if f.takes(&rec.Event) {
			line = trace.AppendJSON(line, &rec.Event)
			line = append(comments.add(line, &rec.Event), '\n')
		}
		if len(line) > 0 && out.write(line) != nil {
			return
		}
	}
	if lost := ring.Lost(); lost > 0 {
		_ = out.write(appendLost(nil, lost)) // the last line: nobody is told if it fails
	}
}

// appendLost appends the line that stands for events that are missing.
func appendLost(b []byte, n uint64) []byte {
	b = strconv.AppendUint(append(b, `{"event":"lost","lost":`...), n, 10)
	return append(b, "}\n"...)
}

// A commenter adds texts for people to events. It needs to see all, those as well that are filtered out. Nil adds none.
type commenter struct {
	joiner trace.Joiner
	text   []byte
}

func (c *commenter) see(e *trace.Event) {
	if c != nil {
		c.joiner.Add(e)
	}
}

// add adds the text to e as JSON, which ends with b.
func (c *commenter) add(b []byte, e *trace.Event) []byte {
	if c == nil {
		return b
	}
	c.text = c.joiner.AppendComment(c.text[:0], e)
	text, err := json.Marshal(string(c.text))
	if err != nil { // never with a string
		return b
	}
	b = append(append(b[:len(b)-1], `,"comment":`...), text...)
	return append(b, '}')
}

// lines writes to a client. It gathers what comes in quick succession: an event costs no system call.
type lines struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	timer *time.Timer
	dirty bool
	done  bool
}

// newLines sends the head of the answer at once: the client knows that it listens.
func newLines(w http.ResponseWriter) *lines {
	l := &lines{w: w}
	l.timer = time.AfterFunc(0, l.flush)
	return l
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return
	}
	l.dirty = false
	_ = http.NewResponseController(l.w).Flush() // the next write fails too
}

func (l *lines) write(p []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty {
		l.dirty = true
		l.timer.Reset(flushTime)
	}
	_, err := l.w.Write(p)
	return err
}

// close leaves the rest to the HTTP server: w is its own again.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	l.timer.Stop()
}
