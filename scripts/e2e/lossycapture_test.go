package e2e

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ustack/ippkt"
	"ustack/tcpseg"
)

// what is what a comment says of a packet, without its number in a super-segment and the state of the connection.
func (p packet) what() string {
	text, _, _ := strings.Cut(p["frame.comment"], " · ")
	text, _, _ = strings.Cut(text, " (")
	return text
}

// sendsAgain are the comments of what is sent again.
var sendsAgain = []string{"fast retransmit", "retransmission time-out", "tail loss probe"}

// verdict is what tshark takes a packet for that brings what was sent before.
func (p packet) verdict() string {
	for _, v := range []string{"fast_retransmission", "spurious_retransmission", "out_of_order", "retransmission"} {
		if p["tcp.analysis."+v] != "" {
			return v
		}
	}
	return ""
}

// sender follows the packets that one end sends in one direction, and the acknowledgements that come back.
type sender struct {
	next    float64 // the first octet never sent
	newest  float64 // when what is before it was sent
	acked   float64
	heard   float64 // when the last ACK came
	dupACKs float64 // tshark's number in the last ACK; 0: it was none
	rtt     float64 // of the handshake
}

// hears notes what tshark says of a packet that comes back.
func (s *sender) hears(p packet) {
	s.acked, s.dupACKs, s.heard = p.number("tcp.ack"), p.number("tcp.analysis.duplicate_ack_num"), p.number("frame.time_relative")
}

// sends notes a segment, and reports whether it brings what was sent before.
func (s *sender) sends(p packet) (again bool) {
	seq := p.number("tcp.seq")
	again = seq < s.next
	if end := seq + p.number("tcp.len"); end > s.next {
		s.next, s.newest = end, p.number("frame.time_relative")
	}
	return again
}

// explains says why tshark takes a segment for something else than a fast retransmission, or for out of order; "": it
// should not have.
func (s *sender) explains(p packet) string {
	const fast = 0.020 // how soon after the last ACK tshark takes it for its effect
	at := p.number("frame.time_relative")
	soon := at-s.newest < s.rtt
	first := p.number("tcp.seq") == s.acked
	last := p.number("tcp.seq")+p.number("tcp.len") == s.next
	switch verdict := p.verdict(); {
	case verdict == "out_of_order" && (!soon || last):
		return ""
	case verdict == "retransmission" && soon && !last:
		return ""
	case !first:
		return "not the first hole: the ACKs ask for an earlier octet"
	case s.dupACKs < 2:
		return "fewer than two duplicate ACKs: SACK and RACK need none"
	case at-s.heard >= fast:
		return "more than 20 ms after the last ACK"
	}
	return ""
}

// agreement holds the comments of what the server sent against tshark's analysis. It counts what each says, and lists
// where they differ.
type agreement struct {
	sender
	counts  map[string]int
	reasons map[string]int
}

func (a *agreement) judge(t *testing.T, i int, p packet) {
	t.Helper()
	if p.number("tcp.len") == 0 || p.what() == "zero-window probe" {
		return
	}
	again, commented, verdict := a.sends(p), slices.Contains(sendsAgain, p.what()), p.verdict()
	a.counts[fmt.Sprintf("%s / %s", p.what(), verdict)]++
	switch {
	case again != commented:
		t.Errorf("packet %d was sent before: %v; comment %q", i, again, p["frame.comment"])
	case again != (verdict != ""):
		t.Errorf("packet %d was sent before: %v; tshark takes it for %q", i, again, verdict)
	case verdict == "out_of_order", verdict == "retransmission":
		why := a.explains(p)
		if why == "" {
			t.Errorf("packet %d: why does tshark take it for %s? %+v; %v", i, verdict, a.sender, p)
		}
		a.reasons[verdict+": "+why]++
	}
}

// TestCaptureOfLossyDownload is a download that loses one packet in a hundred: every packet has a comment, and each one
// that was sent again says so, as tshark does, or tshark's reason to see it otherwise is known (docs/trace.md).
func TestCaptureOfLossyDownload(t *testing.T) {
	need(t, "tshark", "curl")
	for _, impair := range []string{"loss=1%,seed=7", "loss=1%,delay=2ms,seed=7"} {
		t.Run(impair, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "lossy.pcapng")
			s := serve(t, "--pcap", file, "--impair", impair)
			start := time.Now()
			fetch(t, families[0].url("/_/bytes/10000000"), 10_000_000, time.Minute)
			took := time.Since(start)
			s.stop()
			list := packets(t, file, "frame")
			a := agreement{counts: map[string]int{}, reasons: map[string]int{}}
			for i, p := range list {
				if p["frame.comment"] == "" || strings.Contains(p["frame.comment"], "are missing") {
					t.Fatalf("packet %d, comment %q: %v", i+1, p["frame.comment"], p)
				}
				if p["tcp.analysis.initial_rtt"] != "" {
					a.rtt = p.number("tcp.analysis.initial_rtt")
				}
				if p.ours() {
					a.judge(t, i+1, p)
				} else {
					a.hears(p)
				}
			}
			sent, again := 0, 0
			for what, n := range a.counts {
				sent += n
				if !strings.HasSuffix(what, "/ ") {
					again += n
				}
				t.Logf("%6d %s", n, what)
			}
			for why, n := range a.reasons {
				t.Logf("%6d differ: %s", n, why)
			}
			if sent < 6900 || again < 30 || again > 300 {
				t.Errorf("%d segments, %d of them sent again", sent, again)
			}
			t.Logf("%d packets in %v; %d segments of ours with data, %d sent again", len(list), took.Round(time.Millisecond), sent, again)
		})
	}
}

// TestCaptureOfSuperSegments moves data both ways in super-segments, and sends one packet with a wrong checksum. The
// capture shows what would be on a wire: no packet is larger than the MTU, and tshark finds nothing to complain of but that
// packet, which is on the interface for what was refused.
func TestCaptureOfSuperSegments(t *testing.T) {
	need(t, "tshark", "curl")
	for _, offload := range []string{"auto", "on"} {
		t.Run(offload, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "clean.pcapng")
			s := serve(t, "--pcap", file, "--offload", offload)
			for _, f := range families {
				fetch(t, f.url("/_/bytes/10000000"), 10_000_000, time.Minute)
				echoBack(t, f.url("/_/echo"), 2_000_000, time.Minute)
			}
			sendBad(t)
			time.Sleep(100 * time.Millisecond)
			device := countDevice(t)
			s.stop()
			clean, refused := splitRefused(withSYN(packets(t, file, "frame")))
			judge(t, clean)
			sent := 0
			for i, p := range clean {
				if p["frame.comment"] == "" || p["tcp.analysis.lost_segment"] != "" || p["tcp.analysis.ack_lost_segment"] != "" {
					t.Fatalf("packet %d: %v", i+1, p)
				}
				if p.ours() {
					sent++
				}
			}
			got := len(clean) - sent
			t.Logf("captured %d and %d packets, ours and the kernel's; through the device went %d and %d, of %d and %d octets on average",
				sent, got, device.RX.Packets, device.TX.Packets, device.RX.Bytes/device.RX.Packets, device.TX.Bytes/device.TX.Packets)
			if device.RX.Packets*3 > sent || device.TX.Packets > got || device.RX.Bytes/device.RX.Packets < 4500 {
				t.Error("no super-segments went through the device")
			}
			var bad []packet
			for _, p := range refused {
				if strings.HasPrefix(p["frame.comment"], "refused: tcp-checksum (RFC 9293 §3.1)") {
					bad = append(bad, p)
				} else { // the kernel probes, too, and looks for routers
					t.Logf("%s: %s", p["frame.comment"], p["_ws.col.Info"])
				}
			}
			if len(bad) != 1 || bad[0]["tcp.checksum.status"] != "0" || bad[0]["tcp.checksum"] != "0x0bad" {
				t.Errorf("refused for its checksum: %v", bad)
			}
		})
	}
}

// withSYN leaves out the streams that begin elsewhere: a kernel that still says goodbye to a server before this one.
func withSYN(list []packet) []packet {
	begun := map[string]bool{"": true} // what is not TCP
	return slices.DeleteFunc(list, func(p packet) bool {
		if p.flags()&flagSYN != 0 {
			begun[p["tcp.stream"]] = true
		}
		return !begun[p["tcp.stream"]]
	})
}

// splitRefused takes the packets apart by the interface that they are on.
func splitRefused(list []packet) (taken, refused []packet) {
	for _, p := range list {
		if p["frame.interface_name"] == device+"-refused" {
			refused = append(refused, p)
		} else {
			taken = append(taken, p)
		}
	}
	return taken, refused
}

// sendBad sends the server a segment with a checksum that is wrong.
func sendBad(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ip := ippkt.Header{
		Src: ippkt.FromNetip(netip.MustParseAddr(host4)), Dst: ippkt.FromNetip(netip.MustParseAddr(addr4)),
		Proto: ippkt.ProtoTCP, TTL: 64,
	}
	tcp := tcpseg.Header{SrcPort: 9, DstPort: 80, Flags: tcpseg.SYN, Window: 1000}
	b := tcp.AppendTo(ip.AppendTo(nil, tcp.Len()))
	binary.BigEndian.PutUint16(b[len(b)-tcp.Len()+tcpseg.ChecksumOffset:], 0xbad)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: [4]byte(netip.MustParseAddr(addr4).AsSlice())}); err != nil {
		t.Fatal(err)
	}
}
