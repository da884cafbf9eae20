package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/internal/statetable"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// The table of §18 through the whole host: real packets of both IP versions against a listener, a closed port or a connection that
// dials, for every pair of initial sequence numbers. The host's own comes round by its clock (RFC 9293 §3.4.1): the test waits, in
// virtual time, until the one it wants is next.
// req: MX-a MX-b MX-c MX-d MX-e MX-f MX-g MX-h MX-i MX-j MX-k MX-l MX-m MX-n MX-o MX-p MX-q MX-r
// ST-CL1 ST-CL2 ST-CL3 ST-LI1 ST-LI2 ST-LI3 ST-LI5 ST-SS1 ST-SS2 ST-SS3 ST-SS4 ST-SS5 ST-SS6 ST-SS7 ST-SS8 ST-SS9
// ST-SR1 ST-SR2 ST-SR3 ST-SR4 ST-SR5 ST-SR6 ST-SR7 ST-SR8 ST-SR9 ST-SR10 ST-SR11
func TestStateMatrix(t *testing.T) {
	isns := []tcpseg.Seq{0, 0x7fffffff, 0xffffff00, 0xffffffff} // the last wraps with the SYN
	for _, is6 := range []bool{false, true} {
		for i, iss := range isns {
			for j, irs := range isns {
				if raceEnabled && j != (i+1)%len(isns) { // each of them once at either end
					continue
				}
				t.Run(fmt.Sprintf("v6=%v/%#x,%#x", is6, uint32(iss), uint32(irs)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { matrix(t, is6, iss, irs) })
				})
			}
		}
	}
}

const (
	matrixPort  = 80 // a listener
	matrixSmall = 81 // one whose connections have the receive buffer of Case.RcvBuf
	matrixNone  = 82 // nobody listens
)

func matrix(t *testing.T, is6 bool, iss, irs tcpseg.Seq) {
	w := newWire(t)
	cases := statetable.Cases()
	l := map[int]*Listener{}
	for i := range cases {
		m := cell{w: w, c: &cases[i], iss: iss, irs: irs, local: matrixPort, remote: uint16(1024 + i), is6: is6, dialled: make(chan error, 1)}
		switch {
		case m.c.State == statetable.CL:
			m.local, m.iss = matrixNone, 0 // there is none: what is sent begins at 0
		case m.c.State == statetable.SS || m.c.State == statetable.SRA:
			m.local = uint16(20000 + i)
		case m.c.RcvBuf != 0:
			m.local = matrixSmall
		}
		if m.l = l[m.c.RcvBuf]; m.l == nil && m.local < matrixNone {
			m.l = m.listen()
			l[m.c.RcvBuf] = m.l
		}
		if err := m.run(); err != nil {
			t.Errorf("%s %q in %s %v: %s: %v", m.c.ID, m.c.Name, m.c.State, m.c.Steps, m.c.Segment, err)
		}
		m.forget()
	}
}

// cell is a case at work.
type cell struct {
	w             *wire
	c             *statetable.Case
	l             *Listener
	iss, irs      tcpseg.Seq
	local, remote uint16
	is6           bool
	user          *Conn // what the application has
	cancel        context.CancelFunc
	dialled       chan error
}

func (m *cell) listen() *Listener {
	lc := ListenConfig{Stack: m.w.s, Options: &tcb.Options{RcvBuf: m.c.RcvBuf}}
	l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", m.local))
	if err != nil {
		m.w.t.Fatal(err)
	}
	return l
}

func (m *cell) key() *flowKey {
	h := header(m.is6, 0)
	return &flowKey{local: h.Dst, remote: h.Src, lport: m.local, rport: m.remote}
}

// awaitISN waits until the host would number a connection of the flow from iss on.
func (m *cell) awaitISN() {
	now := m.w.s.now()
	isn, _ := m.w.s.secret.isn(m.key(), now)
	time.Sleep(time.Duration(uint32(m.iss-isn))*isnTick - time.Duration(now%isnTick))
	m.w.recv() // what others had to say meanwhile
}

func (m *cell) run() error {
	if m.c.State != statetable.CL {
		m.awaitISN()
	}
	for _, step := range m.c.Steps {
		if err := m.step(step); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		m.w.recv()
	}
	if got := m.state(); got != m.c.State.String() {
		return fmt.Errorf("in %s beforehand", got)
	}
	c := m.w.s.table.conn(m.key())
	readable, urgent := looks(c)
	m.send(m.c.Segment)
	seen := statetable.Seen{Sent: m.sent(m.w.recv()), State: m.state()}
	seen.Reused = m.c.State == statetable.TW && seen.State == statetable.SR.String() && len(seen.Sent) == 1 && seen.Sent[0].Flags == "S."
	if c == nil {
		c = m.w.s.table.conn(m.key())
	}
	if c != nil {
		n, u := looks(c)
		seen.Readable, seen.Urgent = n-readable, u > urgent
		seen.Una, seen.Error = m.una(c), m.fate(c)
	}
	if got := m.c.Outcome(seen); got != m.c.Want {
		return fmt.Errorf("outcome %q, want %q; %+v", got, m.c.Want, seen)
	}
	return nil
}

// looks tells what the user of a connection could read.
func looks(c *Conn) (readable, urgent int) {
	if c == nil {
		return 0, 0
	}
	c.lock()
	defer c.unlock()
	return c.t.Readable(), c.t.Urgent()
}

// una is SND.UNA, as long as there is one.
func (m *cell) una(c *Conn) int {
	c.lock()
	defer c.unlock()
	if c.dead {
		return 0
	}
	var s tcb.Snapshot
	c.t.Snapshot(&s)
	return s.Una.Sub(m.iss)
}

// fate is what the user of a connection that has ended is told.
func (m *cell) fate(c *Conn) string {
	select {
	case err := <-m.dialled:
		m.dialled <- err
		if errors.Is(err, syscall.ECONNREFUSED) {
			return "refused"
		}
		return fmt.Sprint(err)
	default:
	}
	c.lock()
	defer c.unlock()
	switch err := c.t.Err(); {
	case err == nil, c.closed: // there is no user to tell
		return ""
	case errors.Is(err, tcb.ErrReset):
		return "reset"
	default:
		return err.Error()
	}
}

func (m *cell) state() string {
	c := m.w.s.table.conn(m.key())
	switch kind := m.w.s.table.kind(m.key()); {
	case c != nil:
		return c.Info().State.String()
	case kind == kindHalfOpen:
		return statetable.SR.String()
	case kind == kindTimeWait:
		return statetable.TW.String()
	case m.local == matrixNone || m.user != nil || m.cancel != nil: // a connection was there
		return statetable.CL.String()
	}
	return statetable.LI.String()
}

func (m *cell) step(step string) error {
	if text, ok := strings.CutPrefix(step, "< "); ok {
		m.send(text)
		return nil
	}
	if step == "connect" {
		m.connect()
		return nil
	}
	if m.user == nil {
		c, err := m.l.AcceptConn()
		if err != nil {
			return err
		}
		m.user = c
	}
	word, arg, _ := strings.Cut(step, " ")
	n, _ := strconv.Atoi(arg)
	switch word {
	case "write":
		_, err := m.user.Write(make([]byte, n))
		return err
	case "read":
		_, err := io.ReadFull(m.user, make([]byte, n))
		return err
	case "shutdown":
		return m.user.CloseWrite()
	case "close":
		return m.user.Close()
	}
	return errors.New("no such step")
}

// connect begins to dial.
func (m *cell) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	key := m.key()
	d := Dialer{Stack: m.w.s, LocalAddr: tcpAddr(key.local, key.lport), Options: &tcb.Options{RcvBuf: m.c.RcvBuf}}
	go func() {
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(key.remote.Netip().String(), fmt.Sprint(key.rport)))
		if err == nil {
			defer c.Close()
			<-ctx.Done()
		}
		m.dialled <- err
	}()
}

// send puts a segment on the wire: "FLAGS FROM:TO(LENGTH)", then "ack N" and "urg N" if it has them.
func (m *cell) send(text string) {
	h := tcpseg.Header{SrcPort: m.remote, DstPort: m.local, Window: 65535}
	words := strings.Fields(text)
	for _, f := range words[0] {
		h.Flags |= map[rune]tcpseg.Flags{'S': tcpseg.SYN, 'F': tcpseg.FIN, 'R': tcpseg.RST, 'P': tcpseg.PSH, 'U': tcpseg.URG, '.': tcpseg.ACK}[f]
	}
	var from, to, n int
	if _, err := fmt.Sscanf(words[1], "%d:%d(%d)", &from, &to, &n); err != nil {
		m.w.t.Fatal(err)
	}
	h.Seq = m.irs.Add(from)
	for i := 2; i+1 < len(words); i += 2 {
		var v int
		fmt.Sscan(words[i+1], &v)
		switch words[i] {
		case "ack":
			h.Ack = m.iss.Add(v)
		case "urg":
			h.Urgent = uint16(v)
		}
	}
	m.w.send(tcpPacket(header(m.is6, 0), h, strings.Repeat("x", n)))
}

// sent writes down what the host answered.
func (m *cell) sent(packets [][]byte) (all []statetable.Sent) {
	for _, b := range packets {
		_, seg := m.w.parse(b)
		s := statetable.Sent{Flags: seg.Flags.String(), Seq: seg.Seq.Sub(m.iss)}
		if seg.Flags.Has(tcpseg.ACK) {
			s.Ack = seg.Ack.Sub(m.irs)
		}
		if seg.DstPort != m.remote || seg.SrcPort != m.local {
			s.Flags += "?"
		}
		all = append(all, s)
	}
	return all
}

// forget ends what is left of the connection.
func (m *cell) forget() {
	if m.l != nil && m.l.waiting.Load() > 0 { // the segment completed a handshake
		m.user, _ = m.l.AcceptConn()
	}
	if m.user != nil {
		m.user.Abort()
	}
	if m.cancel != nil {
		m.cancel()
		synctest.Wait()
	}
	if key := m.key(); m.w.s.table.kind(key) == kindTimeWait {
		m.w.s.forget(*key)
	}
	m.w.recv()
}
