package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// traced is an event as `ustack trace --json` writes it, as far as it is about octets.
type traced struct {
	Event, Local, Remote, Flags, Target string
	Seq, Offset                         uint32
	Payload, Number, Status             int
	In, Out                             int64
	InEnd                               int64 `json:"in_end"`
	OutEnd                              int64 `json:"out_end"`
}

// TestExchanges traces curl, which makes three requests one after the other, and a client that pipelines three, and holds
// what is told of requests and answers to the sequence numbers of the packets and to what came back.
func TestExchanges(t *testing.T) {
	need(t, "curl")
	serve(t)
	log := newLogBuffer()
	watch := exec.Command(os.Getenv(insideEnv), "trace", "--json", "--held=false")
	watch.Stdout, watch.Stderr = log, os.Stderr
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { watch.Process.Signal(syscall.SIGTERM); watch.Wait() }()
	for range 100 { // until it listens
		curl(t, 10*time.Second, "http://"+addr4+"/_/hello?early")
		if strings.Contains(log.String(), "response-end") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}

	base := "http://" + addr4 + "/_/"
	curl(t, 10*time.Second, "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", base+"bytes/300000?kept", base+"hello?kept", base+"bytes/5000?kept")
	back := pipelines(t, []string{"/_/hello?ahead", "/_/bytes/100000?ahead", "/_/none?ahead"})
	kept := conversation(t, log, "/_/bytes/5000?kept")
	ahead := conversation(t, log, "/_/none?ahead")
	for _, events := range [][]traced{kept, ahead} {
		checkExchanges(t, events)
	}
	for _, e := range ahead {
		if e.Event == "response-end" && !strings.HasPrefix(back[e.Out:e.OutEnd], "HTTP/1.1 ") {
			t.Errorf("answer %d does not begin at %d, but %.40q", e.Number, e.Out, back[e.Out:])
		}
		if e.Event == "response-end" && e.Number == 3 && e.OutEnd != int64(len(back)) {
			t.Errorf("the last answer ends at %d of %d", e.OutEnd, len(back))
		}
	}
}

// pipelines sends requests ahead of the answers, on one connection, and returns what comes back.
func pipelines(t *testing.T, paths []string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr4+":80", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	requests := ""
	for _, p := range paths {
		requests += "GET " + p + " HTTP/1.1\r\nHost: x\r\n\r\n"
	}
	if _, err := io.WriteString(c, requests); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	back, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(back)
}

// conversation returns the events of the connection that a target was asked for on, once it has ended.
func conversation(t *testing.T, log *logBuffer, target string) (events []traced) {
	t.Helper()
	for range 500 {
		var all []traced
		remote, over := "", false
		for line := range strings.Lines(log.String()) {
			var e traced
			if strings.HasSuffix(line, "\n") {
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
			}
			all = append(all, e)
			if e.Target == target {
				remote = e.Remote
			}
			over = over || e.Event == "ended" && e.Remote == remote
		}
		if over {
			for _, e := range all {
				if e.Remote == remote {
					events = append(events, e)
				}
			}
			return events
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("the connection of %s is not traced to its end", target)
	return nil
}

// checkExchanges expects three requests and three answers, one behind the other, whose ends lie in packets that came or
// went.
func checkExchanges(t *testing.T, events []traced) {
	t.Helper()
	iss := map[string]uint32{}
	count := map[string]int{}
	in, out := int64(0), int64(0)
	for _, e := range events {
		switch {
		case strings.Contains(e.Flags, "S"):
			iss[e.Event] = e.Seq
		case e.Payload > 0 && e.Seq-iss[e.Event]-1 != e.Offset:
			t.Errorf("%+v: the offset is not that of sequence number %d behind %d", e, e.Seq, iss[e.Event])
		}
		count[e.Event]++
		switch e.Event {
		case "request":
			if e.Number != count[e.Event] || e.In != in || !carried(events, "in", e.In) || !carried(events, "in", e.InEnd-1) {
				t.Errorf("behind octet %d: %+v", in, e)
			}
			in = e.InEnd
		case "response-end":
			if e.Number != count[e.Event] || e.Out != out || !carried(events, "out", e.Out) || !carried(events, "out", e.OutEnd-1) || e.Status == 0 {
				t.Errorf("behind octet %d: %+v", out, e)
			}
			out = e.OutEnd
		}
	}
	sent := uint32(0)
	for _, e := range events {
		if e.Event == "out" && e.Payload > 0 {
			sent = max(sent, e.Offset+uint32(e.Payload))
		}
	}
	if count["request"] != 3 || count["response"] != 3 || count["response-end"] != 3 || int64(sent) != out {
		t.Errorf("%v; the packets carried %d octets, the answers have %d", count, sent, out)
	}
}

// carried reports whether a packet that came or went carried the octet at an offset.
func carried(events []traced, way string, octet int64) bool {
	for _, e := range events {
		if e.Event == way && uint32(octet)-e.Offset < uint32(e.Payload) {
			return true
		}
	}
	return false
}

// namedAnswer is what the comment of a packet says of an answer.
var namedAnswer = regexp.MustCompile(` · answer (\d+)( begins| ends|): 200 GET (\S+)`)

// TestPcapNamesAnswers: in a capture the packets that carry the first and the last octet of an answer name it, also those
// of super-segments.
func TestPcapNamesAnswers(t *testing.T) {
	need(t, "tshark", "curl")
	file := filepath.Join(t.TempDir(), "served.pcapng")
	s := serve(t, "--pcap", file)
	base := "http://" + addr4 + "/_/"
	paths := []string{"hello?1", "bytes/300000?2", "hello?3", "bytes/5000?4"}
	args := []string{"-o", "/dev/null"}
	for _, p := range paths {
		args = append(args, "-o", "/dev/null", base+p)
	}
	curl(t, 20*time.Second, args[2:]...)
	s.stop()
	out, err := exec.CommandContext(t.Context(), "tshark", "-r", file, "-T", "fields", "-E", "separator=|", "-e", "tcp.payload", "-e", "frame.comment").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var begun, ended []string
	for line := range strings.Lines(string(out)) {
		payload, comment, _ := strings.Cut(strings.TrimSpace(line), "|")
		octets, err := hex.DecodeString(payload)
		if err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		heads := 0
		for _, m := range namedAnswer.FindAllStringSubmatch(comment, -1) {
			if m[2] != " ends" {
				begun = append(begun, m[1]+m[3])
				heads++
			}
			if m[2] != " begins" {
				ended = append(ended, m[1]+m[3])
			}
		}
		if n := bytes.Count(octets, []byte("HTTP/1.1 200 OK\r\n")); n != heads {
			t.Errorf("a packet with the heads of %d answers says %q", n, comment)
		}
	}
	var want []string
	for i, p := range paths {
		want = append(want, strconv.Itoa(i+1)+"/_/"+p)
	}
	if !slices.Equal(begun, want) || !slices.Equal(ended, want) {
		t.Errorf("begun %v, ended %v: want each of %v once", begun, ended, want)
	}
}
