package httpserver

import (
	"os"
	"time"
)

// paceGrace is how long a request has to wait for its client before the rate counts.
const paceGrace = 10 * time.Second

// A pace is how fast the client is in one direction, in this turn. Only the server's waits for it count: what a handler
// takes its time for is no fault of the client's. Without [Server.MinRate] it stays blank.
type pace struct {
	since, waited time.Duration
	moved         int64
}

// begin and end are those of a wait for the client.
func (p *pace) begin(s *Server) {
	if s.MinRate > 0 {
		p.since = s.clock()
	}
}

func (p *pace) end(s *Server) {
	if s.MinRate > 0 {
		p.waited += s.clock() - p.since
	}
}

// move counts n bytes, whether or not they were waited for.
func (g *stallGuard) move(direction int, n int64) { g.paces[direction].moved += n }

// tooSlow returns an error if the client has moved fewer bytes than it had to, and notes that it has stalled.
func (g *stallGuard) tooSlow(direction int) error {
	p := &g.paces[direction]
	if p.waited <= paceGrace || p.moved >= int64(p.waited.Seconds()*float64(g.srv.MinRate)) {
		return nil
	}
	g.dead.Store(true)
	return os.ErrDeadlineExceeded
}
