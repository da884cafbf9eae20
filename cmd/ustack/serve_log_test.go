package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ustack/httpserver"
)

// logOf serves requests with the given flags and returns the lines of the access log at path.
func logOf(t *testing.T, path string, flags ...string) []string {
	t.Helper()
	s, c, client := memoryServer(t, append(flags, "--access-log", path)...)
	fetchText(t, c, "http://10.90.0.2/_/hello")
	c.CloseIdleConnections()
	raw, err := client.Dial("tcp", "10.90.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write([]byte("GET /_/hello HTTP/1.1\r\nHost: a\r\n\r\nwhat?\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(raw); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	if err := s.shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// TestAccessLogFormats: each format stands in the file as it should, with what was refused before it was parsed.
func TestAccessLogFormats(t *testing.T) { // req: HTTP-07, HTTP-08
	const common = `10\.90\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] `
	jsonLine := func(conn, number, place, request, agent, answer, close string) string {
		return `\{"time":"[^"]+","remote":"10\.90\.0\.1:\d+","conn":` + conn + `,"number":` + number + `,"place":` + place + `,` + request +
			`,"referer":"","user_agent":"` + agent + `",` + answer + `,"duration_us":\d+,"close":"` + close + `"\}`
	}
	hello := func(host string) string {
		return `"method":"GET","target":"/_/hello","proto":"HTTP/1.1","host":"` + host + `"`
	}
	for format, want := range map[string][]string{
		"":       {common + `"GET /_/hello HTTP/1\.1" 200 13`, common + `"GET /_/hello HTTP/1\.1" 200 13`, common + `"-" 400 34`},
		"common": {common + `"GET /_/hello HTTP/1\.1" 200 13`, common + `"GET /_/hello HTTP/1\.1" 200 13`, common + `"-" 400 34`},
		"combined": {
			common + `"GET /_/hello HTTP/1\.1" 200 13 "-" "Go-http-client/1\.1"`, common + `"GET /_/hello HTTP/1\.1" 200 13 "-" "-"`, common + `"-" 400 34 "-" "-"`,
		},
		"json": {
			jsonLine("1", "1", "1", hello(`10\.90\.0\.2`), `Go-http-client/1\.1`, `"status":200,"head_bytes":\d+,"body_bytes":13`, ""),
			jsonLine("2", "1", "1", hello("a"), "", `"status":200,"head_bytes":\d+,"body_bytes":13`, ""),
			jsonLine("2", "2", "2", `"method":"","target":"","proto":"","host":""`, "", `"status":400,"head_bytes":\d+,"body_bytes":34`, "refused"),
		},
	} {
		var flags []string
		if format != "" {
			flags = []string{"--access-log-format", format}
		}
		got := logOf(t, filepath.Join(t.TempDir(), "a"), flags...)
		if len(got) != len(want) {
			t.Fatalf("%q: %d lines: %q", format, len(got), got)
		}
		for i := range want {
			if !regexp.MustCompile("^" + want[i] + "$").MatchString(got[i]) {
				t.Errorf("%q: got  %s\nwant %s", format, got[i], want[i])
			}
		}
	}
}

func (l *accessLog) file() io.Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w
}

// TestAccessLogReopens: a log that was renamed goes on under its name, and no line is lost.
func TestAccessLogReopens(t *testing.T) { // req: HTTP-07
	path := filepath.Join(t.TempDir(), "a")
	p, err := planOf(t, "--access-log", path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := openAccessLog(p, quiet())
	if err != nil {
		t.Fatal(err)
	}
	l.add(&httpserver.Entry{Method: "OLD"})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	stop := l.reopenOnSignal(p, quiet())
	old := l.file()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); l.file() == old; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the signal opened no file")
		}
	}
	stop()
	l.add(&httpserver.Entry{Method: "NEW"})
	if err := l.reopen(filepath.Join(path, "x")); err == nil {
		t.Error("a file inside a file was opened")
	}
	l.add(&httpserver.Entry{Method: "STILL"})
	if err := l.close(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{path + ".1": "OLD", path: "NEW,STILL"} {
		b, err := os.ReadFile(name)
		var methods []string
		for _, m := range regexp.MustCompile(`"([A-Z]+) `).FindAllStringSubmatch(string(b), -1) {
			methods = append(methods, m[1])
		}
		if got := strings.Join(methods, ","); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %s", filepath.Base(name), got, err, want)
		}
	}
}
