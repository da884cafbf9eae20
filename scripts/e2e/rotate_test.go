package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// theirs is a directory in which whoever serve becomes may make files.
func theirs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// changesUser reports whether serve can become somebody else here.
func changesUser(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Geteuid() == 0 && strings.Contains(string(b), "4294967295")
}

// TestPcapRotate: the files of a rotated capture are made after root was given up, they belong to whom serve has become,
// and tshark reads each by itself, names and all.
func TestPcapRotate(t *testing.T) {
	need(t, "tshark", "curl")
	dir := theirs(t)
	s := serve(t, "--pcap", filepath.Join(dir, "a.pcapng"), "--pcap-rotate", "1m", "--pcap-files", "3")
	for range 5 {
		fetch(t, families[0].url("/_/bytes/1000000"), 1_000_000, time.Minute)
	}
	s.stop()
	files, err := filepath.Glob(filepath.Join(dir, "a_0*.pcapng"))
	if err != nil || len(files) != 3 || !strings.Contains(files[2], "_00005_") && !strings.Contains(files[2], "_00006_") {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; changesUser(t) && owner == 0 {
			t.Errorf("%s belongs to root", file)
		}
		list := packets(t, file, "frame")
		names := run(t, time.Minute, "tshark", "-r", file, "-N", "n", "-T", "fields", "-e", "ip.src_host")
		if len(list) < 5 || strings.Count(names, "ustack\n")+strings.Count(names, "host\n") != len(list) {
			t.Errorf("%s: %d packets of %d octets, names\n%.200s", file, len(list), info.Size(), names)
		}
		for _, p := range list {
			if p["frame.comment"] == "" || p.number("frame.len") > 1500 {
				t.Fatalf("%s: %v", file, p)
			}
		}
	}
}

// TestPcapRotateRefused: where the next file could not be made, serve does not start.
func TestPcapRotateRefused(t *testing.T) {
	if !changesUser(t) {
		t.Skip("needs root: other users mean nothing in this user namespace")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(os.Getenv(insideEnv), "serve", "--pcap", filepath.Join(dir, "x"), "--pcap-rotate", "1m", "--user", "nobody").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nobody, whom ustack becomes, has to make files in "+dir) || !strings.Contains(string(out), "--user") {
		t.Errorf("%v\n%s", err, out)
	}
}
