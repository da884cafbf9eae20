package tcpseg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// unhex decodes hex digits written with blanks.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raw puts a header with the given flags and options, padded with EOL, before payload.
func raw(flags Flags, options []byte, payload string) []byte {
	n := (len(options) + 3) / 4 * 4
	b := []byte{0, 80, 0x30, 0x39, 0, 0, 0, 1, 0, 0, 0, 2, byte(5+n/4) << 4, byte(flags), 1, 0, 0, 0, 0, 0}
	b = append(b, options...)
	b = append(b, make([]byte, n-len(options))...)
	return append(b, payload...)
}

func TestParseFields(t *testing.T) {
	b := unhex(t, "1f90 d431 fffffffe 80000001 5f ff abcd 1234 0007 6869")
	s, err := Parse(b) // req: U-02 (reserved bits are set in b)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{
		SrcPort: 8080, DstPort: 54321, Seq: 0xfffffffe, Ack: 0x80000001,
		Flags: FIN | SYN | RST | PSH | ACK | URG | ECE | CWR, Window: 0xabcd, Urgent: 7,
	}
	if s.Header != want {
		t.Errorf("header = %+v, want %+v", s.Header, want)
	}
	if string(s.Payload) != "hi" {
		t.Errorf("payload = %q", s.Payload)
	}
	if s.Len() != 4 { // req: U-04
		t.Errorf("SEG.LEN = %d, want 2 octets and SYN and FIN", s.Len())
	}
	// req: U-02
	if out := want.AppendTo(nil); out[12]&0x0f != 0 {
		t.Errorf("reserved bits sent as %#x", out[12]&0x0f)
	}
}

func TestParseErrors(t *testing.T) {
	// req: U-03
	good := raw(ACK, nil, "")
	for n := range MinHeaderLen {
		if _, err := Parse(good[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("%d octets: %v, want ErrShort", n, err)
		}
	}
	for words := range 16 {
		b := raw(ACK, nil, "1234")
		b[12] = byte(words) << 4
		_, err := Parse(b)
		if ok := words == 5 || words == 6; ok != (err == nil) {
			t.Errorf("data offset %d of a 24-octet segment: %v", words, err)
		} else if !ok && !errors.Is(err, ErrDataOffset) {
			t.Errorf("data offset %d: %v, want ErrDataOffset", words, err)
		}
	}
}

func TestParseOptions(t *testing.T) {
	ts := Options{HasTimestamps: true, TSVal: 0x01020304, TSEcr: 0x05060708}
	const tsHex = "080a 01020304 05060708"
	sack := func(o Options, blocks ...SACKBlock) Options {
		o.SACKCount = uint8(copy(o.SACK[:], blocks))
		return o
	}
	for _, tt := range []struct {
		name, options string
		flags         Flags
		want          Options
	}{
		{"EOL ends", "00 02 04 05b4", SYN, Options{}},                            // req: MUST-4
		{"NOPs", "01 01 01 01", SYN, Options{}},                                  // req: MUST-4
		{"MSS", "02 04 05b4", SYN, Options{MSS: 1460}},                           // req: MUST-4
		{"MSS on SYN,ACK", "02 04 05b4", SYN | ACK, Options{MSS: 1460}},          //
		{"MSS off SYN", "02 04 05b4", ACK, Options{}},                            // req: MUST-65
		{"scale off SYN", "03 03 07", ACK, Options{}},                            // req: 7323-05
		{"SACK-permitted off SYN", "04 02", ACK, Options{}},                      // req: MUST-65
		{"scale kept raw", "03 03 ff", SYN, Options{HasScale: true, Scale: 255}}, //
		{"scale 0", "03 03 00", SYN, Options{HasScale: true}},                    //
		{"Linux SYN", "02 04 05b4 04 02" + tsHex + "01 03 03 07", SYN, Options{MSS: 1460, HasScale: true, Scale: 7, SACKPermitted: true, HasTimestamps: true, TSVal: ts.TSVal, TSEcr: ts.TSEcr}},
		{"timestamps, usual layout", "0101" + tsHex, ACK, ts},                                                    //
		{"timestamps, no NOPs", tsHex, FIN | ACK, ts},                                                            // req: MUST-5
		{"timestamps on RST", tsHex + "0101", RST, ts},                                                           // req: MUST-5
		{"unknown skipped", "c8 06 dead beef" + tsHex, ACK, ts},                                                  // req: MUST-6
		{"unknown without value", "c8 02" + tsHex, ACK, ts},                                                      // req: MUST-6
		{"unknown to the end", "fe 28" + strings.Repeat("aa", 38), ACK, Options{}},                               // req: MUST-6
		{"wrong length of a known kind", "02 06 05b4 05b4" + "03 03 07", SYN, Options{HasScale: true, Scale: 7}}, // req: MUST-7
		{"length 0", tsHex + "c8 00 03 03 07", SYN, ts},                                                          // req: MUST-7
		{"length 1", tsHex + "c8 01 03 03 07", SYN, ts},                                                          // req: MUST-7
		{"length past the end", tsHex + "02 05", SYN, ts},                                                        // req: MUST-7
		{"no length octet", "01 01 01 c8", SYN, Options{}},                                                       // req: MUST-68
		{"SACK", "0101 050a 00000001 00000002", ACK, sack(Options{}, SACKBlock{1, 2})},                           // req: 2018-03
		{"SACK of no block", "0502", ACK, Options{}},                                                             //
		{"SACK of odd length", "0509 00000001 000000", ACK, Options{}},                                           //
		{"four blocks", "0522" + strings.Repeat("0000000a 0000000b", 4), ACK, sack(Options{}, SACKBlock{10, 11}, SACKBlock{10, 11}, SACKBlock{10, 11}, SACKBlock{10, 11})},
		{"second SACK option replaces", "0512 00000001 00000002 00000003 00000004 050a 00000005 00000006", ACK, sack(Options{}, SACKBlock{5, 6})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(raw(tt.flags, unhex(t, tt.options), "data"))
			if err != nil {
				t.Fatal(err)
			}
			if s.Options != tt.want {
				t.Errorf("options %s\n got %+v\nwant %+v", tt.options, s.Options, tt.want)
			}
			if string(s.Payload) != "data" {
				t.Errorf("payload = %q", s.Payload)
			}
		})
	}
}

// TestUnaligned puts MSS and timestamps at every octet offset there is.
func TestUnaligned(t *testing.T) {
	// req: MUST-64
	opts := unhex(t, "02 04 05b4 08 0a 00000001 00000002")
	for off := 0; off+len(opts) <= maxOptionsLen; off++ {
		b := append(bytes.Repeat([]byte{optNOP}, off), opts...)
		s, err := Parse(raw(SYN, b, ""))
		want := Options{MSS: 1460, HasTimestamps: true, TSVal: 1, TSEcr: 2}
		if err != nil || s.Options != want {
			t.Errorf("offset %d: %+v, %v", off, s.Options, err)
		}
	}
}

func TestAppendTo(t *testing.T) {
	ts := Options{HasTimestamps: true, TSVal: 1, TSEcr: 2}
	four := [MaxSACKBlocks]SACKBlock{{1, 2}, {3, 4}, {5, 6}, {7, 8}}
	const tsHex = "0101 080a 00000001 00000002"
	const two, three = "00000001 00000002 00000003 00000004", "00000001 00000002 00000003 00000004 00000005 00000006"
	for _, tt := range []struct {
		name    string
		options Options
		want    string
	}{
		{"none", Options{}, ""},
		{"as Linux sends a SYN", Options{MSS: 1460, HasScale: true, Scale: 7, SACKPermitted: true, HasTimestamps: true, TSVal: 1, TSEcr: 2},
			"0204 05b4 0402 080a 00000001 00000002 01 0303 07"},
		{"SYN without timestamps", Options{MSS: 1460, HasScale: true, Scale: 7, SACKPermitted: true}, "0204 05b4 0101 0402 01 0303 07"},
		{"SYN without SACK", Options{MSS: 1220, HasTimestamps: true, TSVal: 1, TSEcr: 2}, "0204 04c4" + tsHex},
		{"timestamps", ts, tsHex},
		{"four blocks", Options{SACKCount: 4, SACK: four}, "0101 0522" + three + "00000007 00000008"},
		{"three beside timestamps", Options{HasTimestamps: true, TSVal: 1, TSEcr: 2, SACKCount: 4, SACK: four}, tsHex + "0101 051a" + three}, // req: 2018-03
		{"two beside a SYN's", Options{MSS: 1460, HasScale: true, SACKPermitted: true, HasTimestamps: true, TSVal: 1, TSEcr: 2, SACKCount: 3, SACK: four},
			"0204 05b4 0402 080a 00000001 00000002 01 0303 00 0101 0512" + two},
		{"a count past the array", Options{SACKCount: 200, SACK: four}, "0101 0522" + three + "00000007 00000008"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := Header{Flags: ACK, Options: tt.options}
			b := h.AppendTo([]byte("before"))
			if string(b[:6]) != "before" {
				t.Fatalf("AppendTo overwrote its prefix: %q", b[:6])
			}
			got := b[6+MinHeaderLen:]
			if want := unhex(t, tt.want); !bytes.Equal(got, want) {
				t.Errorf("options\n got %x\nwant %x", got, want)
			}
			if n := len(b) - 6; n != h.Len() || int(b[6+12]>>4)*4 != n || n > MaxHeaderLen {
				t.Errorf("length %d, Len() %d, data offset %d", n, h.Len(), b[6+12]>>4)
			}
		})
	}
}

func TestStrings(t *testing.T) {
	syn := Header{Flags: SYN, Seq: 100, Window: 65535, Options: Options{
		MSS: 1460, SACKPermitted: true, HasTimestamps: true, TSVal: 1, HasScale: true, Scale: 7}}
	data := Segment{Header: Header{Flags: PSH | ACK | URG, Seq: 0xffffffff, Ack: 7, Window: 512, Urgent: 3}, Payload: []byte("hello")}
	sack := Header{Flags: ACK, Options: Options{SACKCount: 2, SACK: [4]SACKBlock{{1, 2}, {3, 4}}}}
	for _, tt := range []struct{ got, want string }{
		{syn.String(), "S 100:100(0) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,wscale 7>"},
		{data.String(), "PU. 4294967295:4(5) ack 7 win 512 urg 3"},
		{sack.String(), ". 0:0(0) ack 0 win 0 <sack 1:2 3:4>"},
		{Flags(0).String(), "none"},
		{(FIN | SYN | RST | ECE | CWR).String(), "SFREW"},
	} {
		if tt.got != tt.want {
			t.Errorf("got  %q\nwant %q", tt.got, tt.want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	syn := raw(SYN, unhex(t, "02 04 05b4 04 02 080a 01020304 05060708 01 03 03 07"), "")
	ack := raw(ACK, unhex(t, "0101 080a 01020304 05060708 0101 051a"+strings.Repeat("0000000a 0000000b", 3)), "data")
	bad := raw(SYN, unhex(t, "c8 00"), "")
	buf := make([]byte, 0, MaxHeaderLen)
	var sink int
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{syn, ack, bad, ack[:19], nil} {
			s, err := Parse(b)
			if err == nil {
				sink += len(s.AppendTo(buf)) + len(s.Payload) + s.Len()
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for parsing and appending", n)
	}
}

func BenchmarkParse(b *testing.B) {
	p := raw(ACK, unhex(b, "0101 080a 01020304 05060708"), "data")
	for b.Loop() {
		if _, err := Parse(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendTo(b *testing.B) {
	h := Header{Flags: ACK, Options: Options{HasTimestamps: true}}
	buf := make([]byte, 0, MaxHeaderLen)
	for b.Loop() {
		buf = h.AppendTo(buf[:0])
	}
}
