package tcpseg

import (
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
)

// randomHeader returns a header with options that fit. gVisor raises an MSS below
// its minimum and caps the scale, so both stay within its range.
func randomHeader(r *rand.Rand) Header {
	h := Header{
		SrcPort: uint16(r.Uint32()), DstPort: uint16(r.Uint32()), Seq: Seq(r.Uint32()), Ack: Seq(r.Uint32()),
		Flags: Flags(r.Uint32()), Window: uint16(r.Uint32()), Urgent: uint16(r.Uint32()),
	}
	o := &h.Options
	if h.Flags.Has(SYN) {
		o.SACKPermitted = r.IntN(2) == 0
		if r.IntN(2) == 0 {
			o.MSS = header.TCPMinimumSendMSS + uint16(r.IntN(60000))
		}
		if r.IntN(2) == 0 {
			o.HasScale, o.Scale = true, uint8(r.IntN(header.MaxWndScale+1))
		}
	}
	if r.IntN(2) == 0 {
		o.HasTimestamps, o.TSVal, o.TSEcr = true, r.Uint32(), r.Uint32()
	}
	o.SACKCount = uint8(r.IntN(MaxSACKBlocks + 1))
	o.SACKCount = uint8(o.fitting(o.fixedLen()))
	for i := range o.Blocks() {
		o.SACK[i] = SACKBlock{Seq(r.Uint32()), Seq(r.Uint32())}
	}
	return h
}

// TestGvisorReadsOurs encodes headers and has gVisor parse them.
func TestGvisorReadsOurs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		h := randomHeader(r)
		b := header.TCP(h.AppendTo(nil))
		if int(b.DataOffset()) != h.Len() || b.SourcePort() != h.SrcPort || b.DestinationPort() != h.DstPort ||
			b.SequenceNumber() != uint32(h.Seq) || b.AckNumber() != uint32(h.Ack) || uint8(b.Flags()) != uint8(h.Flags) ||
			b.WindowSize() != h.Window || b.UrgentPointer() != h.Urgent || b.Checksum() != 0 {
			t.Fatalf("gVisor reads % x otherwise than %v", []byte(b), h)
		}
		checkOptions(t, &h, b.Options())
	}
}

func checkOptions(t *testing.T, h *Header, options []byte) {
	t.Helper()
	o := &h.Options
	got := header.ParseTCPOptions(options)
	if got.TS != o.HasTimestamps || got.TSVal != o.TSVal || got.TSEcr != o.TSEcr || len(got.SACKBlocks) != int(o.SACKCount) {
		t.Fatalf("gVisor finds %+v in %v", got, h)
	}
	for i, s := range o.Blocks() {
		if want := (header.SACKBlock{Start: seqnum.Value(s.Left), End: seqnum.Value(s.Right)}); got.SACKBlocks[i] != want {
			t.Fatalf("gVisor finds block %v, want %v", got.SACKBlocks[i], want)
		}
	}
	if !h.Flags.Has(SYN) {
		return
	}
	want := header.TCPSynOptions{
		MSS: header.TCPDefaultMSS, WS: -1, TS: o.HasTimestamps, TSVal: o.TSVal, TSEcr: o.TSEcr, SACKPermitted: o.SACKPermitted,
	}
	if o.MSS != 0 {
		want.MSS = o.MSS
	}
	if o.HasScale {
		want.WS = int(o.Scale)
	}
	if got := header.ParseSynOptions(options, true); got != want {
		t.Fatalf("gVisor finds %+v in %v", got, h)
	}
}

// TestWeReadGvisors has gVisor encode headers, its options in its own order and unpadded.
func TestWeReadGvisors(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 5000 {
		h := randomHeader(r)
		b := gvisorEncode(r, &h)
		s, err := Parse(append(b, "payload"...))
		if err != nil || s.Header != h || string(s.Payload) != "payload" {
			t.Fatalf("% x: %v\n got %v\nwant %v", b, err, s, h)
		}
	}
}

func gvisorEncode(r *rand.Rand, h *Header) []byte {
	b := make([]byte, MaxHeaderLen)
	o, n := &h.Options, MinHeaderLen
	for range r.IntN(3) {
		n += header.EncodeNOP(b[n:])
	}
	if o.HasScale {
		n += header.EncodeWSOption(int(o.Scale), b[n:])
	}
	if o.SACKPermitted {
		n += header.EncodeSACKPermittedOption(b[n:])
	}
	if o.MSS != 0 {
		n += header.EncodeMSSOption(uint32(o.MSS), b[n:])
	}
	if o.HasTimestamps {
		n += header.EncodeTSOption(o.TSVal, o.TSEcr, b[n:])
	}
	if o.SACKCount > 0 {
		var blocks []header.SACKBlock
		for _, s := range o.Blocks() {
			blocks = append(blocks, header.SACKBlock{Start: seqnum.Value(s.Left), End: seqnum.Value(s.Right)})
		}
		if room := (MaxHeaderLen - n - 2) / lenSACKBlock; len(blocks) > room {
			clear(o.SACK[room:])
			o.SACKCount = uint8(room)
		}
		n += header.EncodeSACKBlocks(blocks, b[n:])
	}
	n += header.AddTCPOptionPadding(b, n)
	header.TCP(b).Encode(&header.TCPFields{
		SrcPort: h.SrcPort, DstPort: h.DstPort, SeqNum: uint32(h.Seq), AckNum: uint32(h.Ack), DataOffset: uint8(n),
		Flags: header.TCPFlags(h.Flags), WindowSize: h.Window, UrgentPointer: h.Urgent,
	})
	return b[:n]
}
