package httpserver

import "net/netip"

// A turn is what a connection needs while it is served and not between: it has one from the first thing that is
// received until nothing is left to do. Turns are pooled, and with them what they hold for requests.
type turn struct {
	view      []byte    // received, not discarded, to be parsed next; nil: peek
	eaten     int       // what was parsed in front of view and is not discarded yet
	burst     int       // requests since there was nothing to read
	spare     *exchange // with ReuseRequests, for the next request
	host      []byte    // the last Host that was good: the next is most often the same
	stage     []byte    // of the answer that is being made
	out       output
	stall     stallGuard
	remote    string        // the client's address; empty until remoteAddr is called
	text      []byte        // with ReuseRequests: what remote may lie in
	discarded chan struct{} // closed when what startDiscard began has ended; nil: nothing began
	reason    CloseReason   // why the connection ends
	tally     tally
	kept      bool // by a handler that has hijacked the connection or did not return
}

// beginTurn gives the connection a turn, unless it has one.
func (c *conn) beginTurn() {
	if c.turn != nil {
		return
	}
	t, _ := c.srv.turns.Get().(*turn)
	if t == nil {
		t = newTurn(c.srv)
	}
	t.out.connect(c.nc)
	t.stall.watch(c.nc)
	t.stall.paces[reading] = pace{}
	c.turn = t
}

func newTurn(s *Server) *turn {
	t := new(turn)
	t.out.srv, t.out.stall, t.out.node.owner = s, &t.stall, &t.out
	t.stall.srv, t.stall.node.owner = s, &t.stall
	return t
}

// endTurn gives the connection's turn back, unless a handler may still use what it holds.
func (c *conn) endTurn() {
	t := c.turn
	if t == nil {
		return
	}
	if t.tally.answers > 0 {
		c.srv.stats.add(&t.tally)
	}
	if t.kept {
		return
	}
	c.turn = nil
	t.view, t.eaten, t.burst, t.remote, t.reason = nil, 0, 0, "", ""
	c.srv.turns.Put(t)
}

// remember keeps a good Host, unless it is too long to be worth it.
func (t *turn) remember(host string) {
	if len(host) <= maxHostKept && host != string(t.host) {
		t.host = append(t.host[:0], host...)
	}
}

const maxHostKept = 64

// An addrPorter tells its client's address without an allocation.
type addrPorter interface {
	RemoteAddrPort() netip.AddrPort
}

// remoteAddr returns the client's address as text. With ReuseRequests it is written anew in each turn, if that costs no
// allocation: cheaper than 40 bytes per idle connection, and than fetching them from memory.
func (c *conn) remoteAddr() string {
	t := c.turn
	if t.remote != "" {
		return t.remote
	}
	if t.remote = c.remote; t.remote != "" {
		return t.remote
	}
	if p, ok := c.nc.(addrPorter); ok && c.srv.ReuseRequests {
		a := p.RemoteAddrPort()
		t.text = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).AppendTo(t.text[:0])
		t.remote = asString(t.text)
		return t.remote
	}
	if a := c.nc.RemoteAddr(); a != nil {
		c.remote = a.String()
	}
	t.remote = c.remote
	return t.remote
}
