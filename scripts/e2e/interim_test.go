package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInterim lets curl wait for 100 Continue: in the capture the packet that carries it, as tshark sees it, is the one
// whose comment names it, and so is that of the final answer.
func TestInterim(t *testing.T) {
	need(t, "tshark", "curl")
	file := filepath.Join(t.TempDir(), "interim.pcapng")
	s := serve(t, "--pcap", file)
	for _, f := range families {
		if got := curl(t, 10*time.Second, "-H", "Expect: 100-continue", "--expect100-timeout", "10", "-d", "abc", f.url("/_/sink")); !strings.HasPrefix(got, "3") {
			t.Errorf("%s: %q", f.name, got)
		}
	}
	s.stop()
	codes := map[string]string{"100": " · interim answer 1: 100 POST /_/sink · ", "200": " · answer 1: 200 POST /_/sink · "}
	found := map[string]int{}
	for line := range strings.Lines(run(t, time.Minute, "tshark", "-r", file, "-Y", "http.response", "-T", "fields", "-e", "http.response.code", "-e", "frame.comment")) {
		code, comment, _ := strings.Cut(strings.TrimSpace(line), "\t")
		found[code]++
		for other, want := range codes {
			if strings.Contains(comment, want) != (code == other) {
				t.Errorf("%s: %q", code, comment)
			}
		}
	}
	if found["100"] != 2 || found["200"] != 2 {
		t.Errorf("answers %v, want 100 and 200 twice", found)
	}
}
