package ippkt

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestParse4(t *testing.T) {
	h := Header{Src: a4, Dst: b4, Proto: ProtoUDP, TTL: 1, TOS: 0xba, DontFragment: true, ID: 0xabcd}
	b := append(h.AppendTo(nil, 5), "hello"...)
	if !bytes.Equal(b[:20], unhex(t, "45ba 0019 abcd 4000 0111 b896 0a5a0001 0a5a0002")) {
		t.Fatalf("encoded % x", b[:20])
	}
	p := mustParse(t, append(b, "junk!"...)) // req: V4R-03
	if p.Version != 4 || p.Proto != ProtoUDP || p.ProtoAt != 9 || p.TTL != 1 || p.TOS != 0xba || p.ECN() != 2 ||
		p.Src != a4 || p.Dst != b4 || p.HeaderLen != 20 || p.ID != 0xabcd || !p.DontFragment || p.IsFragment() ||
		string(p.Payload) != "hello" || p.Options != nil || p.Problem != (Problem{}) {
		t.Errorf("parsed %+v", p)
	}
}

func TestParse4Refuses(t *testing.T) {
	good := packet4(Header{Proto: ProtoTCP, TTL: 64}, []byte{1, 1, 1, 1}, pattern(40))
	for n := 1; n < 20; n++ { // req: V4R-02
		if _, r := Parse(good[:n]); r != ReasonShort {
			t.Errorf("%d octets: %v", n, r)
		}
	}
	for n := 20; n < len(good); n++ { // req: V4R-02
		if _, r := Parse(good[:n]); r != ReasonTotalLen {
			t.Errorf("%d octets of %d: %v", n, len(good), r)
		}
	}
	for bit := range 24 * 8 { // req: V4R-04
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if _, r := Parse(b); r == ReasonNone {
			t.Errorf("bit %d of the header flipped: accepted", bit)
		}
	}
	for _, tt := range []struct {
		at   int
		v    byte
		want Reason
	}{
		{0, 0x06, ReasonVersion}, {0, 0x56, ReasonVersion}, {0, 0xf6, ReasonVersion}, // req: V4R-01
		{0, 0x44, ReasonHeaderLen}, {0, 0x40, ReasonHeaderLen}, // req: V4R-02
		{3, 23, ReasonHeaderLen},
		{3, 65, ReasonTotalLen},
	} {
		b := bytes.Clone(good)
		b[tt.at] = tt.v
		setChecksum4(b[:24])
		if _, r := Parse(b); r != tt.want {
			t.Errorf("octet %d = %#x: %v, want %v", tt.at, tt.v, r, tt.want)
		}
	}
	if _, r := Parse(nil); r != ReasonShort {
		t.Errorf("nothing: %v", r)
	}
}

func TestParse4Accepts(t *testing.T) {
	for tos := range 256 { // req: V4R-08
		if p := mustParse(t, packet4(Header{TOS: uint8(tos)}, nil, nil)); p.TOS != uint8(tos) {
			t.Errorf("TOS %#x read as %#x", tos, p.TOS)
		}
	}
	for ttl := range 2 { // req: V4R-07
		mustParse(t, packet4(Header{TTL: uint8(ttl)}, nil, nil))
	}
	b := packet4(Header{}, nil, []byte("x"))
	b[6] |= 0x80 // req: V4R-09
	setChecksum4(b[:20])
	if p := mustParse(t, b); p.IsFragment() || p.DontFragment {
		t.Errorf("the reserved flag was read as another: %+v", p)
	}
	big := packet4(Header{}, nil, make([]byte, 65515)) // req: V4R-15
	if p := mustParse(t, big); len(p.Payload) != 65515 {
		t.Errorf("payload of %d octets", len(p.Payload))
	}
}

func TestFragments4(t *testing.T) {
	for _, tt := range []struct {
		name   string
		offset int
		more   bool
		n      int
		want   Reason
	}{
		{"first", 0, true, 16, ReasonNone},
		{"last", 16, false, 13, ReasonNone},
		{"DF set", 8, true, 8, ReasonNone},                         // req: V4R-11
		{"largest", 65488, false, 27, ReasonNone},                  // 20 + 65488 + 27 = 65535
		{"past the end", 65488, false, 28, ReasonFragmentTooBig},   // req: RE4-04
		{"ping of death", 65528, false, 100, ReasonFragmentTooBig}, // req: RE4-04
		{"not a multiple of 8", 0, true, 13, ReasonFragmentLen},    // req: RE4-05
		{"empty, more", 8, true, 0, ReasonFragmentLen},             // req: RE4-06
		{"empty, last", 8, false, 0, ReasonFragmentLen},            // req: RE4-06
	} {
		h := Header{Proto: ProtoUDP, ID: 77, FragOffset: tt.offset, MoreFragments: tt.more, DontFragment: tt.name == "DF set"}
		p, r := Parse(packet4(h, nil, pattern(tt.n)))
		if r != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, r, tt.want)
		}
		if !p.IsFragment() || p.FragOffset != tt.offset || p.MoreFragments != tt.more || p.ID != 77 {
			t.Errorf("%s: reported as %+v", tt.name, p)
		}
	}
}

func TestOptions4(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		want          Reason
		pointer       uint32
	}{
		{"NOP, EOL and what follows it", "01 00 83 ff", ReasonNone, 0},
		{"unknown", "9e04 ffff", ReasonNone, 0},                                     // req: OPT4-02
		{"stream id", "8804 0001", ReasonNone, 0},                                   // req: OPT4-08
		{"router alert", "9404 0000", ReasonNone, 0},                                // req: OPT4-09
		{"record route", "0707 04 00000000", ReasonNone, 0},                         // req: OPT4-07, MAY-11
		{"record route, full", "0707 08 01020304", ReasonNone, 0},                   // req: OPT4-07
		{"record route, pointer 3", "0707 03 00000000", ReasonOptions, 22},          // req: OPT4-03
		{"record route, no room for a slot", "0707 05 00000000", ReasonOptions, 22}, // req: OPT4-03
		{"record route, no pointer", "0702", ReasonOptions, 21},                     // req: OPT4-03
		{"behind others", "01 9e03ff 0707 03 00000000", ReasonOptions, 26},          // req: OPT4-03
		{"timestamp", "4408 05 00 00000000", ReasonNone, 0},                         // req: OPT4-07, MAY-10
		{"timestamp with addresses", "440c 05 01 00000000 00000000", ReasonNone, 0}, //
		{"timestamp, pointer 4", "4408 04 00 00000000", ReasonOptions, 22},          // req: OPT4-03
		{"timestamp, slot of 8 in 4", "4408 05 01 00000000", ReasonOptions, 22},     // req: OPT4-03
		{"timestamp, short", "4403 05", ReasonOptions, 21},                          // req: OPT4-03
		{"loose source route", "8307 04 01020304", ReasonSourceRoute, 0},            // req: OPT4-05
		{"strict source route, done", "8907 08 01020304", ReasonSourceRoute, 0},     // req: OPT4-05
		{"source route of no length to speak of", "8302", ReasonSourceRoute, 0},     // req: OPT4-05
		{"length 0", "9e00", ReasonOptions, 20},                                     // req: OPT4-01
		{"length 1", "01 9e01", ReasonOptions, 21},                                  // req: OPT4-01, I4-22
		{"length past the header", "9e05 0000", ReasonOptions, 20},                  // req: OPT4-01, I4-22
		{"length missing", "01 01 01 9e", ReasonOptions, 23},                        // req: OPT4-01, I4-22
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := unhex(t, tt.options)
			p, r := Parse(packet4(Header{Proto: ProtoUDP}, o, []byte("data")))
			if r != tt.want {
				t.Fatalf("%v, want %v", r, tt.want)
			}
			want := Problem{Answer: tt.pointer != 0, Pointer: tt.pointer}
			if p.Problem != want {
				t.Errorf("problem %+v, want %+v", p.Problem, want)
			}
			if string(p.Payload) != "data" || !bytes.HasPrefix(p.Options, o) { // req: OPT4-04, OPT4-10
				t.Errorf("payload %q, options % x", p.Payload, p.Options)
			}
		})
	}
}

func TestHeaderLengthMovesTransport(t *testing.T) {
	// req: OPT4-10
	for n := 0; n <= 40; n += 4 {
		p := mustParse(t, packet4(Header{Proto: ProtoTCP}, bytes.Repeat([]byte{1}, n), []byte("data")))
		if p.HeaderLen != 20+n || string(p.Payload) != "data" || len(p.Options) != n {
			t.Errorf("%d octets of options: header %d, payload %q", n, p.HeaderLen, p.Payload)
		}
	}
}

func TestAppend4(t *testing.T) {
	// req: V4S-04
	for i := range 1000 {
		h := Header{Src: a4, Dst: b4, Proto: uint8(i), TTL: uint8(i * 3), TOS: uint8(i * 5), ID: uint32(i * 77)}
		b := h.AppendTo([]byte("ab"), i)[2:]
		if len(b) != h.Len() || Fold(Sum(b, 0)) != 0xffff || int(binary.BigEndian.Uint16(b[2:])) != 20+i {
			t.Fatalf("% x", b)
		}
	}
}
