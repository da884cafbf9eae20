package tcpseg

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzParse feeds any octets: a segment or an error, never a panic (req: MUST-7,
// U-03); and what was understood survives encoding and parsing again.
func FuzzParse(f *testing.F) {
	for _, o := range []string{
		"", "00", "0101 080a 01020304 05060708", "02 04 05b4 04 02 080a 01020304 05060708 01 03 03 07",
		"c8 00", "c8 01", "02 05", "01 01 01 c8", "0522" + strings.Repeat("0000000a 0000000b", 4),
		"2202", "220a 0102030405060708", "2212 0102030405060708090a0b0c0d0e0f10 080a 01020304 05060708 1c04012c 02040100 0303ff",
		"0303ff 0402 0522" + strings.Repeat("0000000a 0000000b", 4),
	} {
		f.Add(raw(SYN, unhex(f, o), "x"))
		f.Add(raw(ACK|FIN, unhex(f, o), ""))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		if n := len(b) - len(s.Payload); n < MinHeaderLen || n > MaxHeaderLen {
			t.Fatalf("header of %d octets", n)
		}
		if !s.Flags.Has(SYN) && (s.Options.MSS != 0 || s.Options.HasScale || s.Options.SACKPermitted) {
			t.Fatalf("a SYN's options on %v", s)
		}
		out := s.AppendTo(nil)
		if len(out) != s.Header.Len() || len(out) > MaxHeaderLen {
			t.Fatalf("encoded to %d octets, Len() is %d", len(out), s.Header.Len())
		}
		again, err := Parse(append(out, s.Payload...))
		if err != nil {
			t.Fatal(err)
		}
		// Packed options of a SYN may hold a longer cookie, or more blocks, than aligned ones.
		if f := s.Options.FastOpen; s.Options.usualLen()+f.paddedLen() > maxOptionsLen {
			s.Options.FastOpen = FastOpen{}
		}
		s.Options.truncateSACK(again.Options.SACKCount)
		if again.Header != s.Header || !bytes.Equal(again.Payload, s.Payload) {
			t.Fatalf("\n got %v\nwant %v", again, s)
		}
	})
}

// truncateSACK drops all blocks but the first n.
func (o *Options) truncateSACK(n uint8) {
	if n < o.SACKCount && o.fitting(o.fixedLen()) == int(n) {
		clear(o.SACK[n:])
		o.SACKCount = n
	}
}

// FuzzOptions builds any valid header: parsing gives it back, whatever follows it.
func FuzzOptions(f *testing.F) {
	f.Add(uint32(0), uint32(0), uint16(SYN), uint16(1460), uint16(0x1f), uint8(7), uint32(1), uint32(2), uint8(0), "")
	f.Add(uint32(1), uint32(2), uint16(ACK), uint16(0), uint16(0x4), uint8(0), uint32(1), uint32(2), uint8(3), "payload")
	f.Fuzz(func(t *testing.T, seq, ack uint32, flags, mss, set uint16, scale uint8, a, b uint32, blocks uint8, payload string) {
		h := Header{
			SrcPort: uint16(a), DstPort: uint16(b), Seq: Seq(seq), Ack: Seq(ack),
			Flags: Flags(flags), Window: set, Urgent: mss,
		}
		o := &h.Options
		if h.Flags.Has(SYN) {
			o.MSS = mss
			o.SACKPermitted = set&1 != 0
			if set&2 != 0 {
				o.HasScale, o.Scale = true, scale
			}
		}
		if set&4 != 0 {
			o.HasTimestamps, o.TSVal, o.TSEcr = true, a, b
		}
		o.SACKCount = min(blocks, MaxSACKBlocks)
		o.SACKCount = uint8(o.fitting(o.fixedLen()))
		for i := range o.Blocks() {
			o.SACK[i] = SACKBlock{Seq(a) + Seq(i), Seq(b) - Seq(i)}
		}
		out := h.AppendTo(nil)
		if len(out) != h.Len() || len(out)%4 != 0 || len(out) > MaxHeaderLen {
			t.Fatalf("%d octets, Len() is %d", len(out), h.Len())
		}
		checkEmitted(t, out[MinHeaderLen:])
		s, err := Parse(append(out, payload...))
		if err != nil || s.Header != h || string(s.Payload) != payload {
			t.Fatalf("%v\n got %+v %q\nwant %+v %q", err, s.Header, s.Payload, h, payload)
		}
	})
}

// checkEmitted walks options that we sent: each but EOL and NOP has a length
// that leads to the next, and nothing but zeros follows EOL (req: MUST-68, MUST-69).
func checkEmitted(t *testing.T, b []byte) {
	t.Helper()
	for i := 0; i < len(b); {
		switch b[i] {
		case optEOL:
			if len(bytes.Trim(b[i:], "\x00")) != 0 {
				t.Fatalf("padding % x", b[i:])
			}
			return
		case optNOP:
			i++
		default:
			if i+1 >= len(b) || b[i+1] < 2 || i+int(b[i+1]) > len(b) {
				t.Fatalf("option at %d of % x has no good length", i, b)
			}
			i += int(b[i+1])
		}
	}
}
