package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ustack/stack"
)

func TestCapturePlan(t *testing.T) {
	p, err := planOf(t, "--pcap", "x/a.pcapng", "--pcap-rotate", "1m", "--pcap-files", "3", "--pcap-snaplen", "200")
	if err != nil || p.capturePlan != (capturePlan{pcap: "x/a.pcapng", rotate: 1 << 20, keep: 3, snapLen: 200, last: defaultLast}) {
		t.Errorf("%+v, %v", p, err)
	}
	for args, want := range map[string]string{
		"--pcap-snaplen=200":                           "--pcap FILE",
		"--pcap=x --pcap-snaplen=100":                  "128",
		"--pcap-rotate=1m":                             "--pcap FILE",
		"--pcap=- --pcap-rotate=1m":                    "--pcap FILE",
		"--pcap=x --pcap-rotate=63k":                   "from 64k",
		"--pcap=x --pcap-rotate=many":                  "from 64k",
		"--pcap=x --pcap-files=2":                      "--pcap-rotate",
		"--pcap=x --pcap-rotate=1m --pcap-files=-1":    "1 or more",
		"--pcap-dead-packets=9":                        "--pcap-dead DIR",
		"--pcap-dead=x --pcap-dead-packets=0":          "1 to 4096",
		"--pcap-dead=x --pcap-dead-packets=5000":       "1 to 4096",
		"--pcap-dead=x --engine=gvisor":                "other engines",
		"--pcap-dead=x --engine=kernel":                "other engines",
		"--pcap=x --engine=kernel":                     "--engine kernel",
		"--pcap=x --pcap-rotate=1m --pcap-snaplen=1":   "128",
		"--pcap=x --pcap-rotate=99999999999999999999g": "from 64k",
	} {
		_, err := planOf(t, strings.Fields(args)...)
		if u := (*usageError)(nil); !errors.As(err, &u) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// TestFileSet downloads more than three files hold: the last three are there, under names that tell their order, each
// whole, and what they hold is what came last.
func TestFileSet(t *testing.T) {
	dir := t.TempDir()
	s, c, _ := memoryServer(t, "--pcap", filepath.Join(dir, "a.b.pcapng"), "--pcap-rotate", "64k", "--pcap-files", "3")
	for range 8 {
		if got := fetchText(t, c, "http://10.90.0.2/_/bytes/50000"); len(got) != 50_000 {
			t.Fatalf("%d octets", len(got))
		}
	}
	c.CloseIdleConnections()
	if err := s.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 3 {
		t.Fatalf("%q, %v", paths, err)
	}
	packets := 0
	for i, path := range paths {
		if name := filepath.Base(path); !regexp.MustCompile(`^a\.b_0000[4-9]_\d{14}\.pcapng$`).MatchString(name) {
			t.Errorf("file %q", name)
		}
		info, err := os.Stat(path)
		n, octets, countErr := countPackets(path)
		if err := errors.Join(err, countErr); err != nil {
			t.Fatal(err)
		}
		if info.Size() > 64<<10+150_000 || info.Size() < 64<<10 && i < 2 || n < 2 || octets < 1000 {
			t.Errorf("%s: %d octets, %d packets with %d", path, info.Size(), n, octets)
		}
		packets += n
	}
	if packets < 60 {
		t.Errorf("%d packets", packets)
	}
}

// TestFileSetMoved: a file that somebody has moved away is not missed, and one that cannot be removed ends the capture.
func TestFileSetMoved(t *testing.T) {
	dir := t.TempDir()
	p := &nodePlan{capturePlan: capturePlan{pcap: filepath.Join(dir, "x"), keep: 1}, user: owner()}
	set := fileSet{plan: p}
	next := func() error {
		f, err := set.next()
		if err != nil {
			return err
		}
		return f.Close()
	}
	if err := next(); err != nil {
		t.Fatal(err)
	}
	first := set.kept[0]
	if err := os.Rename(first, filepath.Join(dir, "mine")); err != nil {
		t.Fatal(err)
	}
	if err := next(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(set.kept[0]), os.MkdirAll(filepath.Join(set.kept[0], "full"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := next(); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a file that cannot be removed: %v", err)
	}
}

func TestCaptureDirectoryRefused(t *testing.T) {
	p, err := planOf(t, "--pcap", filepath.Join(t.TempDir(), "no", "x"), "--pcap-rotate", "1m")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = new(node).openCaptures(p.nodePlan, quiet()); err == nil {
		t.Fatal("the capture is open")
	}
	if h := (*hintError)(nil); !errors.As(err, &h) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(h.hint, "--user") {
		t.Errorf("%v", err)
	}
}

// TestDeadConnections lets one connection end in order and another by a reset: of that one there is a file, with and
// without a capture of everything beside it.
func TestDeadConnections(t *testing.T) {
	for _, everything := range []bool{false, true} {
		dir := t.TempDir()
		args := []string{"--pcap-dead", dir, "--pcap-dead-packets", "20"}
		whole := filepath.Join(t.TempDir(), "all.pcapng")
		if everything {
			args = append(args, "--pcap", whole)
		}
		s, c, client := memoryServer(t, args...)
		if got := fetchText(t, c, "http://10.90.0.2/_/hello"); got != "Hello, World!" {
			t.Errorf("%q", got)
		}
		c.CloseIdleConnections()
		conn, err := client.Dial("tcp", "10.90.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		port := conn.LocalAddr().(*net.TCPAddr).Port
		if _, err := conn.Write([]byte("GET /_/bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(conn.(*stack.Conn).SetLinger(0), conn.Close()); err != nil {
			t.Fatal(err)
		}
		if err := s.shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 || !strings.HasPrefix(files[0].Name(), fmt.Sprintf("10.90.0.1-%d-10.90.0.2-80-reset-", port)) {
			t.Fatalf("%v, %v", files, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
		if err != nil || !bytes.Contains(b, []byte("ended: connection reset by peer")) || !bytes.Contains(b, []byte("packets before these are forgotten")) ||
			!bytes.Contains(b, []byte("new data")) || !bytes.Contains(b, []byte("; not acknowledged: answer 1: 200 GET /_/bytes/1000000; ")) || !bytes.Contains(b, []byte("host\x00")) {
			t.Errorf("%v: %.300q", err, b)
		}
		if n, _, err := countPackets(filepath.Join(dir, files[0].Name())); err != nil || n < 20 {
			t.Errorf("%d packets, %v", n, err)
		}
		if n, _, err := countPackets(whole); everything && (err != nil || n < 50) {
			t.Errorf("%d packets in all, %v", n, err)
		}
	}
}
