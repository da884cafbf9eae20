package stack

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// accepted returns a connection to a test peer, whatever else has been sent thrown away.
func (w *wire) accepted(is6 bool, port uint16) (*Conn, *peer) {
	w.t.Helper()
	return w.acceptedMSS(is6, port, 0)
}

// acceptedMSS is accepted with a peer that tells its MSS.
func (w *wire) acceptedMSS(is6 bool, port, mss uint16) (*Conn, *peer) {
	w.t.Helper()
	l, err := w.s.Listen("tcp", ":80")
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	p := w.peer(is6, 80, port)
	p.options.MSS = mss
	p.open()
	p.options.MSS = 0
	c, err := l.AcceptConn()
	if err != nil {
		w.t.Fatal(err)
	}
	w.silence()
	return c, p
}

// Every packet of a connection has DF, our addresses, one flow label, and an identification
// that goes on. req: PMTU-01 MUST-45 V4S-01 V4S-02 V4S-04 V4S-09 V6S-02 V6S-03 FR6-15 MUST-2 V6R-06
func TestHeadersSent(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			l, err := w.s.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			p := w.peer(is6, 80, 4000)
			p.send(tcpseg.SYN, "")
			var all [][]byte
			all = append(all, w.answer())
			_, s := w.parse(all[0])
			if want := uint16(1500 - p.h.Len() - 20); s.Options.MSS != want { // req: MUST-67 MUST-14 SHLD-5 MAY-3
				t.Errorf("MSS %d, want %d", s.Options.MSS, want)
			}
			p.ack = s.Seq.Add(1)
			p.send(tcpseg.ACK, "")
			c, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			c.Write(make([]byte, 3001))
			all = append(all, w.recv()...)
			p.send(tcpseg.ACK, "data")
			c.Read(make([]byte, 10))
			c.Close()
			all = append(all, w.recv()...)
			c.Abort()
			all = append(all, w.recv()...)
			if len(all) < 5 {
				t.Fatalf("only %d packets", len(all))
			}
			first, _ := w.parse(all[0])
			next := uint32(0)
			for i, b := range all {
				ip, s := w.parse(b)
				if len(b) > 1500 || ip.Src != p.h.Dst || ip.Dst != p.h.Src || ip.TTL != 64 || ip.IsFragment() || ip.FragHeader != 0 {
					t.Errorf("packet %d: %+v", i, ip)
				}
				if s.SrcPort != 80 || s.DstPort != 4000 {
					t.Errorf("packet %d has ports %d, %d", i, s.SrcPort, s.DstPort)
				}
				if is6 && (ip.FlowLabel == 0 || ip.FlowLabel != first.FlowLabel) {
					t.Errorf("packet %d has flow label %#x, the first has %#x", i, ip.FlowLabel, first.FlowLabel)
				}
				if !is6 && (!ip.DontFragment || i > 1 && ip.ID != next) {
					t.Errorf("packet %d: DF %v, ID %d, want %d", i, ip.DontFragment, ip.ID, next)
				}
				next = uint32(uint16(ip.ID + 1))
			}
		})
	}
}

// What the IP layer can take and give (MMS_R, MMS_S) sets the MSS that is offered and the size of what is sent.
// req: 1122-04
func TestMSSOfTheMTU(t *testing.T) {
	for _, c := range []struct {
		mtu    int
		is6    bool
		wanted uint16
	}{{68, false, 28}, {1280, false, 1240}, {1280, true, 1220}, {1500, false, 1460}, {1500, true, 1440}, {65535, false, 65495}, {65535, true, 65475}} {
		synctest.Test(t, func(t *testing.T) {
			near, far := link.Pair(link.PairConfig{MTU: c.mtu})
			only4 := func(cfg *Config) {
				if c.mtu < 1280 {
					cfg.Addrs = cfg.Addrs[:1]
				}
			}
			w := newWireOn(t, near, far, only4)
			l, err := w.s.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			p := w.peer(c.is6, 80, 4000)
			p.options.MSS = 65535
			p.send(tcpseg.SYN, "")
			s := w.segment()
			if s.Options.MSS != c.wanted {
				t.Errorf("MTU %d, IPv6 %v: MSS %d, want %d", c.mtu, c.is6, s.Options.MSS, c.wanted)
			}
			p.ack, p.options = s.Seq.Add(1), tcpseg.Options{}
			p.send(tcpseg.ACK, "")
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(make([]byte, 70000)); err != nil {
				t.Fatal(err)
			}
			if n := largest(w.recv()); n != c.mtu {
				t.Errorf("MTU %d, IPv6 %v: the largest packet has %d octets", c.mtu, c.is6, n)
			}
		})
	}
}

// What is left to the device is told right. req: TSO-01 TSO-02 TSO-03 TSO-04 TSO-05 TSO-06 TSO-09
// TSO-10 TSO-12 TSO-13 MUST-15
func TestSuperSegments(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			near, far := link.Pair(link.PairConfig{GSO: true})
			w := newWireOn(t, near, far)
			l, err := w.s.Listen("tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			p := w.peer(is6, 80, 4000)
			p.send(tcpseg.SYN, "")
			frames := w.frames()
			p.ack = tcpseg.Seq(binary.BigEndian.Uint32(frames[0].Packet[p.h.Len()+4:])).Add(1)
			p.send(tcpseg.ACK, "")
			c, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			c.Write(make([]byte, 4000))
			data := w.frames()
			if len(data) != 1 {
				t.Fatalf("4000 octets left in %d packets, want 1 super-segment", len(data))
			}
			kind, mss := link.GSOTCPv4, uint16(536) // of a peer that does not say
			if is6 {
				kind, mss = link.GSOTCPv6, 1220
			}
			if f := data[0]; f.GSO != kind || f.GSOSize != mss || int(f.HdrLen) != p.h.Len()+20 {
				t.Errorf("offload %+v", f.Offload)
			}
			c.Write([]byte("small"))
			frames = append(append(frames, data...), w.frames()...)
			p.send(tcpseg.ACK, "x")
			frames = append(frames, w.frames()...)
			c.Abort()
			frames = append(frames, w.frames()...)
			nextID := uint16(0)
			for i, f := range frames {
				ip, r := ippkt.Parse(f.Packet)
				if r != ippkt.ReasonNone {
					t.Fatalf("packet %d: %v", i, r)
				}
				seg, err := tcpseg.Parse(ip.Payload)
				if err != nil {
					t.Fatal(err)
				}
				if !f.NeedsCsum || int(f.CsumStart) != ip.HeaderLen || f.CsumOffset != 16 {
					t.Errorf("packet %d: offload %+v", i, f.Offload)
				}
				want := ippkt.Fold(ippkt.PseudoSum(ip.Src, ip.Dst, ippkt.ProtoTCP, len(ip.Payload)))
				if got := binary.BigEndian.Uint16(ip.Payload[16:]); got != want {
					t.Errorf("packet %d: checksum field %#x, want the pseudo-header's %#x", i, got, want)
				}
				if !is6 && i > 1 && uint16(ip.ID) != nextID {
					t.Errorf("packet %d: ID %d, want %d", i, ip.ID, nextID)
				}
				n := uint16(1)
				if f.GSO != link.GSONone {
					n = uint16((len(seg.Payload) + int(f.GSOSize) - 1) / int(f.GSOSize))
					if seg.Flags&(tcpseg.SYN|tcpseg.RST|tcpseg.URG) != 0 || len(seg.Payload) <= int(f.GSOSize) {
						t.Errorf("packet %d is no super-segment: %v, %d octets", i, seg.Flags, len(seg.Payload))
					}
				}
				nextID = uint16(ip.ID) + n
			}
		})
	}
}

// frames is recv with the offload fields.
func (w *wire) frames() []link.Frame {
	synctest.Wait()
	var all []link.Frame
	for {
		f := link.NewFrame()
		if ok, err := w.far.Read(f); err != nil || !ok {
			return all
		}
		all = append(all, *f)
	}
}

// Many packets in one turn are answered by few ACKs. req: MUST-58 MUST-59 SHLD-19
func TestACKsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		c, p := w.accepted(false, 4000)
		c.lock() // the reader waits for it, and all packets are there when it goes on
		for range 20 {
			p.send(tcpseg.ACK, string(make([]byte, 536)))
		}
		c.unlock()
		acks := w.recv()
		if len(acks) > 3 || len(acks) == 0 {
			t.Errorf("20 segments in one turn were answered by %d packets", len(acks))
			return
		}
		if _, s := w.parse(acks[len(acks)-1]); s.Ack != p.seq {
			t.Errorf("the last ACK is %d, want %d", s.Ack, p.seq)
		}
	})
}

// A dialled connection goes on where its SYN,ACK came in; both addresses of a family work.
func TestQueues(t *testing.T) {
	la, lb := link.Pair(link.PairConfig{Queues: 4})
	a := newStack(t, la, addrA4, addrA6)
	b := newStack(t, lb, addrB4, addrB6, func(c *Config) {
		c.Addrs = append(c.Addrs, netip.MustParsePrefix("10.90.0.3/24"))
	})
	h := &hosts{a, b}
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	l.OnAccept(func(nc net.Conn) {
		c := nc.(*Conn)
		c.OnReadable(func() { echoBack(c) })
	})
	used := map[*queue]bool{}
	for i := range 32 {
		to := addrB4
		if i%2 == 1 {
			to = "10.90.0.3"
		}
		c := dialOrFail(t, h.a, to+":80")
		roundTrip(t, c, "hello")
		used[c.home()] = true
		c.Close()
	}
	if len(used) < 2 {
		t.Error("all connections are on one queue")
	}
}

// A head and the body behind it share their first segment, in order and without a runt between. req: SHLD-28
func TestWriteGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		c, _ := w.accepted(false, 4000)
		head, body := []byte(strings.Repeat("h", 200)), []byte(strings.Repeat("b", 1000))
		if n, err := c.WriteGather(head, body); n != 1200 || err != nil {
			t.Fatal(n, err)
		}
		var got []byte
		var sizes []int
		for _, b := range w.recv() {
			_, s := w.parse(b)
			got = append(got, s.Payload...)
			sizes = append(sizes, len(s.Payload))
		}
		if string(got) != string(head)+string(body) || len(sizes) != 3 || sizes[0] != sizes[1] {
			t.Errorf("segments of %v octets, or wrong ones", sizes)
		}
	})
}

// The ECN bits of new data are those the TCB asks for, cut in software or not; a handshake has none.
// req: SHLD-8 3168-02 3168-09 TSO-17
func TestECNBits(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			l, err := (&ListenConfig{Stack: w.s, Options: &tcb.Options{ECN: true}}).Listen(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			p := w.peer(is6, 80, 4000)
			p.send(tcpseg.SYN|tcpseg.ECE|tcpseg.CWR, "")
			synAck := w.answer()
			ip, s := w.parse(synAck)
			if ip.ECN() != 0 || s.Flags != tcpseg.SYN|tcpseg.ACK|tcpseg.ECE {
				t.Errorf("SYN,ACK %v with codepoint %d", s.Flags, ip.ECN())
			}
			p.ack = s.Seq.Add(1)
			p.send(tcpseg.ACK, "")
			c, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			c.Write(make([]byte, 3001))
			data := w.recv()
			for i, b := range data {
				if ip, _ := w.parse(b); ip.ECN() != 2 || ip.TOS>>2 != 0 {
					t.Errorf("packet %d has TOS %#x", i, ip.TOS)
				}
			}
			if len(data) < 2 {
				t.Errorf("%d packets", len(data))
			}
		})
	}
}

// DSCP and TTL stand on every packet of a connection, its SYN,ACK, retransmissions and RST included, beside the ECN bits,
// and may be changed.
// req: MUST-48 MUST-49 SHLD-21 SHLD-22
func TestDSCPAndTTL(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			l, err := (&ListenConfig{Stack: w.s, Options: &tcb.Options{ECN: true, DSCP: 46, TTL: 1}}).Listen(t.Context(), "tcp", ":80")
			if err != nil {
				t.Fatal(err)
			}
			check := func(dscp, ttl uint8) (n int) {
				t.Helper()
				for _, b := range w.recv() {
					ip, s := w.parse(b)
					if ip.TOS>>2 != dscp || ip.TTL != ttl {
						t.Errorf("%v with DSCP %d and TTL %d, want %d and %d", s.Flags, ip.TOS>>2, ip.TTL, dscp, ttl)
					}
					n++
				}
				return n
			}
			p := w.peer(is6, 80, 4000)
			p.send(tcpseg.SYN|tcpseg.ECE|tcpseg.CWR, "")
			b := w.answer()
			ip, s := w.parse(b)
			if ip.TOS != 46<<2 || ip.TTL != 1 {
				t.Errorf("SYN,ACK with TOS %#x and TTL %d", ip.TOS, ip.TTL)
			}
			p.ack = s.Seq.Add(1)
			p.send(tcpseg.ACK, "")
			c, err := l.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			c.Write(make([]byte, 2000))
			if n := check(46, 1); n < 2 {
				t.Fatalf("%d packets", n)
			}
			time.Sleep(time.Second)
			if check(46, 1) == 0 {
				t.Error("nothing was sent again")
			}
			c.SetDSCP(10)
			c.SetTTL(255)
			p.ack = p.ack.Add(2000)
			p.send(tcpseg.ACK, "")
			w.recv()
			c.Write([]byte("x"))
			data := w.recv()
			if ip, _ := w.parse(data[0]); ip.TOS != 10<<2|2 || ip.TTL != 255 {
				t.Errorf("data with TOS %#x and TTL %d", ip.TOS, ip.TTL)
			}
			c.Abort()
			if check(10, 255) != 1 {
				t.Error("no RST")
			}
		})
	}
}

// A peer that answers nothing is told of after three retransmissions, long before the connection is given up.
// req: MUST-20 MUST-47 SHLD-9 SHLD-10 SHLD-20
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		c, p := w.accepted(false, 4000)
		news := c.SoftErrorNotify()
		c.Write([]byte("x"))
		first := w.answer()
		sent := 0
		for len(news) == 0 && sent < 10 {
			time.Sleep(10 * time.Millisecond)
			sent += len(w.recv())
		}
		if sent < 3 || !c.Info().Stalled {
			t.Errorf("told after %d retransmissions", sent)
		}
		_, s := w.parse(first)
		p.ack = s.Seq.Add(1)
		p.send(tcpseg.ACK, "")
		if w.recv(); c.Info().Stalled {
			t.Error("still stalled although the peer was heard")
		}
		if _, err := c.Write([]byte("y")); err != nil {
			t.Error(err)
		}
		time.Sleep(6 * time.Minute)
		if _, err := c.Write([]byte("z")); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("after R2: %v", err)
		}
	})
}
