package stack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ustack/ippkt"
	"ustack/stack/tcb"
)

// ListenConfig makes listeners that differ from the stack's defaults. Stack is needed.
type ListenConfig struct {
	Stack *Stack
	// Options of the connections that are accepted. [the stack's]
	Options *tcb.Options
	// Backlog bounds both the connections that wait for Accept and those that are half open
	// [Config.Backlog]. What comes on top gets a cookie, or is dropped: the peer tries again (RFC 4987).
	Backlog int
	// SynCookies says when SYNs are answered without a record [when the backlog is full].
	SynCookies SynCookies
	// FastOpen lets clients that have been here before send data with their SYN (RFC 7413), and says how many such
	// connections there may be whose client has not proved yet to be there [0: none]. What comes on top takes the usual
	// way. The data of a SYN may come twice: turn it on only where that does no harm.
	FastOpen int
}

// Listen waits for connections to address, "host:port" with a literal IP address of ours; an
// empty host or an unspecified address is all of them, port 0 a free one. Network is "tcp"
// (both families for an empty host or [::]), "tcp4" or "tcp6".
func (s *Stack) Listen(network, address string) (*Listener, error) {
	return (&ListenConfig{Stack: s}).Listen(context.Background(), network, address)
}

// Listen is Stack.Listen with the settings of lc. It never waits: ctx is there for likeness.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (*Listener, error) {
	l, err := lc.listen(network, address)
	if err != nil {
		op := &net.OpError{Op: "listen", Net: network, Err: err}
		if a, e := netip.ParseAddrPort(address); e == nil {
			op.Addr = net.TCPAddrFromAddrPort(a)
		}
		return nil, op
	}
	return l, nil
}

func (lc *ListenConfig) listen(network, address string) (*Listener, error) {
	s := lc.Stack
	if s == nil {
		return nil, errNoStack
	}
	l := &Listener{s: s, options: s.cfg.Options, backlog: int32(s.cfg.Backlog), cookies: lc.SynCookies,
		fastOpen: int32(min(max(lc.FastOpen, 0), 1<<20))}
	l.cond.L = &l.mu
	if lc.Options != nil {
		l.options = *lc.Options
	}
	if lc.Backlog > 0 {
		l.backlog = int32(min(lc.Backlog, 1<<20))
	}
	if err := l.bind(network, address); err != nil {
		return nil, err
	}
	for _, q := range s.queues {
		l.configs = append(l.configs, [2]tcb.Config{q.config(&l.options, true), q.config(&l.options, false)})
	}
	if err := s.listeners.add(l); err != nil {
		return nil, err
	}
	if s.closing.Load() {
		l.Close()
		return nil, net.ErrClosed
	}
	s.log.Info("listening", "addr", l.Addr())
	return l, nil
}

var errNoStack = errors.New("stack: config without a Stack")

// splitAddress parses "host:port" without resolving names. An empty host is the zero Addr.
func splitAddress(network, address string) (netip.AddrPort, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: address}
	}
	if host == "" {
		return netip.AddrPortFrom(netip.Addr{}, uint16(port)), nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, &net.AddrError{Err: "not an IP address", Addr: address}
	}
	addr = addr.Unmap()
	if strings.HasSuffix(network, "4") && !addr.Is4() || strings.HasSuffix(network, "6") && addr.Is4() {
		return netip.AddrPort{}, &net.AddrError{Err: "address of another family than " + network, Addr: address}
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// bind works out what l listens on.
func (l *Listener) bind(network, address string) error {
	ap, err := splitAddress(network, address)
	if err != nil {
		return err
	}
	l.port = ap.Port()
	a := ap.Addr()
	switch {
	case !a.IsValid(), network == "tcp" && a == netip.IPv6Unspecified():
		l.any4, l.any6 = network != "tcp6", network != "tcp4"
		if network == "tcp4" {
			a = netip.IPv4Unspecified()
		} else {
			a = netip.IPv6Unspecified()
		}
	case a.IsUnspecified():
		l.any4, l.any6 = a.Is4(), !a.Is4()
	case !l.s.addrs.isOwn(ippkt.FromNetip(a)):
		return os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	l.addr = ippkt.FromNetip(a)
	l.host = a
	return nil
}

// Listener accepts connections: net.Listener, and OnAccept.
type Listener struct {
	s          *Stack
	options    tcb.Options
	backlog    int32
	addr       ippkt.Addr
	host       netip.Addr
	port       uint16
	any4, any6 bool // all our addresses of the family

	configs [][2]tcb.Config // by queue, for IPv4 and IPv6; never changed

	halfOpen atomic.Int32 // records in the table
	waiting  atomic.Int32 // accepted by the stack, not yet by the user
	cookies  SynCookies

	fastOpen    int32        // see ListenConfig.FastOpen
	fastPending atomic.Int32 // connections whose client has not proved to be there

	// cookieUntil is a tcb.Time: until then an ACK may bring a cookie back.
	cookieUntil atomic.Int64
	closed      atomic.Bool

	mu       sync.Mutex
	cond     sync.Cond
	queue    fifo[*Conn]
	onAccept func(net.Conn)
	deadline deadline
	waiters  int
}

// listens reports whether l takes connections to a.
func (l *Listener) listens(a ippkt.Addr) bool {
	if a.Is4() {
		return l.any4 || l.addr == a
	}
	return l.any6 || l.addr == a
}

// config returns what connections from a remote that come in on q are made with.
func (l *Listener) config(q *queue, remote ippkt.Addr) *tcb.Config {
	if remote.Is4() {
		return &l.configs[q.index][0]
	}
	return &l.configs[q.index][1]
}

// wild reports whether l listens on more than one address.
func (l *Listener) wild() bool { return l.any4 || l.any6 }

// overlaps reports whether l and o want the same connections.
func (l *Listener) overlaps(o *Listener) bool {
	switch {
	case l.wild() && o.wild():
		return l.any4 && o.any4 || l.any6 && o.any6
	case l.wild():
		return l.listens(o.addr)
	}
	return o.listens(l.addr)
}

// Addr returns the address, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.host, l.port))
}

// Accept waits for the next connection; it is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept without the interface.
func (l *Listener) AcceptConn() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed.Load():
			return nil, l.opError("accept", net.ErrClosed)
		case l.deadline.expired(l.s):
			return nil, l.opError("accept", os.ErrDeadlineExceeded)
		case l.queue.len() > 0:
			l.waiting.Add(-1)
			return l.queue.pop(), nil
		}
		l.deadline.wait(l.s, &l.cond, &l.waiters)
	}
}

// SetDeadline sets when Accept ends with os.ErrDeadlineExceeded; the zero time: never.
func (l *Listener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return l.opError("set", net.ErrClosed)
	}
	l.deadline.set(l.s, t)
	l.cond.Broadcast()
	return nil
}

// OnAccept asks for f to be called, on a worker goroutine, with each connection instead of
// Accept. f may block; several calls may run at the same time. f that panics resets the
// connection. Connections that wait for Accept are given to f. Nil: Accept has them again.
func (l *Listener) OnAccept(f func(net.Conn)) {
	sc := getScratch()
	defer putScratch(sc)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onAccept = f
	for f != nil && l.queue.len() > 0 {
		l.hand(sc, l.queue.pop())
	}
}

// hand gives c to a worker. l.mu is held.
func (l *Listener) hand(sc *scratch, c *Conn) {
	f := l.onAccept
	c.home().workers.push(sc, job{c: c, f: func(nc net.Conn) {
		l.waiting.Add(-1)
		f(nc)
	}})
}

// home returns the queue of a connection.
func (c *Conn) home() *queue {
	c.lock()
	defer c.unlock()
	return c.q
}

// Close ends listening. Connections that nobody has accepted are reset; those that are half
// open are refused when they complete.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return l.opError("close", net.ErrClosed)
	}
	l.s.listeners.remove(l)
	l.mu.Lock()
	var rest []*Conn
	for l.queue.len() > 0 {
		rest = append(rest, l.queue.pop())
	}
	l.deadline.stop()
	l.cond.Broadcast()
	l.mu.Unlock()
	for _, c := range rest {
		c.Abort()
	}
	l.s.log.Info("listener closed", "addr", l.Addr())
	return nil
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.Addr(), Err: err}
}

// reserve takes a place in the accept queue; false: it is full (4987-05).
func (l *Listener) reserve() bool {
	if l.waiting.Add(1) <= l.backlog {
		return true
	}
	l.waiting.Add(-1)
	return false
}

// add gives the listener a new connection, for which a place is reserved.
func (l *Listener) add(sc *scratch, c *Conn) {
	l.mu.Lock()
	if l.closed.Load() {
		l.mu.Unlock()
		c.Abort()
		return
	}
	defer l.mu.Unlock()
	if l.onAccept != nil {
		l.hand(sc, c)
		return
	}
	l.queue.push(c)
	if l.waiters > 0 {
		l.cond.Signal()
		sc.readied = true
	}
}

// listeners are found by port, then by address: an exact one before a wildcard.
type listeners struct {
	mu     sync.RWMutex
	byPort map[uint16][]*Listener
	next   uint16 // for port 0
}

func (ls *listeners) find(a ippkt.Addr, port uint16) *Listener {
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	for _, l := range ls.byPort[port] {
		if l.listens(a) {
			return l
		}
	}
	return nil
}

// add enters l, choosing a port if it has none. Two listeners never want the same connection.
func (ls *listeners) add(l *Listener) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.port != 0 {
		if ls.taken(l) {
			return os.NewSyscallError("bind", syscall.EADDRINUSE)
		}
		ls.byPort[l.port] = append(ls.byPort[l.port], l)
		return nil
	}
	lo, hi := l.s.cfg.EphemeralPorts[0], l.s.cfg.EphemeralPorts[1]
	n := int(hi-lo) + 1
	if ls.next == 0 {
		ls.next = uint16(l.s.secret.random())
	}
	for range n {
		ls.next++
		l.port = lo + ls.next%uint16(min(n, 65535))
		if !ls.taken(l) {
			ls.byPort[l.port] = append(ls.byPort[l.port], l)
			return nil
		}
	}
	return os.NewSyscallError("bind", syscall.EADDRINUSE)
}

func (ls *listeners) taken(l *Listener) bool {
	return slices.ContainsFunc(ls.byPort[l.port], l.overlaps)
}

func (ls *listeners) remove(l *Listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	list := slices.DeleteFunc(ls.byPort[l.port], func(o *Listener) bool { return o == l })
	if len(list) == 0 {
		delete(ls.byPort, l.port)
	} else {
		ls.byPort[l.port] = list
	}
}

func (s *Stack) closeListeners() {
	s.listeners.mu.RLock()
	var all []*Listener
	for _, list := range s.listeners.byPort {
		all = append(all, list...)
	}
	s.listeners.mu.RUnlock()
	for _, l := range all {
		l.Close()
	}
}
