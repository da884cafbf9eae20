package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

func syn(port uint16) tcpseg.Header {
	return tcpseg.Header{SrcPort: 4000, DstPort: port, Seq: 0xffffff00, Flags: tcpseg.SYN, Window: 65535}
}

func with(h ippkt.Header, change func(*ippkt.Header)) ippkt.Header {
	change(&h)
	return h
}

// fixSum4 makes the header checksum of an IPv4 packet right again.
func fixSum4(b []byte) []byte {
	n := int(b[0]&15) * 4
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^ippkt.Fold(ippkt.Sum(b[:n], 0)))
	return b
}

// Every packet here is dropped: nothing goes out, nothing comes into being, one counter moves.
// req: V4R-01 V4R-02 V4R-04 V4R-05 V4R-06 V6R-01 V6R-03 V6R-04 MUST-3 MUST-55 MUST-57 MUST-63 P2P-02 P2P-05
// P2P-08 P2P-10 U-03 ST-LI5 1122-02 I4-05 I4-13 UDP-06
func TestHostilePackets(t *testing.T) {
	h4, h6 := header(false, ippkt.ProtoTCP), header(true, ippkt.ProtoTCP)
	src := func(a string) func(*ippkt.Header) { return func(h *ippkt.Header) { h.Src = addr(a) } }
	dst := func(a string) func(*ippkt.Header) { return func(h *ippkt.Header) { h.Dst = addr(a) } }
	tcp4 := func(f func(*ippkt.Header)) []byte { return tcpPacket(with(h4, f), syn(80), "") }
	tcp6 := func(f func(*ippkt.Header)) []byte { return tcpPacket(with(h6, f), syn(80), "") }
	good := func() []byte { return tcpPacket(h4, syn(80), "") }
	udp := func(h ippkt.Header) []byte { return ippkt.AppendUDP(nil, &h, 5, 53, []byte("x")) }
	edit := func(b []byte, f func([]byte)) []byte { f(b); return b }

	cases := []struct {
		name, counter string
		packet        []byte
	}{
		{"version 5", "ip-version", edit(good(), func(b []byte) { b[0] = 0x55 })},
		{"version 0", "ip-version", edit(good(), func(b []byte) { b[0] = 5 })},
		{"version 15", "ip-version", edit(good(), func(b []byte) { b[0] = 0xf5 })},
		{"one octet", "ip-short", []byte{0x45}},
		{"19 octets", "ip-short", good()[:19]},
		{"v6 39 octets", "ip-short", tcp6(func(*ippkt.Header) {})[:39]},
		{"IHL 4", "ip-header-length", edit(good(), func(b []byte) { b[0] = 0x44 })},
		{"IHL past total length", "ip-header-length", edit(good()[:40], func(b []byte) { b[0] = 0x4f; b[3] = 40 })},
		{"total length past end", "ip-total-length", good()[:39]},
		{"v6 payload length past end", "ip-total-length", tcp6(func(*ippkt.Header) {})[:59]},
		{"header checksum", "ip-header-checksum", edit(good(), func(b []byte) { b[8] ^= 1 })},
		{"LAND", "ip-own-source", tcp4(src(addrB4))},
		{"LAND v6", "ip-own-source", tcp6(src(addrB6))},
		{"from 0.0.0.0", "ip-martian-source", tcp4(src("0.0.0.0"))},
		{"from 0.1.2.3", "ip-martian-source", tcp4(src("0.1.2.3"))},
		{"from 127.0.0.1", "ip-martian-source", tcp4(src("127.0.0.1"))},
		{"from broadcast", "ip-martian-source", tcp4(src("255.255.255.255"))},
		{"from directed broadcast", "ip-martian-source", tcp4(src("10.90.0.255"))},
		{"from multicast", "ip-martian-source", tcp4(src("224.0.0.1"))},
		{"from class E", "ip-martian-source", tcp4(src("240.0.0.1"))},
		{"from ::", "ip-martian-source", tcp6(src("::"))},
		{"from ::1", "ip-martian-source", tcp6(src("::1"))},
		{"from ff02::1", "ip-martian-source", tcp6(src("ff02::1"))},
		{"to 127.0.0.1", "ip-martian-destination", tcp4(dst("127.0.0.1"))},
		{"to 0.0.0.0", "ip-martian-destination", tcp4(dst("0.0.0.0"))},
		{"to class E", "ip-martian-destination", tcp4(dst("240.0.0.1"))},
		{"to ::1", "ip-martian-destination", tcp6(dst("::1"))},
		{"to another host", "ip-not-ours", tcp4(dst("10.90.0.77"))},
		{"to another host v6", "ip-not-ours", tcp6(dst("fd90::77"))},
		{"to a link-local address we lack", "ip-not-ours", tcp6(dst("fe80::1"))},
		{"to broadcast", "ip-multicast", tcp4(dst("255.255.255.255"))},
		{"to directed broadcast", "ip-multicast", tcp4(dst("10.90.0.255"))},
		{"to multicast", "ip-multicast", tcp4(dst("224.0.0.1"))},
		{"to ff02::1", "ip-multicast", tcp6(dst("ff02::1"))},
		{"UDP to multicast", "ip-multicast", udp(with(h4, dst("224.0.0.251")))},
		{"UDP to ff02::fb", "ip-multicast", udp(with(h6, dst("ff02::fb")))},
		{"UDP from multicast", "ip-martian-source", udp(with(h4, src("224.0.0.1")))},
		{"TCP of 19 octets", "tcp-short", func() []byte {
			b := good()[:39]
			b[3] = 39
			return fixSum4(b)
		}()},
		{"data offset 4", "tcp-data-offset", edit(good(), func(b []byte) { b[32] = 0x40 })},
		{"data offset past end", "tcp-data-offset", edit(good(), func(b []byte) { b[32] = 0xf0 })},
		{"TCP checksum", "tcp-checksum", edit(good(), func(b []byte) { b[39] ^= 1 })},
		{"v6 TCP checksum", "tcp-checksum", edit(tcp6(func(*ippkt.Header) {}), func(b []byte) { b[59] ^= 1 })},
		{"UDP checksum", "udp-checksum", edit(udp(h4), func(b []byte) { b[28] ^= 1 })},
		{"v6 UDP without checksum", "udp-no-checksum", edit(udp(h6), func(b []byte) { b[46], b[47] = 0, 0 })},
		{"ICMP checksum", "icmp-checksum", edit(echo(h4, 8, "x"), func(b []byte) { b[28] ^= 1 })},
		{"ping to broadcast", "ip-multicast", echo(with(h4, dst("10.90.0.255")), 8, "x")},
		{"router solicitation", "ip-multicast", echo(with(h6, dst("ff02::2")), 133, "")},
		{"router advertisement", "icmp-ignored", echo(h6, 134, "")},
		{"ICMP timestamp", "icmp-ignored", echo(h4, 13, "123456789012")},
		{"ICMP mask", "icmp-ignored", echo(h4, 17, "1234")},
		{"source quench", "icmp-ignored", echo(h4, 4, string(good()[:28]))},
		{"redirect", "icmp-ignored", echo(h4, 5, string(good()[:28]))},
		{"ICMPv6 type 200", "icmp-ignored", echo(h6, 200, "x")},
		{"quote too short", "icmp-quote-short", echo(h4, 3, string(good()[:27]))},
		{"quote of nobody's segment", "icmp-errors-for-no-connection", echo(h4, 3, string(good()[:28]))},
		{"RST to no connection", "tcp-closed", tcpPacket(h4, tcpseg.Header{SrcPort: 1, DstPort: 2, Flags: tcpseg.RST}, "")},
		{"bare FIN to a listener", "tcp-not-listening", tcpPacket(h4, tcpseg.Header{SrcPort: 1, DstPort: 80, Flags: tcpseg.FIN}, "")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				if _, err := w.s.Listen("tcp", ":80"); err != nil {
					t.Fatal(err)
				}
				w.send(c.packet)
				w.silence()
				st := w.s.Stats()
				if st.Drops[c.counter] != 1 || len(st.Drops) != 1 {
					t.Errorf("drops are %v, want one %s", st.Drops, c.counter)
				}
				if st.Conns+st.HalfOpen+st.TimeWait != 0 {
					t.Errorf("state came into being: %+v", st)
				}
			})
		})
	}
}

// Addresses that no segment may come from or go to are refused on a live connection too.
// req: 1122-08 MUST-57 MUST-63
func TestBadAddressesOnAConnection(t *testing.T) {
	for _, c := range []struct{ src, dst string }{
		{"255.255.255.255", addrB4}, {"224.0.0.1", addrB4}, {"10.90.0.255", addrB4}, {"0.0.0.0", addrB4}, {"127.0.0.1", addrB4},
		{addrA4, "255.255.255.255"}, {addrA4, "10.90.0.255"}, {addrA4, "224.0.0.1"},
		{"ff02::1", addrB6}, {"::", addrB6}, {"::1", addrB6}, {addrA6, "ff02::1"},
	} {
		for _, flags := range []tcpseg.Flags{tcpseg.SYN, tcpseg.ACK, tcpseg.FIN | tcpseg.ACK, tcpseg.RST, tcpseg.RST | tcpseg.ACK} {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				if _, err := w.s.Listen("tcp", ":80"); err != nil {
					t.Fatal(err)
				}
				p := w.peer(addr(c.src).Netip().Is6(), 80, 4000)
				p.open()
				p.h.Src, p.h.Dst = addr(c.src), addr(c.dst)
				p.send(flags, "x")
				w.silence()
				if st := w.s.Stats(); st.Conns != 1 || st.Drops["ip-martian-source"]+st.Drops["ip-multicast"] != 1 {
					t.Errorf("%v from %s to %s: %d connections, drops %v", flags, c.src, c.dst, st.Conns, st.Drops)
				}
			})
		}
	}
}

// echo builds an ICMP message of any type.
func echo(h ippkt.Header, typ uint8, body string) []byte {
	return ippkt.AppendICMP(nil, &h, &ippkt.ICMP{Type: typ, Arg: 0x12340007, Body: []byte(body)})
}

// Offload fields that contradict the packet are not believed. req: TUN-R06 TUN-R07
func TestHostileOffloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		near, far := link.Pair(link.PairConfig{GSO: true})
		s := newStack(t, near, addrB4, addrB6)
		w.s, w.far = s, far.Queues()[0]
		good := tcpPacket(header(false, 0), syn(81), "")
		for _, o := range []link.Offload{
			{NeedsCsum: true, CsumStart: 24, CsumOffset: 10},
			{NeedsCsum: true, CsumStart: 20, CsumOffset: 16, GSO: link.GSOTCPv6, GSOSize: 100, HdrLen: 40},
			{NeedsCsum: true, CsumStart: 20, CsumOffset: 16, GSO: link.GSOUDP, GSOSize: 100, HdrLen: 40},
		} {
			w.sendFrame(o, good)
		}
		w.silence()
		if n := w.drops("ip-offload"); n != 3 {
			t.Errorf("%d packets dropped for their offload, want 3", n)
		}
		// What the device vouches for is believed. req: TUN-R01
		bad := append([]byte(nil), good...)
		bad[36] ^= 0xff
		w.sendFrame(link.Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16}, bad)
		if got := w.recv(); len(got) != 1 {
			t.Errorf("%d answers to a packet with its checksum left to do, want 1", len(got))
		}
	})
}

// A segment to a closed port is refused. req: ST-CL1 ST-CL2 ST-CL3 U-04 I4-10 PMTU-01
func TestClosedPort(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			p := w.peer(is6, 81, 4000)
			p.send(tcpseg.SYN, "data")
			ip, s := w.parse(w.answer())
			if s.Flags != tcpseg.RST|tcpseg.ACK || s.Seq != 0 || s.Ack != p.seq || s.SrcPort != 81 || s.DstPort != 4000 {
				t.Errorf("SYN was answered by %+v, want RST,ACK of %d", s.Header, p.seq)
			}
			if ip.Src != p.h.Dst || ip.Dst != p.h.Src || !is6 && !ip.DontFragment {
				t.Errorf("RST in IP header %+v", ip)
			}
			p.ack = 77
			p.send(tcpseg.ACK, "")
			if s := w.segment(); s.Flags != tcpseg.RST || s.Seq != 77 {
				t.Errorf("ACK was answered by %+v, want RST with SEQ 77", s.Header)
			}
			p.send(tcpseg.RST|tcpseg.ACK, "")
			w.silence()
		})
	}
}

// req: V4R-03 V4R-07 V4R-08 V4R-09 V6R-05 V6R-06 MUST-50 OPT4-10
func TestOddButGoodPackets(t *testing.T) {
	h4, h6 := header(false, 0), header(true, 0)
	base := func(h ippkt.Header) []byte { return tcpPacket(h, syn(81), "") }
	withOptions := func() []byte {
		b := base(h4)
		opts := []byte{0x9e, 4, 0, 0, 1, 1, 1, 0} // an unknown option, NOPs, end
		b = append(b[:20:20], append(opts, b[20:]...)...)
		b[0] = 0x47
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return fixSum4(b)
	}
	for name, b := range map[string][]byte{
		"TTL 0":           base(with(h4, func(h *ippkt.Header) { h.TTL = 0 })),
		"TTL 1":           base(with(h4, func(h *ippkt.Header) { h.TTL = 1 })),
		"hop limit 0":     base(with(h6, func(h *ippkt.Header) { h.TTL = 0 })),
		"TOS 0xff":        base(with(h4, func(h *ippkt.Header) { h.TOS = 0xff })),
		"flow label":      base(with(h6, func(h *ippkt.Header) { h.FlowLabel = 0xabcde })),
		"junk at the end": append(base(h4), 1, 2, 3, 4, 5, 6),
		"unknown option":  withOptions(),
		"evil bit":        fixSum4(func() []byte { b := base(h4); b[6] |= 0x80; return b }()),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				w.send(b)
				if s := w.segment(); s.Flags != tcpseg.RST|tcpseg.ACK {
					t.Errorf("answer is %v, want a RST", s.Flags)
				}
			})
		})
	}
}

// req: I4-03 I4-04 I6-08 I6-05 I4-06
func TestEcho(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		for _, size := range []int{0, 1, 56, 1000, 1452} {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				typ, want := uint8(8), uint8(0)
				if is6 {
					typ, want = 128, 129
				}
				body := bytes.Repeat([]byte{0xa5}, size)
				h := header(is6, 0)
				w.send(echo(h, typ, string(body)))
				p, r := ippkt.Parse(w.answer())
				if r != ippkt.ReasonNone || p.Src != h.Dst || p.Dst != h.Src {
					t.Fatalf("reply %+v: %v", p, r)
				}
				m, r := ippkt.ParseICMP(&p, false)
				if r != ippkt.ReasonNone || m.Type != want || m.Arg != 0x12340007 || !bytes.Equal(m.Body, body) {
					t.Errorf("reply to %d octets: %v, type %d, arg %#x, %d octets", size, r, m.Type, m.Arg, len(m.Body))
				}
			})
		}
	}
}

// req: I4-08
func TestEchoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		got := 0
		for range 30 {
			for range 100 {
				w.send(echo(header(false, 0), 8, "x"))
			}
			got += len(w.recv())
		}
		if got != echoRate {
			t.Errorf("%d replies in a second, want %d", got, echoRate)
		}
		if n := w.drops("icmp-echo-limited"); n != 3000-echoRate {
			t.Errorf("%d pings limited, want %d", n, 3000-echoRate)
		}
	})
}

// req: I4-09 I4-11 I4-12 I6-04 I6-09 UDP-05 UDP-11
func TestUDPPortUnreachable(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(t)
			h := header(is6, 0)
			h.TTL = 7
			packet := ippkt.AppendUDP(nil, &h, 0, 53, make([]byte, 1400))
			w.send(packet)
			p, r := ippkt.Parse(w.answer())
			if r != ippkt.ReasonNone || p.Src != h.Dst || p.Dst != h.Src || p.TOS != 0 || p.TTL != 64 {
				t.Fatalf("error message %+v: %v", p, r)
			}
			m, r := ippkt.ParseICMP(&p, false)
			typ, code, limit := uint8(3), uint8(3), 576
			if is6 {
				typ, code, limit = 1, 4, 1280
			}
			if r != ippkt.ReasonNone || m.Type != typ || m.Code != code {
				t.Fatalf("type %d code %d: %v", m.Type, m.Code, r)
			}
			if whole := p.HeaderLen + len(p.Payload); whole != limit {
				t.Errorf("error message of %d octets, want %d", whole, limit)
			}
			if !bytes.Equal(m.Body, packet[:len(m.Body)]) {
				t.Error("the quote is not what was sent")
			}
		})
	}
}

// req: I4-15 I6-07
func TestErrorLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		h := header(false, 0)
		for range 100 {
			w.send(ippkt.AppendUDP(nil, &h, 1, 53, nil))
		}
		if n := len(w.recv()); n != errorRateEach {
			t.Errorf("%d errors to one host in a second, want %d", n, errorRateEach)
		}
		sent := 0
		for i := range 4000 {
			h.Src = ippkt.From4([4]byte{10, 91, byte(i >> 8), byte(i)})
			w.send(ippkt.AppendUDP(nil, &h, 1, 53, nil))
			if i%100 == 0 {
				sent += len(w.recv())
			}
		}
		if sent += len(w.recv()); sent > errorRate || sent < errorRate/2 {
			t.Errorf("%d errors to many hosts in a second, want about %d", sent, errorRate)
		}
	})
}

// req: V4R-12 V6R-10 OPT4-03 I4-22 I4-13
func TestParameterProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		expect := func(typ, code uint8, pointer uint32) {
			t.Helper()
			p, _ := ippkt.Parse(w.answer())
			m, r := ippkt.ParseICMP(&p, false)
			if r != ippkt.ReasonNone || m.Type != typ || m.Code != code || m.Kind == ippkt.KindParamProblem && m.Pointer() != pointer {
				t.Errorf("got type %d code %d pointer %d (%v), want %d %d %d", m.Type, m.Code, m.Pointer(), r, typ, code, pointer)
			}
		}
		h4, h6 := header(false, 253), header(true, 253)
		w.send(append(h4.AppendTo(nil, 4), "junk"...))
		expect(3, 2, 0)
		w.send(append(h6.AppendTo(nil, 4), "junk"...))
		expect(4, 1, 6)
		rr := tcpPacket(h4, syn(80), "")
		rr = append(rr[:20:20], append([]byte{7, 7, 3, 0, 0, 0, 0, 0}, rr[20:]...)...)
		rr[0] = 0x47
		binary.BigEndian.PutUint16(rr[2:], uint16(len(rr)))
		w.send(fixSum4(rr))
		expect(12, 0, 22)
		// The same about a packet to somebody else, or from our own address, is not our business.
		copy(rr[16:], []byte{10, 90, 0, 9})
		w.send(fixSum4(rr))
		copy(rr[16:], []byte{10, 90, 0, 2})
		copy(rr[12:], []byte{10, 90, 0, 2})
		w.send(fixSum4(rr))
		w.silence()
	})
}

// req: P2P-09 V4S-16 V6S-04 V4S-01
func TestConfig(t *testing.T) {
	prefix := netip.MustParsePrefix
	link4 := func(mtu int) []link.Link {
		l, _ := link.Pair(link.PairConfig{MTU: mtu})
		return []link.Link{l}
	}
	for name, cfg := range map[string]Config{
		"no link":             {Addrs: []netip.Prefix{prefix("10.0.0.1/24")}},
		"no address":          {Links: link4(1500)},
		"multicast address":   {Links: link4(1500), Addrs: []netip.Prefix{prefix("224.0.0.1/24")}},
		"loopback address":    {Links: link4(1500), Addrs: []netip.Prefix{prefix("127.0.0.1/8")}},
		"zero prefix":         {Links: link4(1500), Addrs: []netip.Prefix{{}}},
		"MTU below IPv6":      {Links: link4(1279), Addrs: []netip.Prefix{prefix("fd90::2/64")}},
		"ephemeral backwards": {Links: link4(1500), Addrs: []netip.Prefix{prefix("10.0.0.1/24")}, EphemeralPorts: [2]uint16{5, 4}},
		"ephemeral from zero": {Links: link4(1500), Addrs: []netip.Prefix{prefix("10.0.0.1/24")}, EphemeralPorts: [2]uint16{0, 4}},
		"failing randomness":  {Links: link4(1500), Addrs: []netip.Prefix{prefix("10.0.0.1/24")}, Rand: bytes.NewReader(nil)},
	} {
		if s, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			s.Close()
		}
	}
	// Both addresses of a /31 are hosts.
	synctest.Test(t, func(t *testing.T) {
		near, far := link.Pair(link.PairConfig{MTU: 68})
		s, err := New(Config{Links: []link.Link{near}, Addrs: []netip.Prefix{prefix("10.90.0.2/31")}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		w := &wire{t: t, s: s, far: far.Queues()[0], frame: link.NewFrame()}
		w.send(echo(with(header(false, 0), func(h *ippkt.Header) { h.Src = addr("10.90.0.3") }), 8, "x"))
		w.answer()
	})
}
