package control

import (
	"strings"
	"testing"

	"ustack/stack"
	"ustack/stack/trace"
)

// TestTraceNamesAnswers: the comment of a packet names the answer that begins in it, also to who does not ask for answers.
func TestTraceNamesAnswers(t *testing.T) {
	r := newRoom(t)
	var tell func(*trace.Event)
	r.hub.AddSource(func(f func(*trace.Event)) { tell = f })
	s, err := r.client.Trace(t.Context(), &Filter{Kinds: []string{"out"}, Comments: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	plain, err := r.client.Trace(t.Context(), &Filter{Kinds: []string{"response"}})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	r.exchange(t, 1000) // the answer is that of 100 octets
	info := r.near.(*stack.Conn).Info()
	x := trace.Exchange{Number: 1, Place: 1, Method: []byte("GET"), Target: []byte("/\xff\"\n"), Out: 100, OutEnd: 200, Status: 200}
	tell(&trace.Event{Kind: trace.Response, Local: info.Local, Remote: info.Remote, HTTP: &x})
	r.exchange(t, 1000)
	for {
		_, e, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Payload == 0 || !strings.Contains(e.Comment, "answer") {
			continue
		}
		if !strings.HasPrefix(e.Comment, `new data · answer 1: 200 GET /\xff\"\n · carries the ACK of 1000 octets · cwnd `) {
			t.Errorf("%q", e.Comment)
		}
		break
	}
	line, e, err := plain.Next()
	if err != nil || e.Event != "response" || e.Comment != "" || !strings.Contains(string(line), `"target":"/\ufffd\"\n","in":0,"in_end":0,"out":100,"out_end":200,"status":200`) {
		t.Errorf("%s, %v", line, err)
	}
}
