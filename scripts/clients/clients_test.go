package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	dir := t.TempDir()
	log, words := filepath.Join(dir, "access.log"), filepath.Join(dir, "server.log")
	ta := newTally(log)
	const head = "10.90.0.1 - - [30/Nov/2026:16:15:00 +0000] "
	text := "ustack serves\n" +
		head + `"GET /_/hello HTTP/1.1" 200 13` + "\n" +
		head + `"GET /_/hello HTTP/1.1" 200 13` + "\n" +
		head + `"HEAD /a\"] \"b HTTP/1.0" 404 -` + "\n" +
		head + `"-" 408 20` + "\nhalf a line"
	for i := range text { // octet by octet: a write ends anywhere
		ta.Write([]byte{text[i]})
	}
	if n := ta.count(all); n != 4 {
		t.Errorf("%d answers, want 4", n)
	}
	if n := ta.count(hello); n != 2 {
		t.Errorf("%d good answers, want 2", n)
	}
	if n := ta.count(failed); n != 2 {
		t.Errorf("%d errors, want 2", n)
	}
	if n := ta.count(func(a answer) bool { return a == answer{"HEAD", `/a\"] \"b`, "HTTP/1.0", 404, 0} }); n != 1 {
		t.Error("the target with a quotation mark is not found")
	}
	if n := ta.count(func(a answer) bool { return a == answer{"-", "", "", 408, 20} }); n != 1 {
		t.Error("the request that could not be read is not found")
	}
	if err := ta.close(words); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{log: strings.TrimSuffix(text[len("ustack serves\n"):], "half a line"), words: "ustack serves\n"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
		}
	}
}

func TestTallyKeepsABeginning(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	ta := newTally(log)
	line := `h - - [t] "GET /` + strings.Repeat("x", 4000) + ` HTTP/1.1" 200 1` + "\n"
	for range 2 * keptLog / len(line) {
		ta.Write([]byte(line))
	}
	if info, err := os.Stat(log); err != nil || info.Size() > keptLog || info.Size() < keptLog-int64(len(line)) {
		t.Errorf("%v, %v; want about %d octets", info, err, keptLog)
	}
	if n := ta.count(all); n != 2*keptLog/len(line) {
		t.Errorf("%d of %d lines are counted", n, 2*keptLog/len(line))
	}
}

func TestDeepest(t *testing.T) {
	const packets = "0\tGET\t\n" + "0\t\t200\n" + "1\tGET,GET\t\n" + "0\tGET\t\n" + "1\tGET\t200\n" + "1\t\t200,200\n" + "0\t\t404\n"
	most, connections, err := deepest(packets)
	if most != 2 || connections != 2 || err != nil {
		t.Errorf("%d under way, %d connections, %v; want 2, 2", most, connections, err)
	}
	for _, bad := range []string{"0\tGET\t\n", "0\tGET\n"} {
		if _, _, err := deepest(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestLatency(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	if got, want := sum(times), (latency{51, 50, 100}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := median([]latency{{1, 9, 5}, {2, 7, 6}, {3, 8, 4}}), (latency{2, 8, 5}); got != want {
		t.Errorf("the median is %v, want %v", got, want)
	}
}

func TestCheckTile(t *testing.T) {
	body := func(i int) []byte {
		head := fmt.Sprintf("<svg ><text>%d</text></svg><!--", i)
		return []byte(head + strings.Repeat(".", tileSize-len(head)-4) + "-->\n")
	}
	if err := checkTile(body(7), 7); err != nil {
		t.Error(err)
	}
	whole := body(7)
	for name, bad := range map[string][]byte{"another": body(8), "short": whole[:tileSize-1], "cut": append(whole[:tileSize-1:tileSize-1], ' ')} {
		if checkTile(bad, 7) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestField(t *testing.T) {
	const heads = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Partial Content\r\ncontent-type:  a/b; c=d \r\n\r\n"
	if got := field([]byte(heads), "Content-Type"); got != "a/b; c=d" {
		t.Errorf("got %q", got)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range clients() {
		if seen[c.name] || c.name != filepath.Base(c.name) || len(c.name) > 20 || c.run == nil {
			t.Errorf("client %q: want a name of its own that is a directory's, of 20 characters at most", c.name)
		}
		seen[c.name] = true
	}
}
