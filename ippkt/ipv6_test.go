package ippkt

import (
	"bytes"
	"strings"
	"testing"
)

const (
	dstOpts8 = "00 01040000 0000" // a Destination Options header of 8 octets, less its Next Header
	tcp20    = "0050 3039 00000001 00000002 5010 ffff 0000 0000"
)

func TestParse6(t *testing.T) {
	h := Header{Src: a6, Dst: b6, Proto: ProtoUDP, TTL: 1, TOS: 0xba, FlowLabel: 0xfabcde}
	b := append(h.AppendTo(nil, 5), "hello"...)
	if !bytes.Equal(b[:8], unhex(t, "6baabcde 0005 11 01")) {
		t.Fatalf("encoded % x", b[:8])
	}
	p := mustParse(t, append(b, "junk!"...)) // req: V6R-01
	if p.Version != 6 || p.Proto != ProtoUDP || p.ProtoAt != 6 || p.TTL != 1 || p.TOS != 0xba || p.ECN() != 2 ||
		p.FlowLabel != 0xabcde || p.Src != a6 || p.Dst != b6 || p.HeaderLen != 40 || p.IsFragment() ||
		string(p.Payload) != "hello" || p.Problem != (Problem{}) {
		t.Errorf("parsed %+v", p)
	}
	for n := range 40 { // req: V6R-01
		if _, r := Parse(b[:n]); r != ReasonShort {
			t.Errorf("%d octets: %v", n, r)
		}
	}
	for n := 40; n < 45; n++ { // req: V6R-01
		if _, r := Parse(b[:n]); r != ReasonTotalLen {
			t.Errorf("%d octets: %v", n, r)
		}
	}
	b[7] = 0 // req: V6R-05
	mustParse(t, b)
	for tos := range 256 { // req: V6R-06
		h.TOS, h.FlowLabel = uint8(tos), uint32(tos)<<12
		if p := mustParse(t, h.AppendTo(nil, 0)); p.TOS != h.TOS || p.FlowLabel != h.FlowLabel {
			t.Errorf("traffic class %#x, label %#x read as %#x, %#x", h.TOS, h.FlowLabel, p.TOS, p.FlowLabel)
		}
	}
	big := packet6(ProtoUDP, make([]byte, 65535)) // req: V6R-07
	if p := mustParse(t, big); len(p.Payload) != 65535 {
		t.Errorf("payload of %d octets", len(p.Payload))
	}
}

func TestMappedAddresses(t *testing.T) {
	// An IPv4 address inside the stack must not be forgeable from an IPv6 wire.
	for _, at := range []int{8, 24} {
		b := packet6(ProtoTCP, unhex(t, tcp20))
		copy(b[at:], a4[:])
		if _, r := Parse(b); r != ReasonMappedAddr {
			t.Errorf("mapped address at %d: %v", at, r)
		}
	}
}

func TestExtensions(t *testing.T) {
	ok := func(s string) string { return s + tcp20 }
	for _, tt := range []struct {
		name    string
		proto   uint8
		ext     string
		want    Reason
		problem Problem
	}{
		{"destination options", 60, ok("06" + dstOpts8), ReasonNone, Problem{}},
		{"hop-by-hop first", 0, ok("06" + dstOpts8), ReasonNone, Problem{}},
		{"any order and repetition", 0, ok("3c" + dstOpts8 + "2b" + dstOpts8 + "3c 00 fd 00 00000000" + "06" + dstOpts8), ReasonNone, Problem{}}, // req: V6R-08
		{"hop-by-hop later", 60, ok("00" + dstOpts8 + "06" + dstOpts8), ReasonHopByHop, Problem{Answer: true, Code: 1, Pointer: 40}},             // req: V6R-09
		{"hop-by-hop twice", 0, ok("00" + dstOpts8 + "06" + dstOpts8), ReasonHopByHop, Problem{Answer: true, Code: 1, Pointer: 40}},              // req: V6R-09
		{"no next header", 59, "deadbeef", ReasonNoNextHeader, Problem{}},                                                                        // req: V6R-11
		{"no next header behind options", 60, "3b" + dstOpts8 + "deadbeef", ReasonNoNextHeader, Problem{}},                                       // req: V6R-11
		{"routing done", 43, ok("06 00 fd 00 00000000"), ReasonNone, Problem{}},                                                                  // req: V6R-15
		{"routing pending", 43, ok("06 00 fd 01 00000000"), ReasonRouting, Problem{Answer: true, Pointer: 42}},                                   // req: V6R-15
		{"routing type 0 pending", 60, ok("2b" + dstOpts8 + "06 00 00 02 00000000"), ReasonRouting, Problem{Answer: true, Pointer: 50}},          // req: V6R-16
		{"routing cut off", 43, "06 01 00 00 00000000", ReasonExtension, Problem{}},
		{"options cut off", 60, "06 00 0000", ReasonExtension, Problem{}},
		{"options longer than the packet", 60, "06 01 01040000 0000", ReasonExtension, Problem{}},
		{"fragment header cut off", 44, "06 00 0000", ReasonExtension, Problem{}},
		{"padding", 60, ok("06 00 000000000000"), ReasonNone, Problem{}},
		{"PadN past the header", 60, ok("06 00 0105 00000000"), ReasonExtensionOption, Problem{Answer: true, Pointer: 43}},                           // req: V6R-13
		{"option without length", 60, ok("06 00 0103 000000 1e"), ReasonExtensionOption, Problem{Answer: true, Pointer: 47}},                         // req: V6R-13
		{"option 00", 60, ok("06 00 1e04 00000000"), ReasonNone, Problem{}},                                                                          // req: V6R-12
		{"option 01", 60, ok("06 00 5e04 00000000"), ReasonUnknownOption, Problem{}},                                                                 // req: V6R-12
		{"option 10", 60, ok("06 00 9e04 00000000"), ReasonUnknownOption, Problem{Answer: true, Multicast: true, Code: 2, Pointer: 42}},              // req: V6R-12
		{"option 11", 0, ok("06 00 0100 de02 0000"), ReasonUnknownOption, Problem{Answer: true, Code: 2, Pointer: 44}},                               // req: V6R-12
		{"jumbo option with a length", 0, ok("06 00 c204 00010000"), ReasonUnknownOption, Problem{Answer: true, Code: 2, Pointer: 42}},               // req: V6R-02
		{"8 headers", 0, ok(strings.Repeat("3c"+dstOpts8, 7) + "06" + dstOpts8), ReasonNone, Problem{}},                                              // req: V6R-18
		{"9 headers", 0, ok(strings.Repeat("3c"+dstOpts8, 8) + "06" + dstOpts8), ReasonExtensionLimit, Problem{}},                                    // req: V6R-18
		{"2 KiB", 60, ok("06 ff" + strings.Repeat("1eff"+strings.Repeat("00", 255), 7) + "1ef5" + strings.Repeat("00", 245)), ReasonNone, Problem{}}, // req: V6R-18
		{"100 options", 60, ok("06 19" + strings.Repeat("1e00", 103)), ReasonExtensionLimit, Problem{}},                                              // req: V6R-14
		{"ESP ends the chain", 50, "deadbeef", ReasonNone, Problem{}},                                                                                // req: V6R-17
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, r := Parse(packet6(tt.proto, unhex(t, tt.ext)))
			if r != tt.want || p.Problem != tt.problem {
				t.Fatalf("%v %+v\nwant %v %+v", r, p.Problem, tt.want, tt.problem)
			}
			if r == ReasonNone && tt.proto != 50 && (p.Proto != ProtoTCP || !bytes.Equal(p.Payload, unhex(t, tcp20))) {
				t.Errorf("proto %d, payload % x", p.Proto, p.Payload)
			}
			if r == ReasonNone && p.HeaderLen+len(p.Payload) != 40+len(unhex(t, tt.ext)) { // req: V6R-20
				t.Errorf("header of %d octets, payload of %d", p.HeaderLen, len(p.Payload))
			}
		})
	}
}

func TestExtensionChainLimit(t *testing.T) {
	// req: V6R-18: one header of 2048 octets is the most; a second makes it too long.
	long := make([]byte, 2048)
	long[0], long[1] = ProtoDestinations, 255
	for i, n := 2, 0; i < len(long); i += n {
		n = min(len(long)-i, 257)
		long[i], long[i+1] = 0x1e, byte(n-2)
	}
	b := packet6(ProtoDestinations, append(long, unhex(t, "06"+dstOpts8+tcp20)...))
	if _, r := Parse(b); r != ReasonExtensionLimit {
		t.Errorf("2056 octets of extensions: %v", r)
	}
}

func TestUnknownNextHeaderPointer(t *testing.T) {
	// req: V6R-10
	p := mustParse(t, packet6(253, nil))
	if e := ProtocolUnreachable(&p); e.Type != ICMP6ParamProblem || e.Code != 1 || e.Arg != 6 {
		t.Errorf("%+v", e)
	}
	p = mustParse(t, packet6(60, unhex(t, "3c"+dstOpts8+"fd"+dstOpts8)))
	if e := ProtocolUnreachable(&p); p.Proto != 253 || e.Arg != 48 {
		t.Errorf("proto %d, %+v", p.Proto, e)
	}
}

func TestJumbogram(t *testing.T) {
	// req: V6R-02
	b := packet6(0, unhex(t, "06 00 c204 00010000"+tcp20))
	b[4], b[5] = 0, 0
	p, r := Parse(b)
	if want := (Problem{Answer: true, Code: 2, Pointer: 42}); r != ReasonUnknownOption || p.Problem != want {
		t.Errorf("%v %+v, want %+v", r, p.Problem, want)
	}
	b = packet6(0, unhex(t, "06"+dstOpts8+tcp20))
	b[4], b[5] = 0, 0
	if p, r := Parse(b); r != ReasonJumbo || p.Problem.Answer {
		t.Errorf("without the option: %v %+v", r, p.Problem)
	}
}

func TestTransportOfRefused(t *testing.T) {
	// req: I6-06: an ICMPv6 error with an option that asks for an answer gets none.
	for typ, want := range map[byte]bool{1: false, 100: false, 128: true, 137: false} {
		ext := append(unhex(t, "3a 00 de04 00000000"), typ, 0, 0, 0, 0, 0, 0, 0)
		p, r := Parse(packet6(60, ext))
		if r != ReasonUnknownOption || p.Proto != ProtoICMPv6 {
			t.Fatalf("%v, proto %d", r, p.Proto)
		}
		if got := ParameterProblem(&p).Allowed(&p); got != want {
			t.Errorf("ICMPv6 type %d: answer allowed: %v", typ, got)
		}
	}
}

func TestFragments6(t *testing.T) {
	frag := func(next byte, word uint16, n int) []byte {
		b := []byte{next, 0xff, byte(word >> 8), byte(word), 0xde, 0xad, 0xbe, 0xef}
		return append(b, make([]byte, n)...)
	}
	for _, tt := range []struct {
		name    string
		ext     []byte
		want    Reason
		problem Problem
	}{
		{"first", frag(17, 1, 16), ReasonNone, Problem{}},
		{"middle", frag(17, 16|1, 8), ReasonNone, Problem{}},
		{"last", frag(17, 16, 13), ReasonNone, Problem{}},
		{"largest", frag(17, 65528, 7), ReasonNone, Problem{}},
		{"not a multiple of 8", frag(17, 1, 13), ReasonFragmentLen, Problem{Answer: true, Pointer: 4}},       // req: FR6-03
		{"past the end", frag(17, 65528, 8), ReasonFragmentTooBig, Problem{Answer: true, Pointer: 42}},       // req: FR6-04
		{"empty", frag(17, 8, 0), ReasonFragmentLen, Problem{}},                                              //
		{"first cut in the TCP header", frag(6, 1, 16), ReasonFragmentChain, Problem{Answer: true, Code: 3}}, // req: FR6-08
		{"first with its extensions", append(frag(60, 1, 0), 0xfd, 0, 1, 4, 0, 0, 0, 0), ReasonNone, Problem{}},
		{"first cut in a longer extension", append(frag(60, 1, 0), 6, 1, 1, 4, 0, 0, 0, 0), ReasonFragmentChain, Problem{Answer: true, Code: 3}}, // req: FR6-08
		{"first of unknown protocol", frag(253, 1, 8), ReasonNone, Problem{}},
	} {
		p, r := Parse(packet6(ProtoFragment, tt.ext))
		if r != tt.want || p.Problem != tt.problem {
			t.Errorf("%s: %v %+v\nwant %v %+v", tt.name, r, p.Problem, tt.want, tt.problem)
		}
		if !p.IsFragment() || p.ID != 0xdeadbeef || p.FragHeader != 40 {
			t.Errorf("%s: reported as %+v", tt.name, p)
		}
		if r == ReasonNone && (p.HeaderLen != 48 || len(p.Payload) != len(tt.ext)-8 || p.Proto != tt.ext[0]) {
			t.Errorf("%s: header of %d octets, payload of %d, proto %d", tt.name, p.HeaderLen, len(p.Payload), p.Proto)
		}
	}
	// The TCP header's own length counts: 24 octets wanted, 20 there, padded to 24 is enough.
	tcp := unhex(t, tcp20+"00000000")
	tcp[12] = 0x70
	if _, r := Parse(packet6(ProtoFragment, append(frag(6, 1, 0), tcp...))); r != ReasonFragmentChain { // req: FR6-08
		t.Errorf("28-octet TCP header in 24: %v", r)
	}
	tcp[12] = 0x60
	mustParse(t, packet6(ProtoFragment, append(frag(6, 1, 0), tcp...)))
}

func TestAtomicFragment(t *testing.T) {
	// req: FR6-02
	p := mustParse(t, packet6(ProtoFragment, append(unhex(t, "06 00 0000 00000007"), unhex(t, tcp20)...)))
	if p.IsFragment() || p.Proto != ProtoTCP || p.HeaderLen != 48 || len(p.Payload) != 20 {
		t.Errorf("%+v", p)
	}
}

func TestChecksumBehindExtensions(t *testing.T) {
	// req: V6R-19
	data := []byte("odd payload")
	tcp := append(unhex(t, tcp20), data...)
	sum := TransportChecksum(tcp[:20], &[4][]byte{data}, PseudoSum(a6, b6, ProtoTCP, len(tcp)))
	tcp[16], tcp[17] = byte(sum>>8), byte(sum)
	b := packet6(60, append(unhex(t, "06"+dstOpts8), tcp...))
	if p := mustParse(t, b); p.HeaderLen != 48 || !p.ChecksumOK() { // req: V6R-20
		t.Errorf("right sum refused: %+v", p)
	}
	b[len(b)-1] ^= 1
	if p := mustParse(t, b); p.ChecksumOK() {
		t.Error("wrong sum accepted")
	}
}
