package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const ping = "4500001c 0000 4000 4001 262b 0a5a0001 0a5a0002 08:00:f7:ff 00000000"

// TestExplain: a packet comes from the command line or from a file; anything else is a clear error.
func TestExplain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "packet.txt")
	if err := os.WriteFile(file, []byte("0x"+ping+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{ping}, exitOK, "type 8: echo request"},
		{strings.Fields(ping), exitOK, "type 8: echo request"},
		{[]string{file}, exitOK, "well formed"},
		{[]string{"nothing.pcapng"}, exitFailed, "nothing.pcapng is neither a file nor hexadecimal digits"},
		{nil, exitUsage, "explain what?"},
		{[]string{"--packet", "-1", ping}, exitUsage, "packets count from 1"},
	} {
		var out, errs bytes.Buffer
		code := run(append([]string{"explain"}, tt.args...), &out, &errs)
		if got := out.String() + errs.String(); code != tt.code || !strings.Contains(got, tt.want) {
			t.Errorf("explain %q: exit %d, %s", tt.args, code, got)
		}
	}
}
