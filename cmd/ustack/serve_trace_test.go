package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"ustack/httpserver"
	"ustack/stack/trace"
)

// TestTraceHTTP: where events say that requests and answers stand is where the packets have carried them, and the
// comments of the packets name the answers.
func TestTraceHTTP(t *testing.T) {
	s, c, client := memoryServer(t, "--listen", ":80?max-parallel=4", "--listen", ":82?http=h2c")
	before := fetchText(t, c, "http://10.90.0.2/_/hello") // when nobody listens
	c.CloseIdleConnections()
	ring := trace.NewRing(10_000, 1<<16)
	s.node.hub.Add(ring)

	conn, err := client.Dial("tcp", "10.90.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, more string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + more + "\r\n" }
	requests := "\r\n" + get("/_/hello", "") + get("/_/bytes/100000", "") + "HEAD /_/bytes/9 HTTP/1.1\r\nHost: a\r\n\r\n" + get("/_/hello", "") + get("/_/none", "Connection: close\r\n")
	io.WriteString(conn, requests)
	answers, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	s.node.hub.Remove(ring)
	ring.Close()
	fetchText(t, c, "http://10.90.0.2/_/hello")
	c.CloseIdleConnections()

	var x joined
	x.read(t, ring)
	if string(x.in) != requests || !bytes.Equal(x.out, answers) {
		t.Fatalf("the packets carried %d octets of %d, and %d of %d", len(x.in), len(requests), len(x.out), len(answers))
	}
	if x.requests != 5 || x.answers != 5 || x.ends != 5 {
		t.Errorf("%d requests, %d answers begin, %d end", x.requests, x.answers, x.ends)
	}
	comments := strings.Join(x.comments, "\n")
	for _, want := range []string{
		`(?m)^new data · answer 1: 200 GET /_/hello · `,
		`(?m)^new data · (answer 1.* · )?answer 2 begins: 200 GET /_/bytes/100000 · (carries the ACK of \d+ octets · )?cwnd \d+`,
		`(?m)^new data · answer 2 ends: 200 GET /_/bytes/100000 · `,
		`(?m)^new data · (answer .* · )?answer 5(|.*answer 5 ends): 404 GET /_/none · `,
		`(?m)^request 2: GET /_/bytes/100000, at octet 36 of what came$`,
		`(?m)^answer 5 ends: 404 GET /_/none, \d+ octets, to octet \d+ of what was sent; the connection ends: client-close$`,
	} {
		if n := len(regexp.MustCompile(want).FindAllString(comments, -1)); n != 1 {
			t.Errorf("%d comments are %s:\n%s", n, want, comments)
		}
	}
	if !strings.Contains(before, "Hello") {
		t.Errorf("%q", before)
	}
	if err := s.shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// joined is what events tell of one connection.
type joined struct {
	in, out                 []byte // the streams, from the packets
	requests, answers, ends int
	comments                []string
}

func (x *joined) read(t *testing.T, ring *trace.Ring) {
	var joiner trace.Joiner
	var rec trace.Record
	var list []trace.Exchange
	var kinds []trace.Kind
	for ring.Next(&rec) {
		if rec.Lost > 0 {
			t.Fatalf("%d events are lost", rec.Lost)
		}
		joiner.Add(&rec.Event)
		x.comments = append(x.comments, string(joiner.AppendComment(nil, &rec.Event)))
		switch {
		case rec.HTTP != nil:
			list, kinds = append(list, *rec.HTTP), append(kinds, rec.Kind)
		case rec.Segment == nil || rec.State == nil || rec.Payload == 0:
		case rec.Kind == trace.PacketIn:
			x.in = carry(x.in, &rec)
		default:
			x.out = carry(x.out, &rec)
		}
	}
	for i, kind := range kinds {
		x.place(t, kind, &list[i])
	}
}

// carry puts what a packet carries where it belongs in its stream.
func carry(stream []byte, rec *trace.Record) []byte {
	packet := rec.Pieces[0]
	from := int(rec.Offset())
	if end := from + rec.Payload; end > len(stream) {
		stream = append(stream, make([]byte, end-len(stream))...)
	}
	copy(stream[from:], packet[len(packet)-rec.Payload:])
	return stream
}

// place looks whether an exchange stands where it says.
func (x *joined) place(t *testing.T, kind trace.Kind, h *trace.Exchange) {
	t.Helper()
	head := string(x.in[h.In:h.InEnd])
	if !regexp.MustCompile(`^(GET|HEAD) /[^\r\n]* HTTP/1\.1\r\nHost: a\r\n[^/]*\r\n\r\n$|^\S+ \S+ HTTP/1\.1\r\nHost: a\r\n\r\n$`).MatchString(head) {
		t.Errorf("request %d: %q", h.Number, head)
	}
	if kind == trace.Request {
		x.requests++
		return
	}
	answer := x.out[h.Out:h.OutEnd]
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) || bytes.Contains(answer[1:], []byte("HTTP/1.1 ")) || h.Number < 5 && !bytes.HasPrefix(x.out[h.OutEnd:], []byte("HTTP/1.1 ")) {
		t.Errorf("answer %d, from %d to %d: %.50q", h.Number, h.Out, h.OutEnd, answer)
	}
	if kind == trace.Response {
		x.answers++
	} else {
		x.ends++
	}
}

// TestTraceHTTPAllocs: what tells of an exchange costs no allocation.
func TestTraceHTTPAllocs(t *testing.T) {
	s, _, client := memoryServer(t)
	if _, err := client.Listen("tcp", ":99"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.node.stack.Dial("tcp", "10.90.0.1:99")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	n := 0
	f := func(e *trace.Event) {
		if e.HTTP == nil || string(e.HTTP.Target) != "/a" || e.Time.IsZero() || time.Since(e.Time) > time.Hour {
			t.Errorf("%+v", e)
		}
		n++
	}
	e := httpserver.Event{Conn: conn, Method: "GET", Target: "/a", Kind: httpserver.EventResponse}
	if a := testing.AllocsPerRun(100, func() { tellExchange(f, &e) }); a > 0 || n == 0 {
		t.Errorf("%v allocations, %d events", a, n)
	}
}

// TestConnExchanges: who asks for its connection twice sees what became of its requests in between.
func TestConnExchanges(t *testing.T) {
	_, c, _ := memoryServer(t)
	fetchText(t, c, "http://10.90.0.2/_/conn")
	fetchText(t, c, "http://10.90.0.2/_/bytes/300000")
	var last struct {
		Recorded struct {
			Exchanges []struct {
				Number, Status int
				Target         string
				Octets         int
				First          *float64 `json:"first_octet_ms"`
				Last           *float64 `json:"end_ms"`
				Arrived        *float64 `json:"acknowledged_ms"`
			}
		}
	}
	for range 100 { // what was recorded is told a little later
		text := fetchText(t, c, "http://10.90.0.2/_/conn")
		if err := json.Unmarshal([]byte(text), &last); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		list := last.Recorded.Exchanges
		if len(list) < 2 || list[0].Arrived == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if x := list[0]; x.Number != 2 || x.Target != "/_/bytes/300000" || x.Status != 200 || x.Octets < 300_000 || *x.First > *x.Last || *x.Last < 0 || *x.Arrived < *x.First {
			t.Errorf("%s", text)
		}
		if capture := fetchText(t, c, "http://10.90.0.2/_/conn/capture"); strings.Count(capture, " answer 2 begins: 200 GET /_/bytes/300000 · ") != 1 {
			t.Error("the capture does not name the answer once")
		}
		return
	}
	t.Errorf("no exchange is told to the end: %+v", last)
}
