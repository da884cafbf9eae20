package ippkt

import (
	"bytes"
	"testing"
)

// family is one IP version's addresses for tests that run over both.
type family struct {
	version  uint8
	src, dst Addr
	echo     uint8
	reply    uint8
	limit    int
}

var families = []family{
	{4, a4, b4, ICMP4Echo, ICMP4EchoReply, 576},
	{6, a6, b6, ICMP6Echo, ICMP6EchoReply, 1280},
}

func TestEcho(t *testing.T) {
	// req: I4-03, I6-08
	for _, f := range families {
		for _, n := range []int{0, 1, 2, 56, 1472, 65500} {
			if f.version == 6 {
				n = min(n, 65000)
			}
			ask := Header{Src: f.src, Dst: f.dst, TTL: 64}
			b := AppendICMP(nil, &ask, &ICMP{Type: f.echo, Arg: 0xabcd0102, Body: pattern(n)})
			p := mustParse(t, b)
			m, r := ParseICMP(&p, false)
			if r != ReasonNone || m.Kind != KindEcho || m.EchoID() != 0xabcd || m.EchoSeq() != 0x0102 || !bytes.Equal(m.Body, pattern(n)) {
				t.Fatalf("request of %d octets: %v %+v", n, r, m.Kind)
			}
			answer := Header{Src: p.Dst, Dst: p.Src, TTL: 64}
			back := AppendEchoReply(nil, &answer, &m)
			if len(back) > len(b) { // req: I4-08
				t.Errorf("reply of %d octets to a request of %d", len(back), len(b))
			}
			q := mustParse(t, back)
			m2, r := ParseICMP(&q, false)
			if r != ReasonNone || m2.Type != f.reply || m2.Code != 0 || m2.Kind != KindEchoReply || m2.Arg != m.Arg || !bytes.Equal(m2.Body, m.Body) {
				t.Errorf("reply of %d octets: %v %+v", n, r, m2.Kind)
			}
		}
	}
}

func TestICMPChecksum(t *testing.T) {
	// req: I4-01, I6-01
	for _, f := range families {
		h := Header{Src: f.src, Dst: f.dst, TTL: 64}
		b := AppendICMP(nil, &h, &ICMP{Type: f.echo, Arg: 7, Body: []byte("ping!")})
		for i := h.Len() * 8; i < len(b)*8; i++ {
			b[i/8] ^= 1 << (i % 8)
			p := mustParse(t, b)
			if _, r := ParseICMP(&p, false); r != ReasonICMPChecksum {
				t.Fatalf("v%d, bit %d flipped: %v", f.version, i, r)
			}
			if _, r := ParseICMP(&p, true); r != ReasonNone {
				t.Fatalf("v%d, checksum vouched for: %v", f.version, r)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		p := mustParse(t, b)
		p.Payload = p.Payload[:7]
		if _, r := ParseICMP(&p, true); r != ReasonICMPShort {
			t.Errorf("7 octets: %v", r)
		}
	}
	// req: I6-01: a sum without pseudo-header is wrong for ICMPv6.
	body := []byte{ICMP6Echo, 0, 0, 0, 0, 0, 0, 1}
	sum := ^Fold(Sum(body, 0))
	body[2], body[3] = byte(sum>>8), byte(sum)
	p := mustParse(t, packet6(ProtoICMPv6, body))
	if _, r := ParseICMP(&p, false); r != ReasonICMPChecksum {
		t.Errorf("checksum as in IPv4: %v", r)
	}
}

func TestKinds(t *testing.T) {
	want4 := map[[2]uint8]Kind{
		{0, 0}: KindEchoReply, {3, 0}: KindUnreachable, {3, 3}: KindUnreachable, {3, 4}: KindTooBig, {4, 0}: KindSourceQuench,
		{5, 1}: KindRedirect, {8, 0}: KindEcho, {11, 0}: KindTimeExceeded, {11, 1}: KindTimeExceeded, {12, 0}: KindParamProblem,
	}
	want6 := map[[2]uint8]Kind{
		{1, 4}: KindUnreachable, {2, 0}: KindTooBig, {3, 0}: KindTimeExceeded, {4, 1}: KindParamProblem,
		{128, 0}: KindEcho, {129, 0}: KindEchoReply, {137, 0}: KindRedirect,
	}
	for typ := range 256 { // req: I4-02, I4-21, I6-02, I6-03, I6-15
		for code := range 6 {
			key := [2]uint8{uint8(typ), uint8(code)}
			got4, got6 := kindOf(4, key[0], key[1]), kindOf(6, key[0], key[1])
			if want, listed := want4[key]; listed && got4 != want {
				t.Errorf("ICMP %v is %v, want %v", key, got4, want)
			} else if _, any := want4[[2]uint8{key[0], 0}]; !listed && !any && typ != 12 && typ != 5 && got4 != KindOther {
				t.Errorf("ICMP %v is %v, want KindOther", key, got4)
			}
			want, listed := want6[key]
			switch {
			case listed && got6 != want:
				t.Errorf("ICMPv6 %v is %v, want %v", key, got6, want)
			case typ == 0 || typ > 4 && typ < 128:
				if got6 != KindOtherError || !got6.IsError() {
					t.Errorf("ICMPv6 %v is %v, want KindOtherError", key, got6)
				}
			case typ > 129 && typ != 137 && (got6 != KindOther || got6.IsError()):
				t.Errorf("ICMPv6 %v is %v, want KindOther", key, got6)
			}
		}
	}
}

// tcpPacket is a packet of ours of n octets that an error may be about.
func (f family) tcpPacket(t *testing.T, n int) []byte {
	h := Header{Src: f.dst, Dst: f.src, Proto: ProtoTCP, TTL: 64, DontFragment: true}
	tcp := append(unhex(t, "0050 d431 11223344 55667788 5018 ffff 0000 0000"), pattern(n)...)
	tcp = tcp[:n-h.Len()]
	return append(h.AppendTo(nil, len(tcp)), tcp...)
}

func TestErrorRoundTrip(t *testing.T) {
	for _, f := range families {
		for _, n := range []int{f.limit/2 - 1, f.limit, 1500} {
			offending := f.tcpPacket(t, n)
			h := Header{Src: f.src, Dst: f.dst, TTL: 64}
			b := AppendError(nil, &h, PortUnreachable(f.version), offending)
			if len(b) > f.limit || n == 1500 && len(b) != f.limit { // req: I4-11, I6-04
				t.Errorf("v%d: error about %d octets has %d", f.version, n, len(b))
			}
			p := mustParse(t, b)
			m, r := ParseICMP(&p, false)
			if r != ReasonNone || m.Kind != KindUnreachable || !bytes.HasPrefix(offending, m.Body) { // req: I4-11
				t.Fatalf("v%d: %v %+v", f.version, r, m)
			}
			q, r := ParseQuote(&m)
			if r != ReasonNone || q.Version != f.version || q.Proto != ProtoTCP || q.Src != f.dst || q.Dst != f.src ||
				q.SrcPort() != 80 || q.DstPort() != 0xd431 || q.TCPSeq() != 0x11223344 { // req: I4-16
				t.Errorf("v%d: %v %+v", f.version, r, q)
			}
		}
	}
}

func TestErrorTypes(t *testing.T) {
	// req: I4-09, I4-22, I6-09, RE4-11, FR6-07
	p4 := Packet{Version: 4, ProtoAt: 9, Problem: Problem{Answer: true, Pointer: 22}}
	p6 := Packet{Version: 6, ProtoAt: 40, Problem: Problem{Answer: true, Multicast: true, Code: 2, Pointer: 0x12345678}}
	for _, tt := range []struct{ got, want ICMPError }{
		{PortUnreachable(4), ICMPError{Type: 3, Code: 3}},
		{PortUnreachable(6), ICMPError{Type: 1, Code: 4}},
		{ProtocolUnreachable(&p4), ICMPError{Type: 3, Code: 2}},
		{ProtocolUnreachable(&p6), ICMPError{Type: 4, Code: 1, Arg: 40}},
		{ReassemblyTimeout(4), ICMPError{Type: 11, Code: 1}},
		{ReassemblyTimeout(6), ICMPError{Type: 3, Code: 1}},
		{ParameterProblem(&p4), ICMPError{Type: 12, Arg: 22 << 24}},
		{ParameterProblem(&p6), ICMPError{Type: 4, Code: 2, Arg: 0x12345678, Multicast: true}},
	} {
		if tt.got != tt.want {
			t.Errorf("%+v, want %+v", tt.got, tt.want)
		}
	}
	for _, tt := range []struct {
		m    ICMP
		mtu  int
		pntr uint32
	}{
		{ICMP{Version: 4, Arg: 1400}, 1400, 0},                      // req: I4-25
		{ICMP{Version: 4, Arg: 0xffff0000 | 552}, 552, 255},         // req: I4-25
		{ICMP{Version: 6, Arg: 0xfffffff0}, 0xfffffff0, 0xfffffff0}, // req: I6-12
	} {
		if tt.m.MTU() != tt.mtu || tt.m.Pointer() != tt.pntr {
			t.Errorf("%+v: MTU %d, pointer %d", tt.m, tt.m.MTU(), tt.m.Pointer())
		}
	}
}

func TestErrorsNeverSent(t *testing.T) {
	port4, port6 := PortUnreachable(4), PortUnreachable(6)
	big := ICMPError{Type: ICMP6PacketTooBig, Multicast: true}
	for _, tt := range []struct {
		name string
		e    ICMPError
		p    Packet
		want bool
	}{
		{"plain", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoUDP}, true},
		{"first fragment", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoUDP, MoreFragments: true}, true},
		{"plain v6", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoUDP}, true},
		{"echo request", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoICMP, Payload: []byte{8}}, true}, // req: I4-14
		{"timestamp query", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoICMP, Payload: []byte{13}}, true},
		// req: I4-13
		{"ICMP error", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoICMP, Payload: []byte{3}}, false},
		{"unknown ICMP", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoICMP, Payload: []byte{200}}, false}, // req: I4-14
		{"empty ICMP", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoICMP}, false},
		{"to broadcast", port4, Packet{Version: 4, Src: a4, Dst: addr("255.255.255.255"), Proto: ProtoUDP}, false},
		{"to multicast", port4, Packet{Version: 4, Src: a4, Dst: addr("224.0.0.251"), Proto: ProtoUDP}, false}, // req: UDP-06
		{"to class E", port4, Packet{Version: 4, Src: a4, Dst: addr("240.0.0.1"), Proto: ProtoUDP}, false},
		{"later fragment", port4, Packet{Version: 4, Src: a4, Dst: b4, Proto: ProtoUDP, FragOffset: 8}, false}, // req: RE4-16
		{"from 0.0.0.0", port4, Packet{Version: 4, Src: addr("0.0.0.0"), Dst: b4, Proto: ProtoUDP}, false},
		{"from 127.0.0.1", port4, Packet{Version: 4, Src: addr("127.0.0.1"), Dst: b4, Proto: ProtoUDP}, false},
		{"from broadcast", port4, Packet{Version: 4, Src: addr("255.255.255.255"), Dst: b4, Proto: ProtoUDP}, false},
		{"from multicast", port4, Packet{Version: 4, Src: addr("224.0.0.1"), Dst: b4, Proto: ProtoUDP}, false},
		{"from class E", port4, Packet{Version: 4, Src: addr("240.0.0.1"), Dst: b4, Proto: ProtoUDP}, false},
		// req: I6-06
		{"ICMPv6 error", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoICMPv6, Payload: []byte{1}}, false},
		{"unknown ICMPv6 error", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoICMPv6, Payload: []byte{100}}, false}, // req: I6-03
		{"redirect", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoICMPv6, Payload: []byte{137}}, false},
		{"empty ICMPv6", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoICMPv6}, false},
		{"multicast v6", port6, Packet{Version: 6, Src: a6, Dst: addr("ff02::fb"), Proto: ProtoUDP}, false}, // req: UDP-06
		{"multicast v6, PTB", big, Packet{Version: 6, Src: a6, Dst: addr("ff02::fb"), Proto: ProtoUDP}, true},
		{"from ::", port6, Packet{Version: 6, Src: Addr{}, Dst: b6, Proto: ProtoUDP}, false},
		{"from multicast v6", big, Packet{Version: 6, Src: addr("ff02::1"), Dst: b6, Proto: ProtoUDP}, false},
		{"echo v6", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoICMPv6, Payload: []byte{128}}, true},
		{"later fragment v6", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoUDP, FragOffset: 8}, true}, // req: FR6-04
		{"later fragment, maybe of an error", port6, Packet{Version: 6, Src: a6, Dst: b6, Proto: ProtoICMPv6, Payload: []byte{128}, FragOffset: 8}, false},
		{"nothing at all", port4, Packet{}, false},
	} {
		if got := tt.e.Allowed(&tt.p); got != tt.want {
			t.Errorf("%s: allowed %v", tt.name, got)
		}
	}
}

func TestQuotes(t *testing.T) {
	v4 := families[0].tcpPacket(t, 100)
	v6 := families[1].tcpPacket(t, 100)
	change := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, tt := range []struct {
		name    string
		version uint8
		body    []byte
		want    Reason
	}{
		{"8 octets of transport", 4, v4[:28], ReasonNone},
		{"7 octets of transport", 4, v4[:27], ReasonQuoteShort}, // req: I4-17
		{"only a header", 4, v4[:20], ReasonQuoteShort},
		{"nothing", 4, nil, ReasonQuoteShort},
		{"header length 4", 4, change(v4, 0, 0x44), ReasonQuoteShort},                                         // req: I4-17
		{"header longer than the quote", 4, change(v4[:28], 0, 0x46), ReasonQuoteShort},                       // req: I4-17
		{"version 6 in ICMP", 4, v6, ReasonQuoteVersion},                                                      // req: I4-17
		{"length, TTL and checksum changed", 4, change(change(v4, 2, 0, 0), 8, 0, 6, 0xff, 0xff), ReasonNone}, // req: I4-18
		{"later fragment", 4, change(v4, 6, 0, 1), ReasonQuoteFragment},
		{"8 octets of transport", 6, v6[:48], ReasonNone},
		{"7 octets of transport", 6, v6[:47], ReasonQuoteShort},
		{"cut in the header", 6, v6[:39], ReasonQuoteShort},
		{"version 4 in ICMPv6", 6, v4, ReasonQuoteVersion},
		{"mapped address", 6, change(v6, 8, a4[:]...), ReasonMappedAddr},
		{"options cut off", 6, packet6(60, unhex(t, "06 00")), ReasonQuoteShort},
	} {
		if _, r := ParseQuote(&ICMP{Version: tt.version, Body: tt.body}); r != tt.want {
			t.Errorf("v%d %s: %v, want %v", tt.version, tt.name, r, tt.want)
		}
	}
	// req: I6-13
	q, r := ParseQuote(&ICMP{Version: 6, Body: packet6(60, unhex(t, "06"+dstOpts8+tcp20))})
	if r != ReasonNone || q.Proto != ProtoTCP || q.SrcPort() != 80 || q.DstPort() != 0x3039 || q.TCPSeq() != 1 {
		t.Errorf("behind options: %v %+v", r, q)
	}
	_, r = ParseQuote(&ICMP{Version: 6, Body: packet6(44, unhex(t, "06 00 0008 00000001"+tcp20))})
	if r != ReasonQuoteFragment {
		t.Errorf("second fragment: %v", r)
	}
	q, r = ParseQuote(&ICMP{Version: 6, Body: packet6(44, unhex(t, "06 00 0001 00000001"+tcp20))})
	if r != ReasonNone || q.SrcPort() != 80 {
		t.Errorf("first fragment: %v %+v", r, q)
	}
	// req: I4-24: what stands behind the quote does no harm.
	m := ICMP{Version: 4, Arg: 32 << 16, Body: append(append(bytes.Clone(v4), make([]byte, 128-len(v4))...), 0x20, 0, 0, 0)}
	if q, r := ParseQuote(&m); r != ReasonNone || q.TCPSeq() != 0x11223344 {
		t.Errorf("with an extension block: %v", r)
	}
}
