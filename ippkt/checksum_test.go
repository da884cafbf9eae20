package ippkt

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// reference is the definition (RFC 1071 §1), word by word.
func reference(b []byte, initial uint16) uint16 {
	s := uint64(initial)
	for i, c := range b {
		if i%2 == 0 {
			s += uint64(c) << 8
		} else {
			s += uint64(c)
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumExample(t *testing.T) {
	// req: CK-01: the example of RFC 1071 §3
	if got := Fold(Sum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0)); got != 0xddf2 {
		t.Errorf("sum = %#x, want 0xddf2", got)
	}
	for _, tt := range []struct {
		b    []byte
		want uint16
	}{{nil, 0}, {[]byte{1}, 0x0100}, {[]byte{1, 2}, 0x0102}, {[]byte{1, 2, 3}, 0x0402}} {
		if got := Fold(Sum(tt.b, 0)); got != tt.want {
			t.Errorf("sum of % x = %#x, want %#x", tt.b, got, tt.want)
		}
	}
}

func TestSumAgainstReference(t *testing.T) {
	// req: CK-01, CK-03
	r := rand.New(rand.NewPCG(3, 3))
	buf := make([]byte, 65536+16)
	for i := range buf {
		buf[i] = byte(r.Uint32())
	}
	check := func(b []byte, initial uint16) {
		t.Helper()
		if got, want := Fold(Sum(b, uint32(initial))), reference(b, initial); got != want {
			t.Fatalf("%d octets from %#x: %#x, want %#x", len(b), initial, got, want)
		}
	}
	for n := range 300 {
		for align := range 8 {
			check(buf[align:align+n], uint16(r.Uint32()))
		}
	}
	for range 200 {
		align := r.IntN(16)
		check(buf[align:align+r.IntN(65536)], uint16(r.Uint32()))
	}
	ones := bytes.Repeat([]byte{0xff}, 65535)
	for _, n := range []int{1, 7, 8, 63, 64, 65, 127, 128, 65534, 65535} {
		check(ones[:n], 0)
		check(ones[:n], 0xffff)
	}
}

func TestFoldTakesAnySum(t *testing.T) {
	for _, s := range []uint32{0, 1, 0xffff, 0x10000, 0x1fffe, 0x1ffff, 0xffff0000, 0xfffffffe, 0xffffffff} {
		want := uint64(s)
		for want > 0xffff {
			want = want>>16 + want&0xffff
		}
		if Fold(s) != uint16(want) {
			t.Errorf("Fold(%#x) = %#x, want %#x", s, Fold(s), want)
		}
	}
}

func TestCombine(t *testing.T) {
	// req: CK-05
	r := rand.New(rand.NewPCG(4, 4))
	b := pattern(1501)
	whole := Fold(Sum(b, 0))
	for range 2000 {
		i := r.IntN(len(b) + 1)
		j := i + r.IntN(len(b)+1-i)
		s := Combine(Sum(b[:i], 0), Sum(b[i:j], 0), i)
		s = Combine(s, Sum(b[j:], 0), j)
		if Fold(s) != whole {
			t.Fatalf("split at %d and %d: %#x, want %#x", i, j, Fold(s), whole)
		}
	}
}

func TestTransportChecksum(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	data := pattern(3001)
	for range 2000 {
		hdr := data[:20+4*r.IntN(11)]
		var payload [4][]byte
		all := bytes.Clone(hdr)
		for i := range payload {
			at := r.IntN(len(data))
			payload[i] = data[at : at+r.IntN(min(100, len(data)-at))]
			all = append(all, payload[i]...)
		}
		pseudo := PseudoSum(a6, b6, ProtoTCP, len(all))
		if got, want := TransportChecksum(hdr, &payload, pseudo), ^reference(all, Fold(pseudo)); got != want {
			t.Fatalf("pieces of %d, %d, %d, %d: %#x, want %#x",
				len(payload[0]), len(payload[1]), len(payload[2]), len(payload[3]), got, want)
		}
	}
	// req: CK-08: a zero stays for TCP.
	if got := TransportChecksum([]byte{0xff, 0xff}, &[4][]byte{}, 0); got != 0 {
		t.Errorf("checksum = %#x, want 0", got)
	}
}

// TestBothZeros makes a segment whose right checksum is 0: 0xffff, the other
// zero of one's complement, verifies as well, and nothing else does.
func TestBothZeros(t *testing.T) {
	// req: CK-04, CK-08
	for _, f := range families {
		h := Header{Src: f.src, Dst: f.dst, Proto: ProtoTCP, TTL: 64}
		tcp := unhex(t, tcp20+"0000")
		pseudo := PseudoSum(f.src, f.dst, ProtoTCP, len(tcp))
		fill := TransportChecksum(tcp, &[4][]byte{}, pseudo)
		tcp[20], tcp[21] = byte(fill>>8), byte(fill)
		if got := TransportChecksum(tcp, &[4][]byte{}, pseudo); got != 0 {
			t.Fatalf("v%d: checksum %#x, want 0", f.version, got)
		}
		p := mustParse(t, append(h.AppendTo(nil, len(tcp)), tcp...))
		for field := range 1 << 16 {
			p.Payload[16], p.Payload[17] = byte(field>>8), byte(field)
			if want := field == 0 || field == 0xffff; p.ChecksumOK() != want {
				t.Fatalf("v%d: checksum %#x accepted: %v", f.version, field, !want)
			}
		}
	}
}

func TestPseudoSum(t *testing.T) {
	// req: CK-02
	for _, tt := range []struct {
		src, dst Addr
		proto    uint8
		length   int
		header   string
	}{
		{a4, b4, ProtoTCP, 21, "0a5a0001 0a5a0002 00 06 0015"},
		{a4, b4, ProtoUDP, 65515, "0a5a0001 0a5a0002 00 11 ffeb"},
		{a6, b6, ProtoICMPv6, 8, "fd90000000000000 0000000000000001 fd90000000000000 0000000000000002 00000008 000000 3a"},
		{a6, b6, ProtoTCP, 70001, "fd90000000000000 0000000000000001 fd90000000000000 0000000000000002 00011171 000000 06"},
	} {
		if got, want := Fold(PseudoSum(tt.src, tt.dst, tt.proto, tt.length)), reference(unhex(t, tt.header), 0); got != want {
			t.Errorf("%v > %v, %d octets: %#x, want %#x", tt.src, tt.dst, tt.length, got, want)
		}
	}
}

func TestFinishPartial(t *testing.T) {
	// req: TUN-R05, CK-07
	for _, h := range []Header{{Src: a4, Dst: b4}, {Src: a6, Dst: b6}} {
		for _, n := range []int{0, 1, 2, 999} {
			h.Proto = ProtoTCP
			b := h.AppendTo(nil, 20+n)
			start := len(b)
			b = append(append(b, make([]byte, 20)...), pattern(n)...)
			b[start+12] = 5 << 4
			partial := Fold(PseudoSum(h.Src, h.Dst, ProtoTCP, 20+n))
			b[start+16], b[start+17] = byte(partial>>8), byte(partial)
			if !FinishPartial(b, start, 16) {
				t.Fatal("refused")
			}
			if p := mustParse(t, b); !p.ChecksumOK() {
				t.Errorf("%v, %d octets: checksum is wrong afterwards", h.Dst, n)
			}
		}
	}
}

func TestFinishPartialZero(t *testing.T) {
	// req: CK-08, TUN-R05: the sum of the octets is 0xffff, so the checksum would be 0.
	b := []byte{0xff, 0xff, 0, 0, 0, 0, 0, 0}
	if !FinishPartial(b, 0, udpChecksumOffset) || b[6] != 0xff || b[7] != 0xff {
		t.Errorf("UDP: % x", b)
	}
	b = make([]byte, 20)
	b[0], b[1] = 0xff, 0xff
	if !FinishPartial(b, 0, 16) || b[16]|b[17] != 0 {
		t.Errorf("TCP: % x", b)
	}
}

func TestFinishPartialOutside(t *testing.T) {
	// req: TUN-R06
	for _, at := range [][2]int{{-1, 16}, {0, -1}, {0, 19}, {20, 0}, {4, 15}, {1 << 62, 1 << 62}} {
		b := pattern(20)
		if FinishPartial(b, at[0], at[1]) || !bytes.Equal(b, pattern(20)) {
			t.Errorf("start %d, offset %d: accepted", at[0], at[1])
		}
	}
	if b := pattern(20); !FinishPartial(b, 2, 16) {
		t.Error("the last two octets: refused")
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 40, 1460, 65535} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := pattern(n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Sum(p, 0)
			}
		})
	}
}
