package explain

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/trace/pcapng"
	"ustack/tcpseg"
)

var (
	four = [2]ippkt.Addr{ippkt.FromNetip(netip.MustParseAddr("10.90.0.1")), ippkt.FromNetip(netip.MustParseAddr("10.90.0.2"))}
	six  = [2]ippkt.Addr{ippkt.FromNetip(netip.MustParseAddr("fd90::1")), ippkt.FromNetip(netip.MustParseAddr("fd90::2"))}
)

// segment makes a TCP packet.
func segment(ends [2]ippkt.Addr, h tcpseg.Header, payload string) []byte {
	tcp := append(h.AppendTo(nil), payload...)
	sum := ippkt.TransportChecksum(tcp, new([4][]byte), ippkt.PseudoSum(ends[0], ends[1], ippkt.ProtoTCP, len(tcp)))
	tcp[tcpseg.ChecksumOffset], tcp[tcpseg.ChecksumOffset+1] = byte(sum>>8), byte(sum)
	ip := ippkt.Header{Src: ends[0], Dst: ends[1], Proto: ippkt.ProtoTCP, TTL: 64, DontFragment: true}
	return append(ip.AppendTo(nil, len(tcp)), tcp...)
}

var syn = tcpseg.Header{SrcPort: 40000, DstPort: 80, Seq: 7, Flags: tcpseg.SYN | tcpseg.ECE | tcpseg.CWR, Window: 65535,
	Options: tcpseg.Options{MSS: 1460, HasScale: true, Scale: 7, SACKPermitted: true, HasTimestamps: true, TSVal: 1, TSEcr: 2}}

func explained(b []byte, length int) string {
	var out strings.Builder
	layers, verdict := Packet(b, length)
	Write(&out, layers, verdict)
	return out.String()
}

// TestPacket: what is in a packet is told, and what the stack makes of it.
func TestPacket(t *testing.T) {
	data := tcpseg.Header{SrcPort: 80, DstPort: 40000, Seq: 1, Ack: 8, Flags: tcpseg.ACK | tcpseg.PSH,
		Options: tcpseg.Options{SACKCount: 1, SACK: [tcpseg.MaxSACKBlocks]tcpseg.SACKBlock{{Left: 100, Right: 200}}}}
	wrong := segment(four, syn, "")
	wrong[len(wrong)-1] ^= 1
	short := segment(four, syn, "")
	for _, tt := range []struct {
		name   string
		packet []byte
		want   []string
	}{
		{"IPv4", segment(four, syn, ""), []string{"source 10.90.0.1", "header checksum: right", "protocol 6: TCP", "flags: DF; fragment offset 0",
			"source port 40000", "flags: CWR ECE SYN", "checksum: right", "maximum segment size 1460", "window scale 7: windows count in units of 128",
			"timestamps: value 1, echo 2", "RFC 7323 §2", "\nwell formed\n"}},
		{"IPv6", segment(six, data, "HTTP/1.1 200 OK\r\n\r\n"), []string{"version 6, DSCP 0", "source fd90::1", "SACK: 100–200", "flags: ACK PSH",
			`19 octets: "HTTP/1.1 200 OK"`, "\nwell formed\n"}},
		{"wrong checksum", wrong, []string{"checksum: WRONG", "refuses this packet: tcp-checksum (RFC 9293 §3.1)"}},
		{"too short", short[:30], []string{"the packet ends here: 2 octets are missing", "refuses this packet: ip-total-length"}},
		{"empty", nil, []string{"refuses this packet: ip-short"}},
		{"version 5", []byte{0x50}, []string{"neither 4 nor 6", "ip-"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := explained(tt.packet, len(tt.packet))
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("nothing says %q:\n%s", w, got)
				}
			}
		})
	}
	if got := explained(short[:30], len(short)); strings.Contains(got, "WRONG") || !strings.Contains(got, "not all of it was captured") {
		t.Errorf("a packet that was cut:\n%s", got)
	}
}

// TestEveryOctet: each octet of a packet that is whole is told of once.
func TestEveryOctet(t *testing.T) {
	for _, hexed := range []string{
		"4500001c000040004001262b0a5a00010a5a00020800f7ff00000000",                                                                   // ICMP
		"600000000008114000000000000000000000000000000001000000000000000000000000000000020035003500080000",                           // UDP
		"60000000001000400000000000000000000000000000000100000000000000000000000000000002" + "3a00050200000100" + "8000000000010002", // hop by hop, ICMPv6
	} {
		b, err := hex.DecodeString(hexed)
		if err != nil {
			t.Fatal(err)
		}
		check(t, b)
	}
	check(t, segment(four, syn, "hello"))
	check(t, segment(six, syn, ""))
}

func check(t *testing.T, b []byte) {
	t.Helper()
	layers, _ := Packet(b, len(b))
	at := 0
	for _, l := range layers {
		for _, f := range l.Fields {
			if f.Offset != at {
				t.Errorf("%s: %q is at %d, not at %d", l.Name, f.Text, f.Offset, at)
			}
			at = f.Offset + len(f.Octets)
		}
	}
	if at != len(b) {
		t.Errorf("%d of %d octets are explained", at, len(b))
	}
}

// TestCapture: packets come out of captures of our own, with their comments.
func TestCapture(t *testing.T) {
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file, pcapng.Options{SnapLen: 50})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1000, 0)
	for i := range 2 {
		w.Write(&pcapng.Packet{Direction: link.Out, Time: start.Add(time.Duration(i) * time.Second), Pieces: [][]byte{segment(four, syn, "")}, Comments: []string{"why"}})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !IsCapture(file.Bytes()) || IsCapture([]byte("4500")) {
		t.Error("captures are not known by their first octets")
	}
	var got []*Captured
	if err := Capture(bufio.NewReader(&file), func(c *Captured) error {
		got = append(got, c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].At != time.Second || len(got[1].Data) != 50 || got[1].Length != 60 || got[1].Comments[0] != "why" {
		t.Errorf("%d packets, the last %+v", len(got), got[len(got)-1])
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(segment(four, syn, "x"), 0)
	f.Add(segment(six, syn, ""), 2000)
	f.Fuzz(func(t *testing.T, b []byte, length int) {
		layers, _ := Packet(b, length)
		at := 0
		for _, l := range layers {
			for _, field := range l.Fields {
				if field.Offset < at || field.Offset+len(field.Octets) > len(b) {
					t.Fatalf("%s: %q lies at %d to %d, after %d, of %d", l.Name, field.Text, field.Offset, field.Offset+len(field.Octets), at, len(b))
				}
				at = field.Offset + len(field.Octets)
			}
		}
	})
}
