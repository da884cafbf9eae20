package ippkt

import "testing"

func TestNoAllocation(t *testing.T) {
	f4, f6 := families[0], families[1]
	buf, scratch := make([]byte, 0, 70000), make([]byte, 0, 2048)
	echo4 := AppendICMP(nil, &Header{Src: f4.src, Dst: f4.dst}, &ICMP{Type: f4.echo, Body: pattern(56)})
	echo6 := AppendICMP(nil, &Header{Src: f6.src, Dst: f6.dst}, &ICMP{Type: f6.echo, Body: pattern(56)})
	udp := AppendUDP(nil, &Header{Src: f4.src, Dst: f4.dst}, 1, 2, pattern(56))
	options := packet4(Header{Proto: ProtoTCP}, []byte{7, 7, 4, 0, 0, 0, 0}, pattern(20))
	chain := packet6(60, unhex(t, "2c"+dstOpts8+"06 00 0000 00000001"+tcp20))
	refused := packet6(60, unhex(t, "06 00 de04 00000000"))
	super, junk := superPacket(t, f4, tcpACK, 30000), pattern(30)
	for name, do := range map[string]func(){
		"parse": func() {
			for _, b := range [][]byte{options, chain, refused, nil, junk} {
				p, _ := Parse(b)
				p.Martian()
			}
		},
		"echo": func() {
			for _, b := range [][]byte{echo4, echo6} {
				p, _ := Parse(b)
				m, _ := ParseICMP(&p, false)
				AppendEchoReply(buf, &Header{Src: p.Dst, Dst: p.Src, TTL: 64}, &m)
			}
		},
		"udp and error": func() {
			p, _ := Parse(udp)
			u, _ := ParseUDP(&p, false)
			AppendUDP(buf, &Header{Src: p.Dst, Dst: p.Src, TTL: 64}, u.DstPort, u.SrcPort, u.Payload)
			e := PortUnreachable(4)
			if e.Allowed(&p) {
				b := AppendError(buf, &Header{Src: p.Dst, Dst: p.Src, TTL: 64}, e, udp)
				p, _ = Parse(b)
				m, _ := ParseICMP(&p, false)
				ParseQuote(&m)
			}
		},
		"header and checksum": func() {
			h := Header{Src: f6.src, Dst: f6.dst, Proto: ProtoTCP, TTL: 64}
			b := h.AppendTo(buf, 20)
			TransportChecksum(b, &[4][]byte{super[:1001], super[3:777]}, PseudoSum(h.Src, h.Dst, h.Proto, 20))
		},
		"segment": func() { SegmentTCP(scratch, super, 1448, func([]byte) error { return nil }) },
	} {
		if n := testing.AllocsPerRun(50, do); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for name, p := range map[string][]byte{
		"v4": packet4(Header{Proto: ProtoTCP}, nil, pattern(32)),
		"v6": packet6(ProtoTCP, pattern(32)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, r := Parse(p); r != ReasonNone {
					b.Fatal(r)
				}
			}
		})
	}
}

func BenchmarkAppendTo(b *testing.B) {
	for _, f := range families {
		h := Header{Src: f.src, Dst: f.dst, Proto: ProtoTCP, TTL: 64}
		buf := make([]byte, 0, 64)
		b.Run(f.src.String(), func(b *testing.B) {
			for b.Loop() {
				buf = h.AppendTo(buf[:0], 1000)
			}
		})
	}
}
