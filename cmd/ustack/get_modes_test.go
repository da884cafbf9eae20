package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ustack/cmd/ustack/internal/client"
)

func TestExpandURLs(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"http://h/", "[http://h/]"},
		{"http://h/{0..2}?x", "[http://h/0?x http://h/1?x http://h/2?x]"},
		{"http://h/[9-11]", "[http://h/9 http://h/10 http://h/11]"},
		{"h/{08..10}", "[h/08 h/09 h/10]"},
		{"h{1..2}/[3-4]", "[h1/3 h1/4 h2/3 h2/4]"},
		{"http://[fd90::2]/{1..1}", "[http://[fd90::2]/1]"},
		{"h/{a..c}", "[h/{a..c}]"},
	} {
		got, err := expandURLs([]string{tt.in})
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v %v, want %s", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{"h/{2..1}", "h/{0..4294967296}", "h/{4294967296..1}", "h/{0..100000}", "h/{1..400}/{1..400}"} {
		if _, err := expandURLs([]string{bad}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// The ways to fetch differ in the connections that they need.
func TestGetModes(t *testing.T) {
	objects := getSite(t) + "/_/objects/12/{0..11}"
	for _, tt := range []struct {
		flags string
		conns string
	}{
		{"--serial", "over 12 connections"}, {"--persistent", "over 1 connection;"},
		{"--parallel 3", "connections"}, {"--pipeline 4", "over 1 connection;"}, {"--serial --parallel 3", "over 12 connections"},
		{"--multiplexed", "over 1 connection;"},
	} {
		code, out, stderr := get(t, append(strings.Fields(tt.flags), "--ascii", objects)...)
		if code != 0 || !strings.Contains(out, "12 requests, 0 failed") || !strings.Contains(out, tt.conns) || !strings.Contains(out, "c connecting") {
			t.Errorf("%s: exit code %d\n%s%s", tt.flags, code, out, stderr)
		}
	}
}

func TestGetHAR(t *testing.T) {
	for flag, version := range map[string]string{"--persistent": "HTTP/1.1", "--multiplexed": "HTTP/2.0"} {
		t.Run(flag, func(t *testing.T) { testGetHAR(t, flag, version) })
	}
}

func testGetHAR(t *testing.T, flag, version string) {
	file := filepath.Join(t.TempDir(), "x.har")
	if code, _, stderr := get(t, flag, "--har", file, getSite(t)+"/_/objects/3/[0-2]"); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var har struct {
		Log struct {
			Entries []struct {
				Connection string
				Request    struct{ HTTPVersion string }
				Response   struct {
					Status      int
					HTTPVersion string
					Headers     []any
				}
			}
		}
	}
	if err := json.Unmarshal(text, &har); err != nil || len(har.Log.Entries) != 3 {
		t.Fatalf("%v\n%s", err, text)
	}
	for i, e := range har.Log.Entries {
		if e.Response.Status != 200 || len(e.Response.Headers) == 0 || e.Connection != "1" ||
			e.Request.HTTPVersion != version || e.Response.HTTPVersion != version {
			t.Errorf("%d: %+v", i, e)
		}
	}
}

func TestGetUnknownOutcome(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	if code, out, stderr := get(t, "-d", "x=1", s.URL); code != exitUnknown || !strings.Contains(stderr, client.ErrUnknown.Error()) {
		t.Errorf("POST: exit code %d\n%s%s", code, out, stderr)
	}
	if code, out, stderr := get(t, "-X", "HEAD", s.URL); code != 0 {
		t.Errorf("HEAD: exit code %d\n%s%s", code, out, stderr)
	}
}

func TestLook(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	for _, tt := range []struct {
		env   map[string]string
		flag  bool
		ascii bool
	}{
		{nil, false, true},
		{map[string]string{"LANG": "C.UTF-8"}, false, false},
		{map[string]string{"LANG": "en_US.utf8"}, false, false},
		{map[string]string{"LANG": "C.UTF-8", "LC_ALL": "C"}, false, true},
		{map[string]string{"LANG": "C.UTF-8"}, true, true},
	} {
		if got := lookOf(os.Stdin, env(tt.env), tt.flag); got.ASCII != tt.ascii {
			t.Errorf("%v: %+v", tt, got)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if got := lookOf(w, env(nil), false); got.Color || got.Width != 0 {
		t.Errorf("a pipe: %+v", got)
	}
}
