package ippkt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

const (
	tcpACK  = 0x10
	tcpOpts = "0101 080a 00000001 00000002"
)

// superPacket builds a TCP super-segment as the device takes it: the checksum
// field holds only the pseudo-header's part.
func superPacket(t *testing.T, f family, flags byte, n int) []byte {
	h := Header{Src: f.src, Dst: f.dst, Proto: ProtoTCP, TTL: 64, TOS: 2, DontFragment: true, ID: 0xfffe, FlowLabel: 77}
	tcp := unhex(t, "0050 3039 fffffff0 00000002 8010 ffff 0000 0007"+tcpOpts)
	tcp[tcpFlagsAt] = flags
	binary.BigEndian.PutUint16(tcp[16:], Fold(PseudoSum(f.src, f.dst, ProtoTCP, len(tcp)+n)))
	return append(append(h.AppendTo(nil, len(tcp)+n), tcp...), pattern(n)...)
}

func TestSegmentTCP(t *testing.T) {
	const all = tcpFIN | tcpPSH | tcpACK | tcpCWR
	for _, f := range families {
		for _, tt := range []struct{ n, gso, segments int }{
			{0, 1448, 1}, {1, 1448, 1}, {1448, 1448, 1}, {1449, 1448, 2}, {10000, 1448, 7}, {65000, 1000, 65}, {3000, 0, 1}, {7, 1, 7},
		} {
			super := superPacket(t, f, all, tt.n)
			kept := bytes.Clone(super)
			var data []byte
			i := 0
			err := SegmentTCP(make([]byte, 0, 2048), super, tt.gso, func(b []byte) error {
				p := mustParse(t, b) // req: TSO-02
				tcp := p.Payload
				if !p.ChecksumOK() { // req: TSO-05
					t.Errorf("v%d %+v: segment %d has a wrong checksum", f.version, tt, i)
				}
				if f.version == 4 && (p.ID != uint32(uint16(0xfffe+i)) || !p.DontFragment) { // req: TSO-03
					t.Errorf("segment %d: id %#x, DF %v", i, p.ID, p.DontFragment)
				}
				if p.TOS != 2 || f.version == 6 && p.FlowLabel != 77 { // req: TSO-17
					t.Errorf("segment %d: TOS %d, flow label %d", i, p.TOS, p.FlowLabel)
				}
				if got, want := binary.BigEndian.Uint32(tcp[4:]), uint32(0xfffffff0+uint64(i*tt.gso)); got != want { // req: TSO-06
					t.Errorf("segment %d: SEQ %#x, want %#x", i, got, want)
				}
				if !bytes.Equal(tcp[20:32], unhex(t, tcpOpts)) || !bytes.Equal(tcp[8:12], super[p.HeaderLen+8:p.HeaderLen+12]) { // req: TSO-06
					t.Errorf("segment %d: options or ACK changed: % x", i, tcp[:32])
				}
				want := byte(tcpACK)
				if i == 0 {
					want |= tcpCWR // req: TSO-08
				}
				if i == tt.segments-1 {
					want |= tcpFIN | tcpPSH // req: TSO-07
				}
				if tcp[tcpFlagsAt] != want {
					t.Errorf("segment %d of %d: flags %#x, want %#x", i, tt.segments, tcp[tcpFlagsAt], want)
				}
				data = append(data, tcp[32:]...)
				i++
				return nil
			})
			if err != nil || i != tt.segments || !bytes.Equal(data, pattern(tt.n)) { // req: TSO-11
				t.Errorf("v%d %+v: %v, %d segments, %d octets", f.version, tt, err, i, len(data))
			}
			if !bytes.Equal(super, kept) {
				t.Errorf("v%d: the super-segment was changed", f.version)
			}
		}
	}
}

func TestSegmentTCPErrors(t *testing.T) {
	good := superPacket(t, families[0], tcpACK, 3000)
	never := func([]byte) error { t.Error("emitted"); return nil }
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		setChecksum4(b[:20])
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"cut off":             good[:100],
		"UDP":                 change(9, ProtoUDP),
		"fragment":            change(6, 0x20),
		"data offset 4":       change(32, 0x40),
		"header past the end": superPacket(t, families[0], tcpACK, 0)[:45],
	} {
		if err := SegmentTCP(nil, b, 1448, never); !errors.Is(err, ErrSegment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := SegmentTCP(nil, good, -1, never); !errors.Is(err, ErrSegment) {
		t.Errorf("gso size -1: %v", err)
	}
	stop := errors.New("stop")
	n := 0
	if err := SegmentTCP(nil, good, 1448, func([]byte) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("after an error: %v, %d emitted", err, n)
	}
}

// TestSegmentTCPHead: what is known of a super-segment's start is what its packets start with, wherever it ends.
func TestSegmentTCPHead(t *testing.T) {
	const n, gso = 10_000, 1448
	for _, f := range families {
		whole := superPacket(t, f, tcpFIN|tcpPSH|tcpACK|tcpCWR, n)
		headers := len(whole) - n
		var packets [][]byte
		if err := SegmentTCP(nil, whole, gso, func(b []byte) error { packets = append(packets, bytes.Clone(b)); return nil }); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{headers, headers + 1, 256, headers + gso, headers + gso + 1, 5000, len(whole) - 1, len(whole)} {
			head, i := whole[:size], 0
			kept := bytes.Clone(head)
			err := SegmentTCPHead(nil, head, len(whole), gso, func(b []byte, length int) error {
				want := packets[i]
				known := min(max(size-headers-i*gso, 0), len(want)-headers)
				if length != len(want) || len(b) != headers+known {
					t.Fatalf("v%d, %d octets: packet %d has %d of %d octets, want %d of %d", f.version, size, i, len(b), length, headers+known, len(want))
				}
				at := headers - 32 + 16
				if len(b) < length { // the sum of the pseudo-header, which whoever has the rest can finish
					finished := append(bytes.Clone(b), want[len(b):]...)
					FinishPartial(finished, headers-32, tcpChecksumOffset)
					b, want = finished[at:at+2], want[at:at+2]
				}
				if !bytes.Equal(b, want) {
					t.Errorf("v%d, %d octets: packet %d is\n% x, want\n% x", f.version, size, i, b, want)
				}
				i++
				return nil
			})
			if err != nil || i != len(packets) {
				t.Errorf("v%d, %d octets: %v, %d packets", f.version, size, err, i)
			}
			if !bytes.Equal(head, kept) {
				t.Errorf("v%d: the head was changed", f.version)
			}
		}
		for _, size := range []int{0, 1, 20, 39, headers - 1} {
			if err := SegmentTCPHead(nil, whole[:size], len(whole), gso, nil); !errors.Is(err, ErrSegment) {
				t.Errorf("v%d, a head of %d octets: %v", f.version, size, err)
			}
		}
		if err := SegmentTCPHead(nil, whole, len(whole)-1, gso, nil); !errors.Is(err, ErrSegment) {
			t.Errorf("a head beyond the whole: %v", err)
		}
	}
}

func TestFragmentAndReassemble(t *testing.T) {
	// req: V4S-11, FR6-11, RE4-14, FR6-09
	for _, f := range families {
		for _, tt := range []struct{ n, mtu, room4, room6 int }{
			{100, 1500, 1480, 1448}, {1400, 1500, 1480, 1448}, {4000, 1280, 1256, 1232}, {60000, 1500, 1480, 1448}, {100, 64, 40, 16},
		} {
			room := tt.room4
			if f.version == 6 {
				room = tt.room6
			}
			h := Header{Src: f.src, Dst: f.dst, TTL: 9, TOS: 0xb8, FlowLabel: 5}
			whole := AppendICMP(nil, &h, &ICMP{Type: f.echo, Arg: 1, Body: pattern(tt.n)})
			var first, data []byte
			i := 0
			err := Fragment(nil, whole, tt.mtu, 0x12345678, func(b []byte) error {
				p := mustParse(t, b)
				if len(b) > tt.mtu || p.FragOffset != len(data) || p.TTL != 9 || p.TOS != 0xb8 {
					t.Errorf("v%d %+v: fragment %d of %d octets: %+v", f.version, tt, i, len(b), p)
				}
				if id := p.ID; p.IsFragment() && id != 0x12345678 && (f.version == 6 || id != 0x5678) {
					t.Errorf("v%d: id %#x", f.version, id)
				}
				if i == 0 {
					first = bytes.Clone(b[:p.HeaderLen])
				}
				data = append(data, p.Payload...)
				if i++; p.MoreFragments != (len(data) < len(whole)-h.Len()) {
					t.Errorf("v%d: more %v after %d octets", f.version, p.MoreFragments, len(data))
				}
				return nil
			})
			if want := (ICMPHeaderLen + tt.n + room - 1) / room; err != nil || i != want {
				t.Errorf("v%d %+v: %v, %d fragments, want %d", f.version, tt, err, i, want)
			}
			if i == 1 {
				continue
			}
			back := append(AppendReassembled([]byte("x"), first, len(data), 0), data...)[1:]
			if f.version == 4 { // The identification may stay.
				back[4], back[5] = whole[4], whole[5]
				setChecksum4(back[:20])
			}
			if !bytes.Equal(back, whole) {
				t.Errorf("v%d %+v: reassembled differently:\n% x\n% x", f.version, tt, back[:60], whole[:60])
			}
		}
	}
}

func TestFragmentErrors(t *testing.T) {
	never := func([]byte) error { t.Error("emitted"); return nil }
	df := packet4(Header{DontFragment: true}, nil, pattern(1000))
	for name, b := range map[string][]byte{
		"DF":         df, // req: V4S-08
		"options":    packet4(Header{}, []byte{1, 1, 1, 1}, pattern(1000)),
		"a fragment": packet4(Header{MoreFragments: true}, nil, pattern(1000)),
		"extensions": packet6(60, append(unhex(t, "11"+dstOpts8), pattern(1000)...)),
		"junk":       pattern(1000),
	} {
		if err := Fragment(nil, b, 600, 1, never); !errors.Is(err, ErrFragment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Fragment(nil, packet4(Header{}, nil, pattern(1000)), 27, 1, never); !errors.Is(err, ErrFragment) {
		t.Errorf("MTU 27: %v", err)
	}
	stop := errors.New("stop")
	if err := Fragment(nil, packet4(Header{}, nil, pattern(1000)), 600, 1, func([]byte) error { return stop }); err != stop {
		t.Errorf("error of emit: %v", err)
	}
}

func TestAppendReassembledBehindExtensions(t *testing.T) {
	// req: FR6-09: options before the Fragment header stay and name its successor; an
	// atomic one before the last is no concern of reassembly.
	b := packet6(60, unhex(t, "2c"+dstOpts8+"11 00 0001 00000001"+"0001 0002 0010 0000 0000000000000000"))
	p := mustParse(t, b)
	out := AppendReassembled(nil, b[:p.HeaderLen], 100, 3)
	if want := unhex(t, "11"+dstOpts8); !bytes.Equal(out[40:], want) || len(out) != 48 {
		t.Errorf("extensions % x, want % x", out[40:], want)
	}
	if out[6] != 60 || binary.BigEndian.Uint16(out[4:]) != 108 {
		t.Errorf("header % x", out[:8])
	}
	if p := mustParse(t, append(out, make([]byte, 100)...)); p.ECN() != 3 || p.TOS != 3 || p.Proto != ProtoUDP {
		t.Errorf("parsed %+v", p)
	}
	// req: RE4-14: IPv4 options of the first fragment stay, as does DF.
	b = packet4(Header{Proto: ProtoUDP, MoreFragments: true, DontFragment: true, TOS: 0xb9}, unhex(t, "9e04ffff"), pattern(16))
	out = append(AppendReassembled(nil, b[:24], 3000, 3), make([]byte, 3000)...)
	if p := mustParse(t, out); p.TOS != 0xbb || p.IsFragment() || !p.DontFragment || len(p.Payload) != 3000 || !bytes.Equal(p.Options, unhex(t, "9e04ffff")) {
		t.Errorf("parsed %+v", p)
	}
}

func TestECNOfFragments(t *testing.T) {
	// req: RE4-15: Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3; -1: drop.
	want := [4][4]int{
		{0, 0, 0, -1},
		{1, 1, 1, 3},
		{2, 2, 2, 3},
		{-1, 3, 3, 3},
	}
	for first := range uint8(4) {
		for second := range uint8(4) {
			var s ECNSet
			s.Add(first)
			s.Add(second)
			got, ok := s.Result(first)
			if w := want[first][second]; ok != (w >= 0) || ok && int(got) != w {
				t.Errorf("%d and %d: %d, %v; want %d", first, second, got, ok, w)
			}
		}
	}
}
