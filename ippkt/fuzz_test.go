package ippkt

import (
	"bytes"
	"testing"
)

// seeds are packets of every sort.
func seeds(f *testing.F) [][]byte {
	var all [][]byte
	for _, fam := range families {
		h := Header{Src: fam.src, Dst: fam.dst, TTL: 64}
		udp := AppendUDP(nil, &h, 53, 54, pattern(40))
		all = append(all, udp,
			AppendICMP(nil, &h, &ICMP{Type: fam.echo, Arg: 1, Body: pattern(9)}),
			AppendError(nil, &h, PortUnreachable(fam.version), udp))
	}
	return append(all,
		packet4(Header{Proto: ProtoTCP}, unhex(f, "0707 04 00000000 01 9e04ffff 4408 05 00 00000000"), pattern(40)),
		packet4(Header{Proto: ProtoTCP, MoreFragments: true}, nil, pattern(40)),
		packet6(0, unhex(f, "3c"+dstOpts8+"2b"+dstOpts8+"2c 00 fd 00 00000000 06 00 0001 00000001"+tcp20+"00000000")),
		packet6(60, unhex(f, "06 00 de04 00000000"+tcp20)),
		packet6(44, unhex(f, "06 00 0009 00000001"+tcp20+"00000000")))
}

// FuzzParse feeds any octets: a packet or a reason, never a panic, and nothing
// that points outside the buffer (req: V4R-02, V6R-01, OPT4-01).
func FuzzParse(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fixChecksum(b)
		kept := bytes.Clone(b)
		p, r := Parse(b)
		checkAnswer(t, b, &p, r)
		if r != ReasonNone {
			return
		}
		if p.HeaderLen+len(p.Payload) > len(b) || !bytes.Equal(p.Payload, b[p.HeaderLen:p.HeaderLen+len(p.Payload)]) {
			t.Fatalf("payload outside the packet: %+v", p)
		}
		if b[p.ProtoAt] != p.Proto {
			t.Fatalf("octet %d is not protocol %d", p.ProtoAt, p.Proto)
		}
		if p.Version == 6 && (p.Src.Is4() || p.Dst.Is4()) || p.Version == 4 && !(p.Src.Is4() && p.Dst.Is4()) {
			t.Fatalf("addresses of the other version: %+v", p)
		}
		if p.IsFragment() {
			checkFragment(t, b, &p)
		} else {
			ParseUDP(&p, false)
			if m, r := ParseICMP(&p, true); r == ReasonNone && m.Kind.IsError() {
				ParseQuote(&m)
			}
		}
		if !bytes.Equal(kept, b) {
			t.Fatal("parsing changed the packet")
		}
	})
}

// fixChecksum lets mutated IPv4 headers through, which would else all fail there.
func fixChecksum(b []byte) {
	if len(b) >= 20 && b[0]>>4 == 4 {
		if n := int(b[0]&15) * 4; n >= 20 && n <= len(b) {
			setChecksum4(b[:n])
		}
	}
}

// checkAnswer sees to it that a Problem points into the packet, and that its
// answer is itself a good packet within its limit.
func checkAnswer(t *testing.T, b []byte, p *Packet, r Reason) {
	t.Helper()
	if !p.Problem.Answer {
		return
	}
	if r == ReasonNone || int(p.Problem.Pointer) >= len(b) {
		t.Fatalf("%v with problem %+v in %d octets", r, p.Problem, len(b))
	}
	e := ParameterProblem(p)
	if !e.Allowed(p) {
		return
	}
	h := Header{Src: p.Dst, Dst: p.Src, TTL: 64}
	out := AppendError(nil, &h, e, b)
	q, r := Parse(out)
	if limit := map[uint8]int{4: 576, 6: 1280}[p.Version]; r != ReasonNone || len(out) > limit {
		t.Fatalf("answer of %d octets: %v", len(out), r)
	}
	if m, r := ParseICMP(&q, false); r != ReasonNone || m.Kind != KindParamProblem || m.Pointer() != p.Problem.Pointer {
		t.Fatalf("answer reads %v %+v", r, m)
	}
}

// checkFragment sees to it that a first fragment's header becomes that of a whole packet.
func checkFragment(t *testing.T, b []byte, p *Packet) {
	t.Helper()
	if p.HeaderLen+p.FragOffset+len(p.Payload) > maxLen16+IPv6HeaderLen+fragHeaderLen {
		t.Fatalf("fragment beyond every packet: %+v", p)
	}
	if p.FragOffset != 0 {
		return
	}
	whole := append(AppendReassembled(nil, b[:p.HeaderLen], len(p.Payload), p.ECN()), p.Payload...)
	q, _ := Parse(whole)
	if q.IsFragment() && p.Version == 4 || q.Src != p.Src || q.Dst != p.Dst || q.TOS != p.TOS {
		t.Fatalf("reassembled to %+v", q)
	}
}

// FuzzQuote feeds any octets as the quote of an ICMP error (req: I4-17, I6-13).
func FuzzQuote(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b[0]>>4, b)
	}
	f.Fuzz(func(t *testing.T, version uint8, b []byte) {
		q, r := ParseQuote(&ICMP{Version: version, Body: b})
		if r != ReasonNone {
			return
		}
		if q.Version != version || len(q.Transport) < quoteMin || !bytes.HasSuffix(b, q.Transport) {
			t.Fatalf("%+v", q)
		}
		q.SrcPort()
		q.DstPort()
		q.TCPSeq()
	})
}

// FuzzSegmentTCP cuts any octets: an error, or packets that are all in order.
func FuzzSegmentTCP(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b, 8)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		fixChecksum(b)
		if len(b) > 4096 {
			return
		}
		n := 0
		SegmentTCP(nil, b, size, func(s []byte) error {
			p := mustParse(t, s)
			if !p.ChecksumOK() {
				t.Fatalf("wrong checksum in % x", s)
			}
			n += len(p.Payload) - int(p.Payload[12]>>4)*4
			return nil
		})
		if p, r := Parse(b); r == ReasonNone && n > len(p.Payload) {
			t.Fatalf("%d octets of payload cut from %d", n, len(p.Payload))
		}
	})
}

// FuzzSum compares the sum, split anywhere, with its definition (req: CK-01, CK-05).
func FuzzSum(f *testing.F) {
	f.Add([]byte("odd"), uint16(0xffff), 1)
	f.Add(bytes.Repeat([]byte{0xff}, 200), uint16(1), 77)
	f.Fuzz(func(t *testing.T, b []byte, initial uint16, split int) {
		want := reference(b, initial)
		if got := Fold(Sum(b, uint32(initial))); got != want {
			t.Fatalf("%#x, want %#x", got, want)
		}
		if split >= 0 && split <= len(b) {
			if got := Fold(Combine(Sum(b[:split], uint32(initial)), Sum(b[split:], 0), split)); got != want {
				t.Fatalf("split at %d: %#x, want %#x", split, got, want)
			}
		}
	})
}
