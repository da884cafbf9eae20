package stack

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ustack/tcpseg"
)

// req: ST-LI9 ST-CL4 MUST-43
func TestListenAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		for _, c := range []struct {
			network, address, shown string
			want                    error // with shown == "": any error, at least this
		}{
			{"tcp", ":80", "[::]:80", nil},
			{"tcp4", ":80", "", syscall.EADDRINUSE},
			{"tcp6", ":80", "", syscall.EADDRINUSE},
			{"tcp", addrA4 + ":80", "", syscall.EADDRINUSE},
			{"tcp4", ":81", "0.0.0.0:81", nil},
			{"tcp6", ":81", "[::]:81", nil},
			{"tcp", "[" + addrA6 + "]:81", "", syscall.EADDRINUSE},
			{"tcp", addrA4 + ":82", addrA4 + ":82", nil},
			{"tcp", addrA4 + ":82", "", syscall.EADDRINUSE},
			{"tcp", "0.0.0.0:82", "", syscall.EADDRINUSE},
			{"tcp", "[" + addrA6 + "]:82", "[" + addrA6 + "]:82", nil},
			{"tcp", "[::]:83", "[::]:83", nil},
			{"tcp", "10.1.1.1:84", "", syscall.EADDRNOTAVAIL},
			{"tcp", "127.0.0.1:84", "", syscall.EADDRNOTAVAIL},
			{"tcp", "localhost:84", "", nil},
			{"tcp4", "[" + addrA6 + "]:84", "", nil},
			{"udp", ":84", "", net.UnknownNetworkError("udp")},
			{"tcp", "84", "", nil},
		} {
			l, err := h.a.Listen(c.network, c.address)
			switch {
			case c.shown == "":
				var op *net.OpError
				if !errors.As(err, &op) || op.Op != "listen" || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("Listen %s %s: %v, want %v", c.network, c.address, err, c.want)
				}
			case err != nil:
				t.Errorf("Listen %s %s: %v", c.network, c.address, err)
			case l.Addr().String() != c.shown:
				t.Errorf("Listen %s %s listens on %v", c.network, c.address, l.Addr())
			}
		}
		ports := map[int]bool{}
		for range 50 {
			l, err := h.a.Listen("tcp", ":0")
			if err != nil {
				t.Fatal(err)
			}
			p := l.Addr().(*net.TCPAddr).Port
			if p < 1024 || ports[p] {
				t.Errorf("port %d", p)
			}
			ports[p] = true
		}
	})
}

// A listener serves the addresses it was made for, and a live connection does not mind listeners
// that come and go. req: MUST-41 MUST-43
func TestListenerScope(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		l, err := h.b.Listen("tcp", addrB4+":80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.a.Dial("tcp", "["+addrB6+"]:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial to the other address: %v, want ECONNREFUSED", err)
		}
		c, err := h.a.Dial("tcp", addrB4+":80")
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := h.a.Dial("tcp", addrB4+":80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial to a closed listener: %v, want ECONNREFUSED", err)
		}
		if _, err := h.b.Listen("tcp", ":80"); err != nil {
			t.Errorf("Listen beside a live connection: %v", err)
		}
		s.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	})
}

// req: ST-LI7 ST-LI8
func TestAcceptDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		l, err := h.a.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		l.SetDeadline(start.Add(time.Second))
		if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Accept: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Accept took %v", d)
		}
		l.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { l.Close() })
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, want net.ErrClosed", err)
		}
	})
}

// Both the half-open and the waiting connections of a listener are bounded, each on its own;
// what comes on top is dropped without a word and without harm to those that are there.
// req: 4987-01 4987-02 4987-05 4987-06 ST-LI4 ST-LI8 ST-SR15
func TestBacklog(t *testing.T) {
	const backlog = 4
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := (&ListenConfig{Stack: w.s, Backlog: backlog, SynCookies: SynCookiesOff}).Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		first := w.peer(false, 80, 1000)
		first.open()
		live, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		// A flood of SYNs from as many ports.
		for port := range uint16(100) {
			w.peer(false, 80, 2000+port).send(tcpseg.SYN, "")
		}
		if n := len(w.recv()); n != backlog {
			t.Errorf("%d SYNs were answered, want %d", n, backlog)
		}
		expectFlows(t, "the stack", w.s, 1, backlog, 0)
		if n := w.drops("listen-backlog-full"); n != 100-backlog {
			t.Errorf("%d SYNs dropped, want %d", n, 100-backlog)
		}
		first.send(tcpseg.ACK, "data")
		if n, err := live.Read(make([]byte, 10)); n != 4 || err != nil {
			t.Errorf("the live connection reads %d, %v", n, err)
		}
		// They are forgotten after their retransmissions, in silence.
		time.Sleep(2 * time.Minute)
		synACKs := 0
		for _, b := range w.recv() {
			_, s := w.parse(b)
			if s.Flags.Has(tcpseg.RST) {
				t.Error("a half-open connection was reset")
			}
			if s.Flags.Has(tcpseg.SYN) {
				synACKs++
			}
		}
		if synACKs != 5*backlog {
			t.Errorf("%d SYN,ACKs were sent again, want 5 for each of %d", synACKs, backlog)
		}
		expectFlows(t, "the stack", w.s, 1, 0, 0)

		// The accept queue: four fit, the fifth stays half open until there is room.
		var peers []*peer
		for port := range uint16(backlog + 1) {
			p := w.peer(false, 80, 3000+port)
			p.open()
			w.silence()
			peers = append(peers, p)
		}
		expectFlows(t, "the stack", w.s, 1+backlog, 1, 0)
		if n := w.drops("listen-accept-queue-full"); n != 1 {
			t.Errorf("%d handshakes held up, want 1", n)
		}
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		last := peers[backlog]
		last.send(tcpseg.ACK, "request") // the peer believes to be connected
		w.recv()
		expectFlows(t, "the stack", w.s, 2+backlog, 0, 0)
		// Closing the listener resets those that nobody has accepted, and only them.
		l.Close()
		resets := 0
		for _, b := range w.recv() {
			if _, s := w.parse(b); s.Flags.Has(tcpseg.RST) {
				resets++
			}
		}
		if resets != backlog {
			t.Errorf("%d connections were reset, want %d", resets, backlog)
		}
		expectFlows(t, "the stack", w.s, 2, 0, 0)
	})
}

// req: ST-LI8
func TestListenerClosedDuringHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		p := w.peer(true, 80, 1000)
		p.send(tcpseg.SYN, "")
		p.ack = w.segment().Seq.Add(1)
		l.Close()
		p.send(tcpseg.ACK, "")
		if s := w.segment(); s.Flags != tcpseg.RST || s.Seq != p.ack {
			t.Errorf("the last ACK was answered by %v %d, want RST %d", s.Flags, s.Seq, p.ack)
		}
		expectFlows(t, "the stack", w.s, 0, 0, 0)
	})
}

// timeWait opens a connection to port 80, closes it from our side first, and returns the peer and our FIN.
func (w *wire) timeWait(l net.Listener) (*peer, tcpseg.Segment) {
	w.t.Helper()
	p := w.peer(false, 80, 1000)
	p.open()
	c, err := l.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	w.silence()
	c.Close()
	fin := w.segment()
	p.ack = fin.Seq.Add(1)
	p.send(tcpseg.FIN|tcpseg.ACK, "")
	if s := w.segment(); s.Flags != tcpseg.ACK || s.Ack != p.seq {
		w.t.Errorf("the FIN was answered by %v %d", s.Flags, s.Ack)
	}
	expectFlows(w.t, "the stack", w.s, 0, 0, 1)
	return p, fin
}

// A new incarnation may take over from TIME-WAIT, with higher sequence numbers.
// req: 6191-02 ST-TW2 ST-TW1 ST-TW3 ST-TW9 P-2
func TestTimeWaitReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		p, fin := w.timeWait(l)
		// The FIN again is acknowledged again; a RST and a plain ACK are not answered.
		p.seq--
		p.send(tcpseg.FIN|tcpseg.ACK, "")
		if s := w.segment(); s.Flags != tcpseg.ACK || s.Ack != p.seq {
			t.Errorf("the second FIN was answered by %v %d", s.Flags, s.Ack)
		}
		p.send(tcpseg.RST, "")
		p.send(tcpseg.ACK, "")
		w.silence()
		expectFlows(t, "the stack", w.s, 0, 0, 1)
		// The next connection of the same ports.
		p.seq = p.seq.Add(1000)
		p.send(tcpseg.SYN, "")
		s := w.segment()
		if s.Flags != tcpseg.SYN|tcpseg.ACK || !fin.Seq.Less(s.Seq) {
			t.Errorf("the new SYN was answered by %v %d, want SYN,ACK above %d", s.Flags, s.Seq, fin.Seq)
		}
		expectFlows(t, "the stack", w.s, 0, 1, 0)
		p.ack = s.Seq.Add(1)
		p.send(tcpseg.ACK, "")
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
	})
}

// A SYN that reuses a TIME-WAIT and proves to be old, for the peer resets what it began, gives the TIME-WAIT back.
// req: MAY-2 6191-05
func TestTimeWaitComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		p, fin := w.timeWait(l)
		end := *p
		p.seq = p.seq.Add(1000)
		p.send(tcpseg.SYN, "")
		if s := w.segment(); s.Seq.Sub(fin.Seq) < 1<<16 {
			t.Errorf("the new ISS lies %d above the old FIN, within what the old connection may have sent", s.Seq.Sub(fin.Seq))
		}
		expectFlows(t, "the stack", w.s, 0, 1, 0)
		p.send(tcpseg.RST, "")
		w.silence()
		expectFlows(t, "the stack", w.s, 0, 0, 1)
		end.seq--
		end.send(tcpseg.FIN|tcpseg.ACK, "")
		if s := w.segment(); s.Flags != tcpseg.ACK || s.Seq != fin.Seq.Add(1) || s.Ack != end.seq {
			t.Errorf("the old FIN was answered by %v %d ack %d", s.Flags, s.Seq, s.Ack)
		}
		time.Sleep(59 * time.Second)
		expectFlows(t, "the stack", w.s, 0, 0, 1)
		time.Sleep(2 * time.Second)
		expectFlows(t, "the stack", w.s, 0, 0, 0)
	})
}
