package stack

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// A cookie is good for one client, in its period and the next.
// req: 7413-03
func TestFastCookie(t *testing.T) {
	k := newSecrets(t)
	const now = 100 * fastCookiePeriod
	for _, client := range []ippkt.Addr{them4, them6} {
		f := k.freshCookie(client, now)
		if len(f.Cookie()) != fastCookieLen {
			t.Errorf("a cookie of %d octets", f.Len)
		}
		for _, c := range []struct {
			what        string
			client      ippkt.Addr
			at          tcb.Time
			good, fresh bool
		}{
			{"its period", client, now + fastCookiePeriod - 1, true, true},
			{"the next", client, now + fastCookiePeriod, true, false},
			{"the end of the next", client, now + 2*fastCookiePeriod - 1, true, false},
			{"after that", client, now + 2*fastCookiePeriod, false, false},
			{"before its time", client, now - 1, false, false},
			{"another client", us4, now, false, false},
		} {
			if good, fresh := k.checkFastCookie(c.client, c.at, &f); good != c.good || fresh != c.fresh {
				t.Errorf("%v, %s: good %v, fresh %v", client, c.what, good, fresh)
			}
		}
		changed := f
		changed.Octets[7] ^= 1
		longer := tcpseg.NewFastOpen(append(f.Cookie(), 0, 0))
		if good, _ := k.checkFastCookie(client, now, &changed); good {
			t.Error("good when it is changed")
		}
		if good, _ := k.checkFastCookie(client, now, &longer); good {
			t.Error("good when it is longer")
		}
	}
	if k.freshCookie(them4, 0) == k.freshCookie(them6, 0) {
		t.Error("two clients have the same cookie")
	}
}

// fastListen makes a listener for so many connections that are not proved.
func fastListen(t *testing.T, w *wire, pending int) *Listener {
	l, err := (&ListenConfig{Stack: w.s, FastOpen: pending}).Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// acceptGET accepts a connection, on which GET has come.
func acceptGET(t *testing.T, l *Listener) *Conn {
	t.Helper()
	c, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	var b [8]byte
	if n, err := c.Read(b[:]); string(b[:n]) != "GET" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	return c
}

// fastCookieOf asks for a cookie as a client does.
func fastCookieOf(t *testing.T, w *wire, is6 bool) tcpseg.FastOpen {
	p := w.peer(is6, 80, 3999)
	p.options.FastOpen = tcpseg.NewFastOpen(nil)
	p.send(tcpseg.SYN, "")
	f := w.segment().Options.FastOpen
	if f.Len == 0 {
		t.Fatalf("no cookie: %+v", f)
	}
	p.send(tcpseg.RST, "")
	w.silence()
	return f
}

// req: 7413-02 7413-03 7413-04 7413-05 7413-06 U-05
func TestFastOpenServer(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			l := fastListen(t, w, 2)
			cookie := fastCookieOf(t, w, is6)
			syn := func(port uint16, f tcpseg.FastOpen) (*peer, tcpseg.Segment) {
				p := w.peer(is6, 80, port)
				p.options.MSS, p.options.FastOpen = 1400, f
				p.send(tcpseg.SYN, "GET")
				p.options = tcpseg.Options{}
				s := w.segment()
				p.ack = s.Seq.Add(1)
				return p, s
			}
			p, s := syn(4000, cookie)
			if s.Flags != tcpseg.SYN|tcpseg.ACK || s.Ack != p.seq || s.Options.FastOpen.Present {
				t.Errorf("answered by %v", s)
			}
			c := acceptGET(t, l)
			if c.t.State() != tcb.SynReceived {
				t.Errorf("in %v", c.t.State())
			}
			if _, err := c.Write([]byte("200")); err != nil {
				t.Error(err)
			}
			if s := w.segment(); string(s.Payload) != "200" || s.Seq != p.ack { // before the client has said more
				t.Errorf("sent %v %q", s, s.Payload)
			}
			// One more may be open without proof. Others take the usual way: their data is not taken.
			syn(4001, cookie)
			third, s := syn(4002, cookie)
			if s.Ack != third.seq.Add(-3) || s.Options.FastOpen != cookie {
				t.Errorf("beyond the limit: %v", s)
			}
			// The ACK of the first one is proof: there is room again.
			p.ack = p.ack.Add(3)
			p.send(tcpseg.ACK, "")
			w.silence()
			if c.t.State() != tcb.Established {
				t.Errorf("in %v", c.t.State())
			}
			if p, s := syn(4003, cookie); s.Ack != p.seq {
				t.Errorf("with room again: %v", s)
			}
			bad := cookie
			bad.Octets[0] ^= 1
			if p, s := syn(4004, bad); s.Ack != p.seq.Add(-3) || s.Options.FastOpen != cookie {
				t.Errorf("with a bad cookie: %v", s)
			}
			for reason, want := range map[string]uint64{"fast-open-cookie-bad": 1, "fast-open-too-many": 1} {
				if got := w.drops(reason); got != want {
					t.Errorf("%s: %d, want %d", reason, got, want)
				}
			}
			// Those who never prove to be there are given up, and make room.
			time.Sleep(3 * time.Minute)
			w.recv()
			if n := l.fastPending.Load(); n != 0 {
				t.Errorf("%d connections still wait for proof", n)
			}
			// A cookie of the period before is replaced.
			time.Sleep(time.Hour)
			_, s = syn(4005, cookie)
			if f := s.Options.FastOpen; f.Len == 0 || f == cookie {
				t.Errorf("an old cookie was answered by %v", s)
			}
		})
	}
}

// Who has not asked for it has no Fast Open.
// req: 7413-02 U-05
func TestNoFastOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l := fastListen(t, w, 0)
		p := w.peer(false, 80, 4000)
		p.options.FastOpen = w.s.secret.freshCookie(them4, w.s.now())
		p.send(tcpseg.SYN, "GET")
		s := w.segment()
		if s.Ack != p.seq.Add(-3) || s.Options.FastOpen.Present {
			t.Errorf("answered by %v", s)
		}
		p.options, p.seq, p.ack = tcpseg.Options{}, s.Ack, s.Seq.Add(1)
		p.send(tcpseg.ACK|tcpseg.PSH, "GET")
		acceptGET(t, l)
	})
}

// dialData dials us in the background and gives what has come of it to done.
func dialData(w *wire, data string) (done chan error) {
	done = make(chan error, 1)
	go func() {
		c, err := (&Dialer{Stack: w.s}).DialData(context.Background(), "tcp", "10.90.0.1:80", []byte(data))
		if err == nil {
			c.Close()
		}
		done <- err
	}()
	return done
}

// answerSYN answers the SYN that w has sent, with f, taking n octets of its text; it returns the SYN and what is sent then.
func answerSYN(w *wire, f tcpseg.FastOpen, n int) (syn tcpseg.Segment, then tcpseg.Segment) {
	w.t.Helper()
	syn = w.segment()
	p := w.peer(false, syn.SrcPort, 80)
	p.ack = syn.Seq.Add(1 + n)
	p.options.MSS, p.options.FastOpen = 1300, f
	p.send(tcpseg.SYN|tcpseg.ACK, "")
	_, then = w.parse(w.recv()[0])
	p.options = tcpseg.Options{}
	p.send(tcpseg.RST, "")
	w.recv()
	return syn, then
}

// req: 7413-07 7413-08 7413-09
func TestFastOpenClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		cookie := tcpseg.NewFastOpen([]byte("cookie"))
		// The first time we ask, and the data follows the handshake.
		done := dialData(w, "GET")
		syn, then := answerSYN(w, cookie, 0)
		if f := syn.Options.FastOpen; !f.Present || f.Len != 0 || len(syn.Payload) != 0 || string(then.Payload) != "GET" {
			t.Errorf("the first SYN is %v %q, then comes %q", syn, syn.Payload, then.Payload)
		}
		<-done
		// The second time the data is on the SYN: no more than the server takes, options included.
		long := make([]byte, 3000)
		done = dialData(w, string(long))
		syn, then = answerSYN(w, tcpseg.FastOpen{}, 1300-syn.Options.Len()-4)
		if want := 1300 - syn.Options.Len(); syn.Options.FastOpen != cookie || len(syn.Payload) != want || then.Seq != syn.Seq.Add(1+want) {
			t.Errorf("the second SYN is %v with %d octets, want %d; then comes %v", syn, len(syn.Payload), want, then)
		}
		<-done
		// A server that has changed its mind: the data goes again, and a new cookie the next time.
		done = dialData(w, "GET")
		fresh := tcpseg.NewFastOpen([]byte("fresh!"))
		if syn, then := answerSYN(w, fresh, 0); string(syn.Payload) != "GET" || string(then.Payload) != "GET" {
			t.Errorf("the data %q was not taken, then comes %q", syn.Payload, then.Payload)
		}
		<-done
		// A path that swallows it: the SYN goes again without, and for an hour nothing is asked for.
		done = dialData(w, "GET")
		if s := w.segment(); s.Options.FastOpen != fresh {
			t.Errorf("the next SYN is %v", s)
		}
		time.Sleep(1100 * time.Millisecond)
		syn, then = answerSYN(w, fresh, 0)
		if syn.Options.FastOpen.Present || len(syn.Payload) != 0 || string(then.Payload) != "GET" {
			t.Errorf("the SYN goes again as %v %q, then comes %q", syn, syn.Payload, then.Payload)
		}
		<-done
		done = dialData(w, "GET")
		if syn, _ = answerSYN(w, tcpseg.FastOpen{}, 0); syn.Options.FastOpen.Present {
			t.Errorf("after that the SYN is %v", syn)
		}
		<-done
		time.Sleep(time.Hour)
		done = dialData(w, "GET")
		if syn, _ = answerSYN(w, tcpseg.FastOpen{}, 0); !syn.Options.FastOpen.Present {
			t.Errorf("an hour later the SYN is %v", syn)
		}
		<-done
	})
}

// The whole of it between two stacks: the answer comes after one round trip instead of two.
// req: 7413-04 7413-07
func TestFastOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := link.Faults{Delay: 50 * time.Millisecond}
		la, lb := link.Pair(link.PairConfig{})
		h := &hosts{newStack(t, link.Impair(la, link.Spec{In: slow, Out: slow}), addrA4, addrA6), newStack(t, lb, addrB4, addrB6)}
		l, err := (&ListenConfig{Stack: h.b, FastOpen: 10}).Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.CopyN(c, c, 5)
				c.Close()
			}
		}()
		for i, want := range []time.Duration{200 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond} {
			start := time.Now()
			c, err := (&Dialer{Stack: h.a}).DialData(t.Context(), "tcp", "10.90.0.2:80", []byte("hello"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(io.LimitReader(c, 5))
			if string(b) != "hello" {
				t.Errorf("read %q, %v", b, err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("connection %d: the answer took %v, want %v", i, took, want)
			}
			c.Close()
		}
		l.Close()
	})
}
