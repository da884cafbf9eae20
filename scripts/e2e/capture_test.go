package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// capture starts tshark on the device and returns a function that ends it and gives the file.
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
	// tshark says so a moment before its helper has the socket open.
	for range 50 {
		if out, _ := exec.Command("ss", "-H0").Output(); bytes.Contains(out, []byte(device)) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
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

// fields reads a capture with checksum validation on and returns the fields of the packets that match filter.
func fields(t *testing.T, file, filter string, names ...string) [][]string {
	t.Helper()
	args := []string{"-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-T", "fields"}
	for _, n := range names {
		args = append(args, "-e", n)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, stderr.Bytes())
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

func count(t *testing.T, file, filter string) int {
	t.Helper()
	return len(fields(t, file, filter, "frame.number"))
}

// fromServer matches what we sent, on both families.
const fromServer = "(ip.src == " + addr4 + " || ipv6.src == " + addr6 + ")"

// TestCapture lets tshark judge what is on the wire.
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
		wrk(t, f, "/_/hello", "-c8", "-d1s")
	}
	file := done()

	total := count(t, file, "tcp")
	if total < 10_000 {
		t.Fatalf("only %d TCP packets in the capture", total)
	}
	t.Logf("%d TCP packets", total)
	for _, filter := range []string{
		"_ws.malformed",
		"tcp.checksum.status == 0 || ip.checksum.status == 0", // 0: bad
		"tcp.analysis.retransmission || tcp.analysis.fast_retransmission || tcp.analysis.spurious_retransmission",
		"tcp.analysis.out_of_order || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment",
		"tcp.analysis.zero_window_probe || tcp.analysis.keep_alive || tcp.analysis.window_full && tcp.analysis.zero_window",
		"tcp.options.unknown || tcp.option_len.invalid",
		"frame.len > 1500",
		fromServer + " && tcp.flags.reset == 1",
	} {
		rows := fields(t, file, filter, "frame.number", "ip.src", "tcp.stream", "_ws.col.Info")
		if len(rows) > 0 {
			t.Errorf("%d packets match %s, first %q", len(rows), filter, rows[0])
		}
	}
	good := count(t, file, "tcp.checksum.status == 1")
	if good != total {
		t.Errorf("tshark calls %d of %d TCP checksums good", good, total)
	}
	t.Run("handshake", func(t *testing.T) { handshakeOptions(t, file) })
	t.Run("piggyback", func(t *testing.T) { piggyback(t, file) })
}

// handshakeOptions expects MSS, window scale, SACK-permitted and timestamps in every SYN,ACK.
func handshakeOptions(t *testing.T, file string) {
	all := "tcp.flags.syn == 1 && tcp.flags.ack == 1"
	rows := fields(t, file, all, "ip.version", "tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.options.sack_perm", "tcp.options.timestamp.tsecr")
	if len(rows) == 0 {
		t.Fatal("no SYN,ACK")
	}
	for _, r := range rows {
		mss := "1440"
		if r[0] == "4" {
			mss = "1460"
		}
		if r[1] != mss || r[2] == "" || r[3] == "" || r[4] == "" || r[4] == "0" {
			t.Fatalf("a SYN,ACK with version, MSS, scale, SACK, TSecr = %q; want MSS %s and all the rest", r, mss)
		}
	}
	t.Logf("%d handshakes, first %q", len(rows), rows[0])
}

// piggyback expects the ACK of a request to ride on its response. In the first connection, one hello,
// the server sends a SYN,ACK, the response, and its FIN or the ACK of the client's.
func piggyback(t *testing.T, file string) {
	requests := count(t, file, "tcp.dstport == 80 && tcp.len > 0 && tcp.len < 300")
	bare := count(t, file, fromServer+" && tcp.len == 0 && tcp.flags == 0x010 && tcp.seq > 1")
	first := fields(t, file, fromServer+" && tcp.stream == 0", "tcp.flags", "tcp.len")
	for i, r := range first {
		if i == 1 && (r[1] == "0" || r[1] == "") {
			t.Errorf("the request was answered with a bare ACK first: %q", first)
		}
	}
	if len(first) < 3 || len(first) > 4 {
		t.Errorf("a hello takes the server %d packets: %q", len(first), first)
	}
	// Uploads are acknowledged on their own, and the client's FIN is.
	if requests == 0 || bare*4 > requests {
		t.Errorf("%d bare ACKs for %d requests", bare, requests)
	}
	t.Logf("%d requests, %d bare ACKs from the server", requests, bare)
}

// TestSlowStart delays packets so that each round trip stands alone, and expects ten segments in the
// first, twice as many in the next, and so on.
func TestSlowStart(t *testing.T) {
	need(t, "tshark", "curl")
	serve(t, "--offload", "off", "--impair", "delay=25ms")
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			done := capture(t)
			fetch(t, f.url("/_/bytes/1000000"), 1_000_000, time.Minute)
			file := done()
			var flights []int
			last := -1.0
			for _, r := range fields(t, file, "tcp.srcport == 80 && tcp.len > 0", "frame.time_relative") {
				at, err := strconv.ParseFloat(r[0], 64)
				if err != nil {
					t.Fatal(err)
				}
				if last < 0 || at-last > 0.025 {
					flights = append(flights, 0)
				}
				flights[len(flights)-1]++
				last = at
			}
			t.Logf("segments in each round trip: %v", flights)
			// The response's head shares the first flight: ten segments in all.
			want := []int{10, 20, 40, 80}
			if len(flights) < len(want) {
				t.Fatalf("only %d round trips", len(flights))
			}
			for i, w := range want {
				if flights[i] != w {
					t.Errorf("round trip %d has %d segments, want %d", i+1, flights[i], w)
				}
			}
		})
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
			done := capture(t, "-s", "96", "-a", "duration:1.5", "tcp port 80")
			time.Sleep(1500 * time.Millisecond)
			file := done()
			late := count(t, file, "frame.time_relative > 0.5")
			big := fields(t, file, "frame.time_relative > 0.5 && frame.len > 1500", "frame.time_relative", "frame.len")
			if late < 1000 {
				t.Errorf("only %d frames after half a second", late)
			}
			if len(big) > 0 {
				t.Errorf("%d frames beyond the MTU after half a second, first %q", len(big), big[0])
			}
			t.Logf("%d frames after half a second", late)
		})
	}
	select {
	case <-s.log.seen("wire-sized"):
	case <-time.After(2 * time.Second):
		t.Errorf("the stack says nothing about the capture:\n%s", s.log)
	}
}

// TestPcap expects --pcap to hold the whole story from the SYN on, and to belong to the user served as.
func TestPcap(t *testing.T) {
	need(t, "tshark", "curl")
	file := filepath.Join(t.TempDir(), "served.pcapng")
	s := serve(t, "--pcap", file)
	hello(t, families[0])
	fetch(t, families[1].url("/_/bytes/1000000"), 1_000_000, time.Minute)
	s.stop()
	rows := fields(t, file, "frame", "frame.number", "tcp.flags", "tcp.len")
	if len(rows) < 20 || rows[0][1] != "0x0002" {
		t.Fatalf("%d packets, the first %q: want a SYN", len(rows), rows[0])
	}
	for _, filter := range []string{"_ws.malformed", "tcp.checksum.status == 0", "frame.len > 1500", "tcp.analysis.retransmission"} {
		if n := count(t, file, filter); n > 0 {
			t.Errorf("%d packets match %s", n, filter)
		}
	}
	t.Log(fmt.Sprint(len(rows)) + " packets, the SYN first")
}
