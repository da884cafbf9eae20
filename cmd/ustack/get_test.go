package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ustack/cmd/ustack/internal/site"
)

// get runs `ustack get` with these arguments.
func get(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(append([]string{"get"}, args...), &out, &err)
	return code, out.String(), err.String()
}

// getSite is the site with HTTP/1.1 and HTTP/2.
func getSite(t *testing.T) string {
	t.Helper()
	h, err := site.Handler(site.Config{Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestGetTable(t *testing.T) {
	base := getSite(t)
	code, out, stderr := get(t, "--pipeline", "-n", "20", base+"/_/hello", base+"/_/bytes/1000")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if !strings.Contains(out, "40 requests, 0 failed, over 1 connection; 20260 octets") {
		t.Errorf("output:\n%s", out)
	}
}

func TestGetJSON(t *testing.T) {
	base := getSite(t)
	code, out, stderr := get(t, "--json", "--parallel", "3", "-n", "9", base+"/_/delay/5")
	if code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 9 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var r struct {
			Status, Connection int
			Total              int `json:"total_us"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Status != 200 || r.Connection < 1 || r.Connection > 3 || r.Total < 5000 {
			t.Errorf("%s", line)
		}
	}
}

func TestGetOutput(t *testing.T) {
	base := getSite(t)
	want := make([]byte, 100_000)
	site.Bytes(0, want)
	file := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := get(t, "-o", file, base+"/_/bytes/100000"); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets in the file, %v", len(got), err)
	}
	if _, out, _ := get(t, "-o", "-", base+"/_/bytes/100000"); out != string(want) {
		t.Errorf("%d octets on standard output", len(out))
	}
}

func TestGetHeaders(t *testing.T) {
	_, out, _ := get(t, "-o", "-", "-H", "Range: bytes=7-11", getSite(t)+"/_/bytes/100")
	want := make([]byte, 5)
	site.Bytes(7, want)
	if out != string(want) {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestGetVerify(t *testing.T) {
	if code, out, stderr := get(t, "--verify", "-n", "3", getSite(t)+"/_/bytes/3000000"); code != 0 {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 1000)
		site.Bytes(0, b)
		b[999] ^= 1
		w.Write(b)
	}))
	defer wrong.Close()
	if code, out, _ := get(t, "--verify", wrong.URL); code != 1 || !strings.Contains(out, "octet 999") {
		t.Errorf("a wrong octet: exit code %d, %s", code, out)
	}
}

func TestGetPipelineDepth(t *testing.T) {
	var o getOptions
	for _, tt := range []struct {
		flag int
		args []string
		want string
	}{
		{16, []string{"8", "http://a/"}, "8 [http://a/]"},
		{16, []string{"http://a/", "8", "http://b/"}, "8 [http://a/ http://b/]"},
		{16, []string{"http://a/"}, "16 [http://a/]"},
		{16, []string{"8"}, "16 [8]"},
		{4, []string{"8", "http://a/"}, "4 [8 http://a/]"},
	} {
		o.pipeline = tt.flag
		if args := o.takeDepth(tt.args); fmt.Sprint(o.pipeline, args) != tt.want {
			t.Errorf("%v: %d %v, want %s", tt, o.pipeline, args, tt.want)
		}
	}
	base := getSite(t)
	if code, out, stderr := get(t, "--pipeline", "8", "-n", "3", base+"/_/hello"); code != 0 || !strings.Contains(out, "3 requests, 0 failed") {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
}

func TestGetExitCodes(t *testing.T) {
	base := getSite(t)
	tests := []struct {
		args string
		code int
		want string // in what it printed
	}{
		{base + "/_/status/404", 1, "1 of 1 requests failed"},
		{"--any-status " + base + "/_/status/404", 0, "404"},
		{base + "/_/hello " + base + "/_/status/500", 1, "1 of 2 requests failed"},
		{"http://127.0.0.1:1/", 1, "connection refused"},
		{"--any-status http://127.0.0.1:1/", 1, "connection refused"},
		{"", 2, "at least one URL"},
		{"https://127.0.0.1/", 2, "only http"},
		{"--engine vax " + base, 2, "ustack, gvisor, kernel"},
		{"--parallel 0 " + base, 2, "--parallel"},
		{"--pipeline=0 " + base, 2, "--pipeline"},
		{"--pipeline=x " + base, 2, "--pipeline"},
		{"-n 0 " + base, 2, "--repeat"},
		{"--timeout 0s " + base, 2, "--timeout"},
		{"-H nonsense " + base, 2, "--header"},
		{"-o x -n 2 " + base, 2, "--output"},
		{"-o x --verify " + base, 2, "--verify"},
		{"--serial --pipeline " + base, 2, "--serial and --pipeline"},
		{"--persistent --parallel 2 " + base, 2, "--persistent"},
		{"--multiplexed --parallel 2 " + base, 2, "--multiplexed"},
		{"--multiplexed --pipeline " + base, 2, "--multiplexed"},
		{"--multiplexed --serial " + base, 2, "--multiplexed"},
		{"--fast-open " + base, 2, "--engine ustack"},
		{"-o - --har - " + base, 2, "--har"},
		{"-X CONNECT " + base, 2, "CONNECT"},
		{base + "/{9..1}", 2, "must count up"},
		{base + "/{1..1000}{1..1000}", 2, "more than 100000 URLs"},
		{"--har /nonexistent/x " + base, 1, "no such file"},
		{"--nonsense", 2, "unknown flag"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.args, base, "BASE"), func(t *testing.T) {
			code, out, stderr := get(t, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(out+stderr, tt.want) {
				t.Errorf("exit code %d, want %d; %q lacks %q", code, tt.code, fmt.Sprint(out, stderr), tt.want)
			}
		})
	}
}
