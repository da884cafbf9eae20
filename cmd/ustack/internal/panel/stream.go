package panel

import (
	"encoding/json"
	"net/http"
	"time"

	"ustack/stack/trace"
)

const (
	batchTime  = 100 * time.Millisecond // between two messages of events
	tableEvery = 5                      // batches between two looks at all connections
	ringEvents = 4096                   // that may wait for the stream
	farewell   = time.Second            // for the last octets of a stream when the server ends
)

// events serves the stream: server-sent events "table" and "trace", whose data is JSON (docs/panel.md).
func (p *Panel) events(w http.ResponseWriter, r *http.Request) {
	if p.looking.Add(1) > maxStreams {
		p.looking.Add(-1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many are looking already", http.StatusServiceUnavailable)
		return
	}
	defer p.looking.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	own := flowOf(r)
	p.streams.Store(own, true)
	defer p.streams.Delete(own)
	s := &stream{panel: p, w: w, control: http.NewResponseController(w)}
	defer s.expectClose()()
	defer s.attach()()
	s.run(r)
}

// A stream is one who looks.
type stream struct {
	panel   *Panel
	w       http.ResponseWriter
	control *http.ResponseController
	gather  *gatherer
	buf     []byte
}

// expectClose sees to it that a write which waits for a slow reader does not keep the server from ending. The function
// it returns ends that.
func (s *stream) expectClose() func() {
	gone, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.panel.closed:
			s.control.SetWriteDeadline(time.Now().Add(farewell))
		case <-gone:
		}
	}()
	return func() {
		close(gone)
		<-done
	}
}

// attach begins to listen to the stack. The function it returns ends that.
func (s *stream) attach() func() {
	ring := trace.NewRing(ringEvents, 0)
	ring.Except(trace.Sampled) // the segment before it tells of the smoothed one
	s.gather = newGatherer(time.Now(), s.panel.carries)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.gather.follow(ring)
	}()
	s.panel.hub.Add(ring)
	return func() {
		s.panel.hub.Remove(ring)
		ring.Close()
		<-done
	}
}

// run sends until the reader goes or the panel is closed. A slow reader makes it late; what happens meanwhile is counted
// when it is too much to keep.
func (s *stream) run(r *http.Request) {
	tick := time.NewTicker(batchTime)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%tableEvery == 0 && s.sendTable() != nil {
			return
		}
		if b := s.gather.take(); b != nil && s.send("trace", b) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.panel.closed:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *stream) sendTable() error {
	t := s.panel.table()
	t.Now = s.gather.now()
	return s.send("table", t)
}

// send sends one event.
func (s *stream) send(event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	s.buf = append(append(append(s.buf[:0], "event: "...), event...), "\ndata: "...)
	s.buf = append(append(s.buf, text...), "\n\n"...)
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	return s.control.Flush()
}
