package pcapng

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// super is a super-segment of n octets of payload as the stack writes it, and as it is on a wire.
func super(t *testing.T, v6 bool, n, mss int) (o link.Offload, packet []byte, wire [][]byte) {
	t.Helper()
	ip := ippkt.Header{Src: ippkt.FromNetip(netip.MustParseAddr("10.90.0.2")), Dst: ippkt.FromNetip(netip.MustParseAddr("10.90.0.1"))}
	o = link.Offload{NeedsCsum: true, GSO: link.GSOTCPv4, GSOSize: uint16(mss), CsumStart: 20, CsumOffset: 16}
	if v6 {
		ip.Src, ip.Dst = ippkt.FromNetip(netip.MustParseAddr("fd90::2")), ippkt.FromNetip(netip.MustParseAddr("fd90::1"))
		o.GSO, o.CsumStart = link.GSOTCPv6, 40
	}
	ip.Proto, ip.TTL, ip.ID, ip.DontFragment = ippkt.ProtoTCP, 64, 0xfff0, true
	tcp := tcpseg.Header{SrcPort: 80, DstPort: 40000, Seq: 0xffffff00, Flags: tcpseg.ACK | tcpseg.PSH | tcpseg.FIN | tcpseg.CWR, Window: 9}
	packet = tcp.AppendTo(ip.AppendTo(nil, tcp.Len()+n))
	o.HdrLen = uint16(len(packet))
	for i := range n {
		packet = append(packet, byte(i*7))
	}
	if err := ippkt.SegmentTCP(nil, packet, mss, func(b []byte) error { wire = append(wire, bytes.Clone(b)); return nil }); err != nil {
		t.Fatal(err)
	}
	return o, packet, wire
}

// written is a packet of a capture.
type written struct {
	data     []byte
	length   int
	refused  bool
	at       time.Time
	comments []string
	flags    pcapgo.NgEpbFlags
}

// readAll reads a capture back.
func readAll(t *testing.T, file io.Reader) (list []written) {
	t.Helper()
	r, err := pcapgo.NewNgReader(file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		p := written{data: data, length: info.Length, refused: info.InterfaceIndex == 1, at: info.Timestamp, comments: opts.Comments}
		if opts.Flags != nil {
			p.flags = *opts.Flags
		}
		list = append(list, p)
	}
}

// TestWireView follows super-segments through a ring: the capture holds the packets that they are on a wire, each with the
// comment and its number, those that were refused on the other interface, and what is missing is told once.
func TestWireView(t *testing.T) {
	const n, mss = 10_000, 1448
	for _, v6 := range []bool{false, true} {
		for _, limit := range []int{link.MaxPacket, 128, 2000} {
			t.Run(fmt.Sprintf("v6=%v limit=%d", v6, limit), func(t *testing.T) {
				o, packet, wire := super(t, v6, n, mss)
				headers := len(packet) - n
				var file bytes.Buffer
				w, err := NewWriter(&file, Options{SnapLen: limit})
				if err != nil {
					t.Fatal(err)
				}
				r := trace.NewRingSize(2, limit, 1<<20)
				at := time.Unix(1, 5)
				header := tcpseg.Header{Flags: tcpseg.ACK}
				out := trace.Event{Kind: trace.PacketOut, Time: at, Segment: &header, Offload: o, Pieces: [][]byte{packet[:headers], packet[headers : headers+9], packet[headers+9:]}}
				in := trace.Event{Kind: trace.PacketIn, Time: at, Segment: &header, Payload: n, Offload: o, Pieces: [][]byte{packet}, Drop: "tcp-paws"}
				r.Trace(&out)
				r.Trace(&out)
				r.Trace(&out) // no room
				var rec trace.Record
				r.Next(&rec)
				r.Trace(&in)
				r.Close()
				Follow(r, w.Write)
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				list := readAll(t, &file)
				if len(list) != 2*len(wire) {
					t.Fatalf("%d packets, want %d", len(list), 2*len(wire))
				}
				for i, p := range list {
					k, what, direction := i%len(wire), "", pcapgo.NgEpbFlagDirectionOutbound
					if i >= len(wire) {
						what, direction = "refused: tcp-paws (RFC 7323 §5)", pcapgo.NgEpbFlagDirectionInbound
					}
					want := wire[k]
					known := headers + min(max(limit-headers-k*mss, 0), len(want)-headers)
					if p.length != len(want) || len(p.data) != known {
						t.Errorf("packet %d: %d of %d octets, want %d of %d", i, len(p.data), p.length, known, len(want))
					}
					if known == len(want) && !bytes.Equal(p.data, want) || !bytes.Equal(p.data[:headers-4], want[:headers-4]) {
						t.Errorf("packet %d is\n% x, want\n% x", i, p.data, want)
					}
					if p.refused != (what != "") || !p.at.Equal(at) || p.flags.Direction != direction {
						t.Errorf("packet %d: refused %v, at %v, %v", i, p.refused, p.at, p.flags.Direction)
					}
					number := fmt.Sprintf(" (%d of %d of one super-segment)", k+1, len(wire))
					if last := p.comments[len(p.comments)-1]; last != what+number && (what != "" || !strings.HasSuffix(last, number)) {
						t.Errorf("packet %d: comment %q", i, last)
					}
					if gap := len(p.comments) == 2; gap != (i == len(wire)) {
						t.Errorf("packet %d: comments %q", i, p.comments)
					}
				}
			})
		}
	}
}

// TestWireViewOfOthers: what says that it is a super-segment and is none is written as it is, and one that fits into one
// packet has no number.
func TestWireViewOfOthers(t *testing.T) {
	o, packet, wire := super(t, false, 100, 1448)
	junk := []byte{0x45, 1, 2, 3}
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{packet, junk} {
		if err := w.Write(&Packet{Offload: o, Pieces: [][]byte{p}, Comments: []string{"a · b"}}); err != nil {
			t.Fatal(err)
		}
	}
	tap(w, link.In, time.Now(), o, [][]byte{append(packet, make([]byte, 5)...)}) // without a comment
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	list := readAll(t, &file)
	if len(list) != 3 || !bytes.Equal(list[0].data, wire[0]) || !bytes.Equal(list[1].data, junk) || len(list[2].comments) != 0 {
		t.Fatalf("%+v", list)
	}
	for _, p := range list[:2] {
		if len(p.comments) != 1 || p.comments[0] != "a · b" {
			t.Errorf("comments %q", p.comments)
		}
	}
}

func TestNumber(t *testing.T) {
	for comment, want := range map[string]string{
		"new data · cwnd 14600 · slow start": "new data (2 of 44 of one super-segment) · cwnd 14600 · slow start",
		"data":                               "data (2 of 44 of one super-segment)",
	} {
		if got := number(comment, 2, 44); got != want {
			t.Errorf("%q", got)
		}
	}
}

// BenchmarkWire writes super-segments of 64 KiB as the packets that they are.
func BenchmarkWire(b *testing.B) {
	o, packet, _ := super(&testing.T{}, false, 44*1448, 1448)
	w, err := NewWriter(io.Discard, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	p := Packet{Offload: o, Pieces: [][]byte{packet}, Comments: []string{"new data · cwnd 14480 ssthresh ∞ in flight 8688 peer window 64128 srtt 12.3 ms rto 212 ms · slow start"}}
	for b.Loop() {
		w.Write(&p)
	}
	w.Close()
}
