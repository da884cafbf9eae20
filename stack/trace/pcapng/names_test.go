package pcapng

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNames: tshark shows the names of both families, and a reader that does not know of names finds the packets.
func TestNames(t *testing.T) {
	names := []Name{
		{netip.MustParseAddr("10.90.0.2"), "ustack"}, {netip.MustParseAddr("10.90.0.1"), "host"},
		{netip.MustParseAddr("fd90::2"), "ustack6"}, {netip.MustParseAddr("fd90::1"), "a-host"},
	}
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	for _, v6 := range []bool{false, true} {
		_, _, wire := super(t, v6, 10, 1448)
		w.Write(&Packet{Time: time.Now(), Pieces: wire})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if list := readAll(t, bytes.NewReader(file.Bytes())); len(list) != 2 {
		t.Errorf("%d packets", len(list))
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark on this system")
	}
	path := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-r", path, "-N", "n", "-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host", "-e", "ipv6.src_host", "-e", "ipv6.dst_host").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); strings.Join(got, " ") != "ustack host ustack6 a-host" {
		t.Errorf("tshark calls them %q", got)
	}
}

func TestNamesRefused(t *testing.T) {
	a := netip.MustParseAddr("10.90.0.2")
	for _, n := range []Name{{Name: "x"}, {Addr: a}, {a, "a\x00b"}, {a, strings.Repeat("x", 256)}} {
		if w, err := NewWriter(new(bytes.Buffer), Options{Names: []Name{n}}); err == nil {
			w.Close()
			t.Errorf("%+v is taken", n)
		}
	}
	if b := appendNames(nil, nil); b != nil {
		t.Errorf("no names take % x", b)
	}
}
