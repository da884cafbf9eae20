package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// req: MUST-43 MUST-46 U-17 ST-CL4 V4S-14 V4S-15
func TestDialAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		for _, c := range []struct {
			network, address string
			want             error
		}{
			{"tcp", "224.0.0.1:80", syscall.ENETUNREACH},
			{"tcp", "255.255.255.255:80", syscall.ENETUNREACH},
			{"tcp", "10.90.0.255:80", syscall.ENETUNREACH},
			{"tcp", "240.0.0.1:80", syscall.ENETUNREACH},
			{"tcp", "0.1.2.3:80", syscall.ENETUNREACH},
			{"tcp", "127.0.0.1:80", syscall.ENETUNREACH},
			{"tcp", "[ff02::2]:80", syscall.ENETUNREACH},
			{"tcp", "[::1]:80", syscall.ENETUNREACH},
			{"tcp", addrA4 + ":80", syscall.ENETUNREACH}, // ourselves
			{"tcp", "0.0.0.0:80", syscall.EADDRNOTAVAIL},
			{"tcp", "[::]:80", syscall.EADDRNOTAVAIL},
			{"tcp", ":80", syscall.EADDRNOTAVAIL},
			{"tcp", addrB4 + ":0", syscall.EADDRNOTAVAIL},
			{"tcp", addrB4 + ":81", syscall.ECONNREFUSED},
			{"tcp6", "[" + addrB6 + "]:81", syscall.ECONNREFUSED},
			{"tcp6", addrB4 + ":81", nil},
			{"tcp4", "[" + addrB6 + "]:81", nil},
			{"tcp", "www.example.com:80", nil},
			{"tcp", addrB4, nil},
			{"tcp", addrB4 + ":http", nil},
			{"tcp", addrB4 + ":65536", nil},
			{"udp", addrB4 + ":81", net.UnknownNetworkError("udp")},
		} {
			nc, err := h.a.Dial(c.network, c.address)
			var op *net.OpError
			if nc != nil || !errors.As(err, &op) || op.Op != "dial" || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Dial %s %s: %v, want %v", c.network, c.address, err, c.want)
			}
		}
		expectFlows(t, "a", h.a, 0, 0, 0)
		for _, c := range []struct {
			local net.Addr
			want  error
		}{
			{&net.TCPAddr{IP: net.ParseIP("10.1.1.1")}, syscall.EADDRNOTAVAIL},
			{&net.TCPAddr{IP: net.ParseIP(addrA6)}, syscall.EADDRNOTAVAIL},
			{&net.UDPAddr{}, nil},
		} {
			d := Dialer{Stack: h.a, LocalAddr: c.local}
			if _, err := d.Dial("tcp", addrB4+":81"); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Dial from %v: %v, want %v", c.local, err, c.want)
			}
		}
		if _, err := (&Dialer{}).Dial("tcp", addrB4+":1"); err == nil {
			t.Error("a Dialer without a stack dials")
		}
	})
}

// req: MUST-44 ST-ES20
func TestDialFromPort(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		l, err := h.b.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		d := Dialer{Stack: h.a, LocalAddr: &net.TCPAddr{Port: 7777}}
		c, err := d.Dial("tcp", addrB4+":80")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.LocalAddr().String(); got != addrA4+":7777" {
			t.Errorf("LocalAddr is %s", got)
		}
		if got := c.RemoteAddr().String(); got != addrB4+":80" {
			t.Errorf("RemoteAddr is %s", got)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.RemoteAddr().String(); got != addrA4+":7777" {
			t.Errorf("accepted from %s", got)
		}
		if _, err := d.Dial("tcp", addrB4+":80"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same flow again: %v, want EADDRINUSE", err)
		}
	})
}

// While an open is under way, its flow exists already, and its port can be listened on. From a port that is listened on
// one can open, too, and the listener stays.
// req: ST-SS12 MUST-42 ST-LI6
func TestPortOfADialUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		d := Dialer{Stack: w.s, LocalAddr: &net.TCPAddr{Port: 7777}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := d.DialContext(ctx, "tcp", addrA4+":80")
			done <- err
		}()
		w.segment()
		if _, err := d.Dial("tcp", addrA4+":80"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same flow in SYN-SENT: %v, want EADDRINUSE", err)
		}
		l, err := w.s.Listen("tcp", ":7777")
		if err != nil {
			t.Fatalf("LISTEN on the port of a dial: %v", err)
		}
		p := w.peer(false, 7777, 5000)
		p.open()
		if _, err := l.Accept(); err != nil {
			t.Error(err)
		}
		// The same in SYN-RECEIVED, after a SYN that crossed ours.
		cross := w.peer(false, 7777, 80)
		cross.send(tcpseg.SYN, "")
		w.recv()
		if _, err := d.Dial("tcp", addrA4+":80"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same flow in SYN-RECEIVED: %v, want EADDRINUSE", err)
		}
		go d.DialContext(ctx, "tcp", addrA4+":81")
		if s := w.segment(); s.Flags != tcpseg.SYN || s.SrcPort != 7777 || s.DstPort != 81 {
			t.Errorf("an active open beside the listener sent %v", s)
		}
		w.peer(false, 7777, 5001).open()
		l.Close()
		if l, err = w.s.Listen("tcp", ":7777"); err != nil {
			t.Errorf("LISTEN in SYN-RECEIVED: %v", err)
		} else {
			l.Close()
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the first dial: %v", err)
		}
	})
}

// A port is in use only towards one destination; when all are, that is an error at once.
// req: 6056-02 6056-04
func TestPortExhaustion(t *testing.T) {
	h := newHosts(t, link.PairConfig{}, func(c *Config) { c.EphemeralPorts = [2]uint16{20000, 20009} })
	for _, port := range []string{":80", ":81"} {
		if _, err := h.b.Listen("tcp", port); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.a.Listen("tcp", ":20004"); err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{":80", ":81"} {
		used := map[int]bool{}
		for range 9 { // one is a listener's
			c, err := h.a.Dial("tcp", addrB4+port)
			if err != nil {
				t.Fatal(err)
			}
			p := c.LocalAddr().(*net.TCPAddr).Port
			if used[p] || p < 20000 || p > 20009 || p == 20004 {
				t.Errorf("port %d again, out of range or a listener's", p)
			}
			used[p] = true
		}
		if _, err := h.a.Dial("tcp", addrB4+port); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("port 10 of 9: %v, want EADDRNOTAVAIL", err)
		}
	}
}

// The same with all dynamic ports of IANA, against the clock. req: 6056-04
func TestPortExhaustionIsFast(t *testing.T) {
	w := newHosts(t, link.PairConfig{}, func(c *Config) { c.EphemeralPorts = [2]uint16{49152, 65535} }).a
	key := flowKey{local: us4, remote: them4, rport: 80}
	for p := 49152; p < 65536; p++ {
		key.lport = uint16(p)
		if !w.table.addConn(w.newConn(w.queues[0], &key)) {
			t.Fatal("flow exists")
		}
	}
	key.lport = 0
	cfg := w.queues[0].config(&tcb.Options{}, true)
	limit := 10 * time.Millisecond
	if raceEnabled {
		limit *= 20
	}
	best := time.Hour
	for range 100 { // others may have the processor now and then
		start := time.Now()
		if _, err := w.open(w.queues[0], &key, &cfg, &tcb.DialInfo{}); err != syscall.EADDRNOTAVAIL {
			t.Fatal(err)
		}
		key.lport = 0
		if best = min(best, time.Since(start)); best < limit {
			break
		}
	}
	if best > limit {
		t.Errorf("it took %v to find no port, want less than %v", best, limit)
	}
	for i := range w.table.shards { // they have no TCB
		w.table.shards[i] = shard{}
	}
}

// Ports to one destination go up from a start that another destination does not share.
// req: 6056-01 6056-03
func TestPortsPerDestination(t *testing.T) {
	s := newHosts(t, link.PairConfig{}).a
	first := func(remote string) []uint32 {
		key := flowKey{local: us4, remote: addr(remote), rport: 80}
		var out []uint32
		for range 3 {
			out = append(out, s.ports.next(&s.secret, &key))
			s.ports.used(&s.secret, &key, 1)
		}
		return out
	}
	seen := map[uint32]bool{}
	for i := range 100 {
		p := first(fmt.Sprintf("10.1.0.%d", i))
		if p[1] != p[0]+1 || p[2] != p[0]+2 {
			t.Fatalf("ports do not go up one by one: %v", p)
		}
		seen[p[0]%64512/1024] = true
	}
	if len(seen) < 30 {
		t.Errorf("100 destinations start in %d of 63 ranges", len(seen))
	}
}

// req: MUST-22 MUST-23 ST-SS13
func TestDialTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hosts) {
		nobody := "10.90.0.99:80"
		start := time.Now()
		_, err := (&Dialer{Stack: h.a, Timeout: 3 * time.Second}).Dial("tcp", nobody)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("Dial with Timeout: %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("it took %v, want 3s", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := h.a.DialContext(ctx, "tcp", nobody); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled Dial: %v", err)
		}
		if _, err := h.a.DialContext(ctx, "tcp", nobody); !errors.Is(err, context.Canceled) {
			t.Errorf("Dial with a dead context: %v", err)
		}
		expectFlows(t, "a", h.a, 0, 0, 0)
		start = time.Now()
		if _, err := h.a.Dial("tcp", nobody); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("unanswered Dial: %v, want ETIMEDOUT", err)
		}
		if d := time.Since(start); d < 180*time.Second {
			t.Errorf("given up after %v, want 3 minutes at least", d)
		}
		expectFlows(t, "a", h.a, 0, 0, 0)
	})
}

// ICMP errors about a SYN: hard ones end the attempt, if they prove to know it. Nothing ends an
// established connection. req: ST-SS14 ST-CL4 MUST-54 MUST-56 SHLD-26 1122-05 P-1 I4-16 I4-17 I6-11
func TestDialICMP(t *testing.T) {
	for _, c := range []struct {
		name      string
		is6       bool
		typ, code uint8
		want      error // nil: goes on
	}{
		{"host unreachable", false, 3, 1, nil},
		{"protocol unreachable", false, 3, 2, syscall.ECONNREFUSED},
		{"port unreachable", false, 3, 3, syscall.ECONNREFUSED},
		{"source route failed", false, 3, 5, nil},
		{"prohibited", false, 3, 13, nil},
		{"time exceeded", false, 11, 0, nil},
		{"parameter problem", false, 12, 0, nil},
		{"v6 no route", true, 1, 0, nil},
		{"v6 prohibited", true, 1, 1, syscall.EHOSTUNREACH},
		{"v6 port unreachable", true, 1, 4, syscall.ECONNREFUSED},
		{"v6 time exceeded", true, 3, 0, nil},
		{"v6 unknown error", true, 100, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				to := net.JoinHostPort(addrA4, "80")
				if c.is6 {
					to = net.JoinHostPort(addrA6, "80")
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				res := make(chan error, 1)
				go func() { _, err := w.s.DialContext(ctx, "tcp", to); res <- err }()
				packet := w.answer()
				ip, s := w.parse(packet)
				if s.Flags != tcpseg.SYN {
					t.Fatalf("dialling sent %v", s.Flags)
				}
				h := ippkt.Header{Src: ip.Dst, Dst: ip.Src, TTL: 64}
				report := func(quote []byte) {
					w.send(ippkt.AppendICMP(nil, &h, &ippkt.ICMP{Type: c.typ, Code: c.code, Body: quote}))
					synctest.Wait()
				}
				forged := append([]byte(nil), packet...)
				forged[ip.HeaderLen+4]++ // sequence number
				report(forged)
				forged = append([]byte(nil), packet...)
				forged[ip.HeaderLen+1]++ // port
				report(forged)
				if n, m := w.drops("icmp-errors-stale"), w.drops("icmp-errors-for-no-connection"); n != 1 || m != 1 {
					t.Errorf("stale %d, for no connection %d, want 1 and 1", n, m)
				}
				report(packet[:ip.HeaderLen+8])
				if n := w.s.Stats().Counters["icmp-errors-for-a-connection"]; n != 1 {
					t.Errorf("%d errors were believed, want 1", n)
				}
				var errno syscall.Errno
				for _, conn := range w.s.Conns() {
					if soft := conn.Info().SoftError; (soft == nil) != (c.typ == 100) || soft != nil && !errors.As(soft, &errno) {
						t.Errorf("the soft error is %v", soft)
					}
				}
				select {
				case err := <-res:
					if c.want == nil || !errors.Is(err, c.want) {
						t.Errorf("Dial: %v, want %v", err, c.want)
					}
				default:
					if c.want != nil {
						t.Error("Dial goes on")
					}
				}
				w.silence()
			})
		})
	}
}

// req: SHLD-26 MUST-56 ST-ES22 P-1
func TestICMPNeverEndsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := w.s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		w.peer(false, 80, 4000).open()
		c, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		w.silence()
		c.Write([]byte("in flight"))
		packet := w.answer()
		h := header(false, 0)
		for _, code := range []uint8{0, 1, 2, 3, 5, 9, 10, 13} {
			w.send(ippkt.AppendICMP(nil, &h, &ippkt.ICMP{Type: 3, Code: code, Body: packet[:28]}))
		}
		synctest.Wait()
		if n := w.s.Stats().Counters["icmp-errors-for-a-connection"]; n != 8 {
			t.Errorf("%d errors were believed, want 8", n)
		}
		if err := c.Info().SoftError; !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("the soft error is %v", err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("Write after ICMP errors: %v", err)
		}
	})
}

// A dialled connection can cross with a SYN of the other end. req: MUST-10 ST-SS7 ST-SR7 U-15
func TestSimultaneousOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		res := make(chan error, 1)
		var c net.Conn
		go func() {
			var err error
			c, err = w.s.Dial("tcp", addrA4+":9000")
			res <- err
		}()
		s := w.segment()
		p := w.peer(false, s.SrcPort, 9000)
		p.send(tcpseg.SYN, "")
		answer := w.segment()
		if answer.Flags != tcpseg.SYN|tcpseg.ACK || answer.Seq != s.Seq || answer.Ack != p.seq {
			t.Fatalf("the crossing SYN was answered by %+v", answer.Header)
		}
		p.seq--
		p.ack = s.Seq.Add(1)
		p.send(tcpseg.SYN|tcpseg.ACK, "")
		w.recv()
		if err := <-res; err != nil {
			t.Fatal(err)
		}
		p.send(tcpseg.ACK, "hi")
		got := make([]byte, 2)
		if _, err := c.Read(got); string(got) != "hi" {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

// When all ports to a destination are in TIME-WAIT, one that has been there for a second serves
// again, with higher sequence numbers. req: ST-TW7
func TestDialReusesTimeWait(t *testing.T) {
	one := func(c *Config) { c.EphemeralPorts = [2]uint16{20000, 20000} }
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(t, link.PairConfig{}, one)
		address := h.onData(t, echoBack)
		for range 3 {
			c := dialOrFail(t, h.a, address)
			before := c.Info().Nxt
			roundTrip(t, c, "hello")
			c.Close()
			synctest.Wait()
			expectFlows(t, "a", h.a, 0, 0, 1)
			if _, err := h.a.Dial("tcp", address); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("Dial at once: %v, want EADDRNOTAVAIL", err)
			}
			time.Sleep(time.Second)
			c = dialOrFail(t, h.a, address)
			if !before.Less(c.Info().Nxt) {
				t.Errorf("the new incarnation begins at %d, the old one did at %d", c.Info().Nxt, before)
			}
			roundTrip(t, c, "again")
			c.Close()
			time.Sleep(time.Second)
		}
	})
}

// What ICMP has said explains the time-out that follows, unless the peer was heard since.
// req: SHLD-25 ST-SS14
func TestSoftErrorExplainsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		res := make(chan error, 1)
		go func() { _, err := w.s.Dial("tcp", addrA4+":80"); res <- err }()
		packet := w.answer()
		h := header(false, 0)
		h.Src = addr("10.90.0.200") // a router
		w.send(ippkt.AppendICMP(nil, &h, &ippkt.ICMP{Type: 3, Code: 1, Body: packet[:28]}))
		err := <-res
		var ne net.Error
		if !errors.Is(err, syscall.ETIMEDOUT) || !errors.Is(err, syscall.EHOSTUNREACH) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("Dial: %v, want ETIMEDOUT because of EHOSTUNREACH", err)
		}
		w.recv()

		c, p := w.accepted(false, 4000)
		c.Write([]byte("x"))
		w.send(ippkt.AppendICMP(nil, &h, &ippkt.ICMP{Type: 3, Code: 1, Body: w.answer()[:28]}))
		synctest.Wait()
		if c.Info().SoftError == nil {
			t.Error("there is no soft error")
		}
		p.ack = p.ack.Add(1)
		p.send(tcpseg.ACK, "y")
		synctest.Wait()
		if err := c.Info().SoftError; err != nil {
			t.Errorf("after the peer was heard the soft error is %v", err)
		}
	})
}
