// Package panel is the page at /_/ that shows what a stack does while it does it: its connections, the windows of one of
// them, its states, and why each segment was sent. While nobody looks it costs nothing: the stack tells what happens only
// while a stream of events is open.
package panel

import (
	"net/http"
	"sync"
	"sync/atomic"

	"ustack/stack"
	"ustack/stack/trace"
)

// maxStreams is how many may look at once.
const maxStreams = 8

// Panel shows one stack.
type Panel struct {
	stack   *stack.Stack
	hub     *trace.Hub
	streams sync.Map // of flow: the connections that carry streams
	looking atomic.Int32

	mu        sync.Mutex
	recorders map[flow]*recorder

	closing sync.Once
	closed  chan struct{}
}

// New makes a panel for a stack whose events come from hub.
func New(s *stack.Stack, hub *trace.Hub) *Panel {
	return &Panel{stack: s, hub: hub, recorders: make(map[flow]*recorder), closed: make(chan struct{})}
}

// carries reports whether a connection carries a stream. Its events are not told: each telling would bring more of them.
func (p *Panel) carries(f flow) bool {
	_, yes := p.streams.Load(f)
	return yes
}

// Close ends the streams, which otherwise last until their readers go, and the recordings.
func (p *Panel) Close() {
	p.closing.Do(func() { close(p.closed) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.recorders {
		r.ring.Close()
	}
}

func (p *Panel) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// Endpoints returns what the panel consists of, by pattern. p may be nil as long as nobody asks.
func Endpoints(p func() *Panel) map[string]http.Handler {
	ask := func(h func(*Panel, http.ResponseWriter, *http.Request)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p := p(); p != nil {
				h(p, w, r)
				return
			}
			http.Error(w, "this engine does not tell what it does: serve with --engine ustack", http.StatusNotFound)
		})
	}
	return map[string]http.Handler{
		"/_/{$}":           ask((*Panel).page),
		"/_/panel/{asset}": ask((*Panel).asset),
		"/_/events":        ask((*Panel).events),
		"/_/conn":          ask((*Panel).conn),
		capturePath:        ask((*Panel).connCapture),
	}
}
