package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPcapDead breaks off a download, beside others that end in order: there is one file, of that connection, and tshark
// finds the reset as its last packet, and every packet of wire size and with a comment.
func TestPcapDead(t *testing.T) {
	need(t, "tshark", "curl")
	dir := theirs(t)
	s := serve(t, "--pcap-dead", dir)
	for _, f := range families {
		hello(t, f)
		fetch(t, f.url("/_/bytes/1000000"), 1_000_000, time.Minute)
		port := breakOff(t, f)
		pattern := fmt.Sprintf("%s-%d-%s-80-reset-*.pcapng", strings.Trim(f.peer, "[]"), port, f.addr)
		pattern = filepath.Join(dir, strings.ReplaceAll(pattern, ":", "_"))
		list := packets(t, written(t, pattern), "frame")
		if len(list) < 64 {
			t.Fatalf("%d packets", len(list))
		}
		last := list[len(list)-1]
		if last.ours() || last.flags()&flagRST == 0 || !strings.Contains(last["frame.comment"], "reset") || !strings.Contains(last["frame.comment"], " · CLOSED · ") {
			t.Errorf("the last packet is no reset: %v", last)
		}
		for _, p := range list {
			if p["frame.comment"] == "" || p.number("frame.len") > 1500 {
				t.Fatalf("%v", p)
			}
		}
	}
	s.stop()
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != len(families) {
		t.Errorf("%q, %v: want a file for each reset", files, err)
	}
}

// written waits until there is a file of that name, and nothing more comes into it.
func written(t *testing.T, pattern string) string {
	t.Helper()
	for size, n := int64(-1), 0; n < 100; n++ {
		if files, err := filepath.Glob(pattern); err == nil && len(files) == 1 {
			info, err := os.Stat(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if size > 0 && info.Size() == size {
				return files[0]
			}
			size = info.Size()
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("no file %s", pattern)
	return ""
}

// breakOff begins a download, ends it with a reset, and returns the port that it came from.
func breakOff(t *testing.T, f family) int {
	t.Helper()
	c, err := net.DialTimeout("tcp", f.host+":80", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "GET /_/bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(bufio.NewReader(c), make([]byte, 1_000_000)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	return c.LocalAddr().(*net.TCPAddr).Port
}
