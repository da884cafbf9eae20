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
	var line []byte
	for ring.Next(&rec) {
		if line = line[:0]; rec.Lost > 0 {
			line = appendLost(line, rec.Lost)
		}
		if f.takes(&rec.Event) {
			line = appendEvent(line, &rec.Event, f.Comments)
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

func appendEvent(b []byte, e *trace.Event, comment bool) []byte {
	b = trace.AppendJSON(b, e)
	if comment {
		text, err := json.Marshal(string(trace.AppendComment(nil, e)))
		if err == nil { // as always with a string
			b = append(append(b[:len(b)-1], `,"comment":`...), text...)
			b = append(b, '}')
		}
	}
	return append(b, '\n')
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
