package stack

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"ustack/ippkt"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// Dialer makes connections that differ from the stack's defaults. Stack is needed.
type Dialer struct {
	Stack *Stack
	// LocalAddr is the *net.TCPAddr to call from; a missing address or port is chosen. [nil]
	LocalAddr net.Addr
	// Options of the connection. [the stack's]
	Options *tcb.Options
	// Timeout bounds the attempt; the context may end it earlier. 0: R2 of the SYN does (MUST-23).
	Timeout time.Duration
}

// Dial connects to address, "host:port" with a literal IP address of another host. Network is
// "tcp", "tcp4" or "tcp6". The result is a *Conn.
func (s *Stack) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext is Dial that ends with ctx.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&Dialer{Stack: s}).DialContext(ctx, network, address)
}

// Dial is Stack.Dial with the settings of d.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is Stack.DialContext with the settings of d.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dialContext(ctx, network, address, nil)
}

// dialContext is DialData, or with no data DialContext.
func (d *Dialer) dialContext(ctx context.Context, network, address string, data []byte) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	remote, err := splitAddress(network, address)
	if err == nil {
		var c *Conn
		if c, err = d.dial(ctx, remote, data); err == nil {
			return c, nil
		}
	}
	op := &net.OpError{Op: "dial", Net: network, Source: d.LocalAddr, Err: sysError("connect", err)}
	if remote.IsValid() {
		op.Addr = net.TCPAddrFromAddrPort(remote)
	}
	return nil, op
}

func (d *Dialer) dial(ctx context.Context, remote netip.AddrPort, data []byte) (*Conn, error) {
	s := d.Stack
	if s == nil {
		return nil, errNoStack
	}
	if err := ctx.Err(); err != nil {
		return nil, ctxError(err)
	}
	key, err := d.key(remote)
	if err != nil {
		return nil, err
	}
	options := &s.cfg.Options
	if d.Options != nil {
		options = d.Options
	}
	q := s.queues[0]
	cfg := q.config(options, key.remote.Is4())
	if len(data) > 0 {
		return d.dialFast(ctx, q, &key, &cfg, data)
	}
	c, err := s.open(q, &key, &cfg, &tcb.DialInfo{})
	if err != nil {
		return nil, err
	}
	return c, c.connect(ctx)
}

// key chooses our end and checks the other (MUST-43, MUST-44, MUST-46).
func (d *Dialer) key(remote netip.AddrPort) (flowKey, error) {
	a := &d.Stack.addrs
	key := flowKey{remote: ippkt.FromNetip(remote.Addr()), rport: remote.Port()}
	switch {
	case !remote.Addr().IsValid(), remote.Addr().IsUnspecified(), remote.Port() == 0:
		return key, syscall.EADDRNOTAVAIL
	case remote.Addr().Zone() != "", !a.validPeer(key.remote):
		return key, syscall.ENETUNREACH
	}
	local, port, err := localPart(d.LocalAddr)
	if err != nil {
		return key, err
	}
	key.lport = port
	if local.IsValid() && !local.IsUnspecified() {
		key.local = ippkt.FromNetip(local)
		if !a.isOwn(key.local) || key.local.Is4() != key.remote.Is4() {
			return key, syscall.EADDRNOTAVAIL
		}
		return key, nil
	}
	var ok bool
	if key.local, ok = a.source(key.remote); !ok {
		return key, syscall.ENETUNREACH
	}
	return key, nil
}

func localPart(a net.Addr) (netip.Addr, uint16, error) {
	if a == nil {
		return netip.Addr{}, 0, nil
	}
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, 0, &net.AddrError{Err: "not a TCP address", Addr: a.String()}
	}
	ap := t.AddrPort()
	return ap.Addr().Unmap(), ap.Port(), nil
}

// open puts a connection in SYN-SENT into the table, choosing a port if key has none. Info has what goes with the SYN; its
// numbers are chosen here.
func (s *Stack) open(q *queue, key *flowKey, cfg *tcb.Config, info *tcb.DialInfo) (*Conn, error) {
	if s.closing.Load() {
		return nil, net.ErrClosed
	}
	if key.lport != 0 {
		if c := s.tryOpen(q, key, cfg, info, false); c != nil {
			return c, nil
		}
		if c := s.tryOpen(q, key, cfg, info, true); c != nil {
			return c, nil
		}
		return nil, syscall.EADDRINUSE
	}
	lo, hi := s.cfg.EphemeralPorts[0], s.cfg.EphemeralPorts[1]
	n := uint32(hi-lo) + 1
	next := s.ports.next(&s.secret, key)
	// RFC 6056 §3.3.4. Every port once, then once more if TIME-WAIT has any, then it is over (6056-04).
	for _, reuse := range []bool{false, true} {
		waiting := false
		for i := range n {
			key.lport = lo + uint16((next+i)%n)
			kind := s.table.kind(key)
			waiting = waiting || kind == kindTimeWait
			if kind != kindNone && !(reuse && kind == kindTimeWait) || s.listeners.find(key.local, key.lport) != nil {
				continue // 6056-02
			}
			if c := s.tryOpen(q, key, cfg, info, reuse); c != nil {
				s.ports.used(&s.secret, key, i+1)
				return c, nil
			}
		}
		if !waiting {
			break
		}
	}
	s.warn(&s.life.ports, portsSpent)
	return nil, syscall.EADDRNOTAVAIL
}

// tryOpen returns nil if the flow exists. With reuse one in TIME-WAIT may make room.
func (s *Stack) tryOpen(q *queue, key *flowKey, cfg *tcb.Config, info *tcb.DialInfo, reuse bool) *Conn {
	c := s.newConn(q, key)
	now := c.clock()
	iss, offset := s.secret.isn(key, now)
	if reuse {
		if cfg.NoTimeWaitReuse {
			return nil
		}
		above, ok := s.takeTimeWait(key, now)
		if !ok {
			return nil
		}
		iss = tcpseg.Max(iss, above)
	}
	info.ISS, info.TSOffset = iss, offset
	c.t.Dial(now, cfg, &c.mem, info)
	c.setIP(&cfg.Options)
	if !s.table.addConn(c) {
		c.t.Release()
		return nil
	}
	s.mem.conns.Add(1)
	return c
}

// connect sends the SYN and waits for the handshake to end.
func (c *Conn) connect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.lock()
		c.wakeWriters()
		c.unlock()
	})
	defer stop()
	c.lock()
	defer c.unlock()
	c.flushSelf()
	if c.s.closing.Load() { // else Close has seen c in the table
		return c.failDial(net.ErrClosed)
	}
	for {
		switch {
		case c.opened: // what has become of it since is for Read to tell
			return nil
		case c.err != nil:
			return c.failDial(c.err)
		case c.t.Err() != nil:
			return c.failDial(c.explain(c.t.Err()))
		case c.dead:
			return c.failDial(tcb.ErrReset)
		case ctx.Err() != nil:
			return c.failDial(ctxError(ctx.Err()))
		}
		c.waitWrite()
	}
}

// failDial gives up a connection that nobody will get to see.
func (c *Conn) failDial(err error) error {
	sc := getScratch()
	defer putScratch(sc)
	c.closed = true
	if !c.dead {
		c.s.orphans.Add(1)
		c.t.Abort(c.clock())
		c.flush(sc)
	}
	c.release()
	return err
}

// portCounters are the table of RFC 6056 §3.3.4 (algorithm 4, double hash): connections to one
// destination take ports one after the other, from a start and at a pace that tell nothing
// about those to another.
type portCounters struct {
	cells [1024]atomic.Uint32
}

func (p *portCounters) init(k *secrets) {
	var b [4]byte
	for i := range p.cells {
		binary.LittleEndian.PutUint32(b[:], uint32(i))
		p.cells[i].Store(uint32(k.cellKey.sum(b[:])))
	}
}

func (p *portCounters) cell(k *secrets, dest flowKey) *atomic.Uint32 {
	dest.lport = 0
	return &p.cells[k.cellKey.flow(&dest)%uint64(len(p.cells))]
}

// next returns the offset of the first port to try.
func (p *portCounters) next(k *secrets, key *flowKey) uint32 {
	dest := *key
	dest.lport = 0
	return uint32(k.portKey.flow(&dest))/2 + p.cell(k, dest).Load()/2
}

// used moves on past n ports.
func (p *portCounters) used(k *secrets, key *flowKey, n uint32) { p.cell(k, *key).Add(2 * n) }
