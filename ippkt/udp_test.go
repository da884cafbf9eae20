package ippkt

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestUDP(t *testing.T) {
	for _, f := range families {
		for _, n := range []int{0, 1, 2, 511, 65507} { // req: UDP-15
			h := Header{Src: f.src, Dst: f.dst, TTL: 64}
			p := mustParse(t, AppendUDP(nil, &h, 53, 0, pattern(n)))
			u, r := ParseUDP(&p, false)
			if r != ReasonNone || p.Proto != ProtoUDP || u.SrcPort != 53 || u.DstPort != 0 || !bytes.Equal(u.Payload, pattern(n)) {
				t.Errorf("v%d, %d octets: %v", f.version, n, r)
			}
			p.Payload[len(p.Payload)-1] ^= 1
			if _, r := ParseUDP(&p, false); r != ReasonUDPChecksum && n > 0 { // req: UDP-02
				t.Errorf("v%d, %d octets, last one changed: %v", f.version, n, r)
			}
			if _, r := ParseUDP(&p, true); r != ReasonNone {
				t.Errorf("v%d, checksum vouched for: %v", f.version, r)
			}
		}
	}
}

func TestUDPLengths(t *testing.T) {
	// req: UDP-01
	for _, f := range families {
		for _, tt := range []struct {
			length int
			want   Reason
		}{{0, ReasonUDPLen}, {7, ReasonUDPLen}, {8, ReasonNone}, {17, ReasonNone}, {18, ReasonNone}, {19, ReasonUDPLen}, {65535, ReasonUDPLen}} {
			h := Header{Src: f.src, Dst: f.dst, TTL: 64}
			p := mustParse(t, AppendUDP(nil, &h, 1, 2, pattern(10)))
			b := p.Payload
			binary.BigEndian.PutUint16(b[4:], uint16(tt.length))
			if tt.want == ReasonNone {
				b[6], b[7] = 0, 0
				sum := ^Fold(Sum(b[:tt.length], PseudoSum(f.src, f.dst, ProtoUDP, tt.length)))
				binary.BigEndian.PutUint16(b[6:], sum)
			}
			u, r := ParseUDP(&p, false)
			if r != tt.want || r == ReasonNone && len(u.Payload) != tt.length-8 {
				t.Errorf("v%d, length %d of 18: %v, payload of %d", f.version, tt.length, r, len(u.Payload))
			}
		}
		p := Packet{Version: f.version, Payload: make([]byte, 7)}
		if _, r := ParseUDP(&p, true); r != ReasonUDPShort {
			t.Errorf("v%d, 7 octets: %v", f.version, r)
		}
	}
}

func TestUDPWithoutChecksum(t *testing.T) {
	// req: UDP-02, UDP-03
	for i, want := range []Reason{ReasonNone, ReasonUDPNoChecksum} {
		f := families[i]
		h := Header{Src: f.src, Dst: f.dst, TTL: 64}
		p := mustParse(t, AppendUDP(nil, &h, 1, 2, []byte("data")))
		p.Payload[6], p.Payload[7] = 0, 0
		if _, r := ParseUDP(&p, false); r != want {
			t.Errorf("v%d: %v, want %v", f.version, r, want)
		}
	}
}

func TestUDPZeroBecomesOnes(t *testing.T) {
	// req: UDP-04, V6S-07: two octets of payload that make the sum 0xffff.
	for _, f := range families {
		h := Header{Src: f.src, Dst: f.dst, TTL: 64}
		p := mustParse(t, AppendUDP(nil, &h, 1, 2, []byte{0, 0}))
		p = mustParse(t, AppendUDP(nil, &h, 1, 2, p.Payload[6:8]))
		if p.Payload[6] != 0xff || p.Payload[7] != 0xff {
			t.Errorf("v%d: checksum % x", f.version, p.Payload[6:8])
		}
		if _, r := ParseUDP(&p, false); r != ReasonNone {
			t.Errorf("v%d: %v", f.version, r)
		}
	}
}
