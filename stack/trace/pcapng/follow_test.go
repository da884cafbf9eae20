package pcapng

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// TestFollowNamesAnswers: of the packets that a super-segment is on a wire, each names the answers that begin and end in
// it, and so does a packet that is not cut.
func TestFollowNamesAnswers(t *testing.T) {
	const n, mss = 5000, 1448
	offload, packet, wire := super(t, false, n, mss)
	local, remote := netip.MustParseAddrPort("10.90.0.2:80"), netip.MustParseAddrPort("10.90.0.1:40000")
	iss := tcpseg.Seq(0xfffffeff)
	ring := trace.NewRing(16, link.MaxPacket)
	tell := func(e trace.Event) {
		e.Local, e.Remote = local, remote
		ring.Trace(&e)
	}
	answer := func(number int, from, to int64) {
		tell(trace.Event{Kind: trace.Response, HTTP: &trace.Exchange{Number: number, Method: []byte("GET"), Target: []byte("/"), Status: 200, Out: from, OutEnd: to}})
	}
	answer(1, 0, 100)
	answer(2, 100, n-10)
	answer(3, n-10, 9000)
	state := &tcb.Snapshot{State: tcb.Established, ISS: iss, Una: iss + 1}
	tell(trace.Event{Kind: trace.PacketOut, Cause: tcb.CauseData, Pieces: [][]byte{packet}, Offload: offload, Segment: &tcpseg.Header{Seq: iss + 1}, Payload: n, State: state})
	tell(trace.Event{Kind: trace.PacketOut, Cause: tcb.CauseRTO, Pieces: [][]byte{wire[0]}, Segment: &tcpseg.Header{Seq: iss + 1}, Payload: mss, State: state})
	ring.Close()
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	Follow(ring, w.Write)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"new data (1 of 4 of one super-segment) · answer 1: 200 GET / · answer 2 begins: 200 GET /",
		"new data (2 of 4 of one super-segment)",
		"new data (3 of 4 of one super-segment)",
		"new data (4 of 4 of one super-segment) · answer 2 ends: 200 GET / · answer 3 begins: 200 GET /",
		"retransmission time-out · answer 1: 200 GET / · answer 2 begins: 200 GET /",
	}
	got := readAll(t, &file)
	for i, p := range got {
		if text, _, _ := strings.Cut(p.comments[0], " · cwnd "); i >= len(want) || text != want[i] {
			t.Errorf("packet %d: %q", i+1, p.comments)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d packets, want %d", len(got), len(want))
	}
}
