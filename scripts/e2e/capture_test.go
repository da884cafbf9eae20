package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"ustack/scripts/sequence"
)

// capture starts tshark on the device, lets it catch up, and returns a function that ends it and gives the file.
func capture(t *testing.T, args ...string) (done func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "capture.pcapng")
	cmd := exec.Command("tshark", append([]string{"-i", device, "-B", "128", "-w", file}, args...)...)
	log := newLogBuffer()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	select {
	case <-log.seen("Capturing on"):
	case <-time.After(10 * time.Second):
		t.Fatalf("tshark does not start:\n%s", log)
	}
	awaitCapture(t, file)
	end := func() {
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			t.Errorf("tshark does not end:\n%s", log)
		}
	}
	ended := false
	t.Cleanup(func() {
		if !ended {
			end()
		}
	})
	return func() string {
		ended = true
		time.Sleep(300 * time.Millisecond) // the last packets are on their way to the file
		end()
		return file
	}
}

// awaitCapture sends datagrams to the server until one is in the file: tshark says that it captures
// long before it does.
func awaitCapture(t *testing.T, file string) {
	t.Helper()
	c, err := net.Dial("udp", addr4+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	marker := []byte("is anybody looking?")
	for range 500 {
		_, _ = c.Write(marker) // an error tells of an earlier one: the port is closed
		time.Sleep(20 * time.Millisecond)
		if b, err := os.ReadFile(file); err == nil && bytes.Contains(b, marker) {
			return
		}
	}
	t.Fatal("nothing is captured")
}

// columns are what packets reads of each packet.
var columns = []string{
	"frame.time_relative", "frame.len", "ip.src", "ipv6.src", "tcp.stream", "tcp.dstport", "tcp.flags", "tcp.len",
	"tcp.checksum", "tcp.checksum.status", "ip.checksum.status", "_ws.malformed", "tcp.analysis.flags", "_ws.col.Info",
	"tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.options.sack_perm", "tcp.options.timestamp.tsecr",
	"tcp.seq", "tcp.options.sack_le", "frame.comment", "frame.interface_name", "tcp.ack", "tcp.analysis.initial_rtt",
	"tcp.analysis.duplicate_ack_num", "tcp.analysis.retransmission", "tcp.analysis.fast_retransmission",
	"tcp.analysis.spurious_retransmission", "tcp.analysis.out_of_order", "tcp.analysis.lost_segment", "tcp.analysis.ack_lost_segment",
}

// packet is a packet as tshark tells it.
type packet map[string]string

func (p packet) number(column string) float64 {
	n, err := strconv.ParseFloat(p[column], 64)
	if err != nil {
		return 0
	}
	return n
}

// ours reports whether the server sent it.
func (p packet) ours() bool { return p["ip.src"] == addr4 || p["ipv6.src"] == addr6 }

func (p packet) flags() int64 {
	n, _ := strconv.ParseInt(p["tcp.flags"], 0, 32)
	return n
}

// Flags of TCP, in tshark's notation.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// packets reads the packets of a capture that match filter, with checksum validation on.
func packets(t *testing.T, file, filter string) []packet {
	t.Helper()
	args := []string{"-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-T", "fields", "-E", "separator=\t"}
	for _, c := range columns {
		args = append(args, "-e", c)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, stderr.Bytes())
	}
	var list []packet
	for line := range strings.Lines(string(out)) {
		p := packet{}
		for i, v := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			if v != "" && i < len(columns) {
				p[columns[i]] = v
			}
		}
		list = append(list, p)
	}
	return list
}

// faults are what tshark must not find on a clean link.
var faults = []struct {
	name string
	has  func(packet) bool
}{
	{"malformed", func(p packet) bool { return p["_ws.malformed"] != "" }},
	// The kernel writes 0xffff for a TCP checksum of zero (skb_checksum_help), as only UDP needs it.
	{"a bad TCP checksum", func(p packet) bool {
		return p["tcp.checksum.status"] != "1" && (p.ours() || p["tcp.checksum"] != "0xffff")
	}},
	{"a bad IP checksum", func(p packet) bool { return p["ip.src"] != "" && p["ip.checksum.status"] != "1" }},
	{"beyond the MTU", func(p packet) bool { return p.number("frame.len") > 1500 }},
	{"a reset of ours", func(p packet) bool { return p.ours() && p.flags()&flagRST != 0 }},
	{"a retransmission", packet.again},
	{"out of order", func(p packet) bool {
		i := p["_ws.col.Info"]
		return strings.Contains(i, "Out-Of-Order") || strings.Contains(i, "previous segment not captured") || strings.Contains(i, "ACKed unseen")
	}},
	{"a probe", func(p packet) bool {
		i := p["_ws.col.Info"]
		return strings.Contains(i, "ZeroWindowProbe]") || strings.Contains(i, "Keep-Alive]")
	}},
}

// again reports whether tshark takes the packet for a retransmission.
func (p packet) again() bool { return strings.Contains(p["_ws.col.Info"], "Retransmission") }

// withoutProbes takes the tail loss probes out of a list: when the machine stands still for 10 ms, the sender has to ask
// for the ACK that is late (RFC 8985 §7), and a D-SACK says that nothing was lost.
func withoutProbes(list []packet) []packet {
	superfluous := func(i int) bool {
		for _, q := range list[i+1:] {
			left, _, _ := strings.Cut(q["tcp.options.sack_le"], ",")
			if q["tcp.stream"] == list[i]["tcp.stream"] && left == list[i]["tcp.seq"] {
				return true
			}
		}
		return false
	}
	var rest []packet
	for i, p := range list {
		if !p.again() || !superfluous(i) {
			rest = append(rest, p)
		}
	}
	return rest
}

// judge fails the test for what is wrong with the packets of a clean link.
func judge(t *testing.T, list []packet) {
	t.Helper()
	list = withoutProbes(list)
	for _, f := range faults {
		n := 0
		var first packet
		for _, p := range list {
			if f.has(p) {
				if n == 0 {
					first = p
				}
				n++
			}
		}
		if n > 0 {
			t.Errorf("%d packets: %s; the first: %v", n, f.name, first)
		}
	}
}

// TestCapture lets tshark judge what is on the wire, the checksums too.
// req: MUST-2
func TestCapture(t *testing.T) {
	need(t, "tshark", "curl", "wrk", "ab")
	serve(t, "--offload", "off")
	done := capture(t)
	for _, f := range families {
		hello(t, f)
		persistent(t, f)
		fetch(t, f.url("/_/bytes/8388608"), 8<<20, time.Minute)
		echoBack(t, f.url("/_/echo"), 2<<20, time.Minute)
		run(t, time.Minute, "ab", "-q", "-n", "200", "-c", "8", f.url("/_/hello"))
		run(t, time.Minute, "ab", "-q", "-k", "-n", "2000", "-c", "8", f.url("/_/hello"))
		if *full {
			wrk(t, f, "/_/hello", "-c8", "-d1s")
		}
	}
	list := packets(t, done(), "tcp")
	if len(list) < 10_000 {
		t.Fatalf("only %d TCP packets in the capture", len(list))
	}
	t.Logf("%d TCP packets", len(list))
	judge(t, list)
	t.Run("handshake", func(t *testing.T) { handshakeOptions(t, list) })
	t.Run("piggyback", func(t *testing.T) { piggyback(t, list) })
}

// handshakeOptions expects MSS, window scale, SACK-permitted and timestamps in every SYN,ACK.
// req: MUST-14 MUST-67 SHLD-5 MAY-3
func handshakeOptions(t *testing.T, list []packet) {
	n := 0
	for _, p := range list {
		if p.flags()&(flagSYN|flagACK) != flagSYN|flagACK {
			continue
		}
		n++
		mss := "1440"
		if p["ip.src"] != "" {
			mss = "1460"
		}
		if p["tcp.options.mss_val"] != mss || p["tcp.options.wscale.shift"] == "" || p["tcp.options.sack_perm"] == "" || p.number("tcp.options.timestamp.tsecr") == 0 {
			t.Fatalf("want MSS %s, window scale, SACK-permitted and an echoed timestamp in %v", mss, p)
		}
	}
	if n < 400 {
		t.Errorf("only %d handshakes", n)
	}
	t.Logf("%d handshakes", n)
}

// piggyback expects the ACK of a request to ride on its response. In the first connection, one hello,
// the server sends a SYN,ACK, the response, and its FIN, perhaps after the ACK of the client's.
// req: MUST-58 SHLD-18
func piggyback(t *testing.T, list []packet) {
	var first []packet
	ended := false // the first connection; its ports may come again
	small, bare := 0, 0
	afterRequest := map[string]bool{} // streams whose last data came from the client, in one small segment
	for _, p := range list {
		stream, size := p["tcp.stream"], p.number("tcp.len")
		if p.ours() && stream == "0" && !ended {
			first = append(first, p)
			ended = p.flags()&flagFIN != 0
		}
		switch {
		case !p.ours() && size > 0:
			afterRequest[stream] = size < 300
			if size < 300 {
				small++
			}
		case p.ours() && size > 0:
			afterRequest[stream] = false
		case p.ours() && p.flags() == flagACK && afterRequest[stream]:
			bare++
		}
	}
	if len(first) < 3 || len(first) > 4 || first[1].number("tcp.len") == 0 {
		t.Errorf("a hello takes the server %d packets: %v", len(first), first)
	}
	if small < 4000 || bare*100 > small {
		t.Errorf("%d of %d requests were acknowledged before they were answered", bare, small)
	}
	t.Logf("%d requests, %d acknowledged before they were answered", small, bare)
}

// TestSlowStart delays packets so that each round trip stands alone, and expects ten segments in the
// first, and twice as many in each that follows.
// req: 5681-02 6928-01 P-6
func TestSlowStart(t *testing.T) {
	need(t, "tshark", "curl")
	serve(t, "--offload", "off", "--impair", "delay=50ms")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			// A busy machine adds delays of its own, and flights run into each other: one good try is enough.
			for range 3 {
				flights := slowStart(t, f)
				t.Logf("segments in each round trip: %v", flights)
				if flights[0] == 10 && doubles(flights) {
					return
				}
			}
			t.Error("no try started with ten segments and doubled from round trip to round trip")
		})
	}
}

// doubles expects the first four round trips to double, give or take what the head of the response and
// half-filled windows take away.
func doubles(flights []int) bool {
	if len(flights) < 4 {
		return false
	}
	for i := 1; i < 4; i++ {
		if f := float64(flights[i]) / float64(flights[i-1]); f < 1.7 || f > 2.1 {
			return false
		}
	}
	return true
}

// slowStart downloads a little and returns how many segments the server sent in each round trip.
func slowStart(t *testing.T, f family) []int {
	t.Helper()
	done := capture(t)
	patientFetch(t, f)
	var flights []int
	last := -1.0
	for _, p := range packets(t, done(), "tcp.srcport == 80 && tcp.len > 0") {
		at := p.number("frame.time_relative")
		if last < 0 || at-last > 0.05 {
			flights = append(flights, 0)
		}
		flights[len(flights)-1]++
		last = at
	}
	if len(flights) == 0 {
		t.Fatal("nothing in the capture")
	}
	return flights
}

// patientFetch downloads a little with a socket that takes it all before anybody reads: while a program
// reads, the kernel gathers ACKs, and one ACK is worth eight segments at most.
func patientFetch(t *testing.T, f family) {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var setErr error
		err := c.Control(func(fd uintptr) {
			setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
			if setErr == unix.EPERM { // in a user namespace: what the machine allows is enough for four round trips
				setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
			}
		})
		return errors.Join(err, setErr)
	}}
	c, err := d.Dial("tcp", f.host+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const size = 300_000
	fmt.Fprintf(c, "GET /_/bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", size)
	time.Sleep(700 * time.Millisecond)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := sequence.Read(r); n != size || err != nil {
		t.Fatalf("%d octets, %v", n, err)
	}
}

// TestOffloadAuto starts a capture in the middle of a download: within half a second it sees packets
// of wire size only, and the stack says so; when the capture ends, it says that too.
func TestOffloadAuto(t *testing.T) {
	need(t, "tshark", "curl")
	s := serve(t, "--offload", "auto")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			cmd := exec.Command("curl", "-sS", "--noproxy", "*", "-o", "/dev/null", f.url("/_/bytes/1099511627776"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			time.Sleep(300 * time.Millisecond)
			done := capture(t, "-s", "96", "tcp port 80 or udp")
			time.Sleep(700 * time.Millisecond)
			file := done()
			late, big := lateFrames(t, file)
			if late < 1000 || big > 0 {
				t.Errorf("after half a second %d frames, %d of them beyond the MTU", late, big)
			}
			t.Logf("%d frames after half a second, none beyond the MTU", late)
		})
	}
	for _, word := range []string{"packets are wire-sized", "super-segments again"} {
		select {
		case <-s.log.seen(word):
		case <-time.After(2 * time.Second):
			t.Errorf("the stack does not say %q:\n%s", word, s.log)
		}
	}
}

// lateFrames counts the packets of a capture from half a second after its first on, and those of them
// that are beyond the MTU.
func lateFrames(t *testing.T, file string) (late, big int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(bufio.NewReader(f), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var start time.Time
	for {
		_, info, err := r.ReadPacketData()
		if err == io.EOF {
			return late, big
		}
		if err != nil {
			t.Fatal(err)
		}
		if start.IsZero() {
			start = info.Timestamp
		}
		if info.Timestamp.Sub(start) < 500*time.Millisecond {
			continue
		}
		late++
		if info.Length > 1500 {
			big++
		}
	}
}

// TestPcap expects --pcap to hold the whole story from the SYN on.
func TestPcap(t *testing.T) {
	need(t, "tshark", "curl")
	file := filepath.Join(t.TempDir(), "served.pcapng")
	s := serve(t, "--pcap", file)
	hello(t, families[0])
	fetch(t, families[1].url("/_/bytes/1000000"), 1_000_000, time.Minute)
	s.stop()
	list := packets(t, file, "frame")
	if len(list) < 20 || list[0].flags() != flagSYN {
		t.Fatalf("%d packets, the first %v: want a SYN", len(list), list[0])
	}
	judge(t, list)
	t.Logf("%d packets, the SYN first", len(list))
	if names := run(t, time.Minute, "tshark", "-r", file, "-N", "n", "-T", "fields", "-e", "ip.src_host", "-e", "ipv6.src_host"); strings.Count(names, "ustack\n") < 6 || strings.Count(names, "host\n") < 6 {
		t.Errorf("tshark shows these names:\n%s", names)
	}
	var comments strings.Builder
	for i, p := range list {
		if c := p["frame.comment"]; c == "" || c == "not TCP" {
			t.Fatalf("packet %d, comment %q: %v", i+1, c, p)
		}
		comments.WriteString(p["frame.comment"] + "\n")
	}
	for _, want := range []string{"new data · answer 1: 200 GET /_/hello · carries the ACK of ", "new data (2 of ", "slow start", "opens the connection"} {
		if !strings.Contains(comments.String(), want) {
			t.Errorf("no comment says %q", want)
		}
	}
}
