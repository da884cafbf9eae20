package traceview

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"ustack/cmd/ustack/internal/control"
)

var (
	start  = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	server = netip.MustParseAddrPort("10.90.0.2:80")
	client = netip.MustParseAddrPort("10.90.0.1:40000")
)

// at is an event of the connection so many milliseconds after the start.
func at(ms int, e control.Event) control.Event {
	e.Time, e.Local, e.Remote = start.Add(time.Duration(ms)*time.Millisecond), server, client
	return e
}

// story is a short life of a connection: sequence numbers wrap in it.
func story() []control.Event {
	up := control.Event{State: "ESTABLISHED", Phase: "slow-start", Cwnd: 14480}
	with := func(e control.Event, comment string) control.Event {
		e.State, e.Phase, e.Cwnd, e.Comment = up.State, up.Phase, up.Cwnd, comment+" · cwnd 14480 · slow start"
		return e
	}
	return []control.Event{
		at(0, control.Event{Event: "in", Flags: "S", Seq: 0xffffffff, Comment: "opens the connection"}),
		at(1, control.Event{Event: "out", Flags: "S.", Seq: 0xffffff00, Ack: 0, Comment: "opens the connection"}),
		at(2, with(control.Event{Event: "in", Flags: "P.", Seq: 0, Ack: 0xffffff01, Payload: 0x31}, "data")),
		at(2, with(control.Event{Event: "rtt"}, "round-trip time 1.00 ms")),
		at(2, with(control.Event{Event: "state"}, "ESTABLISHED")),
		at(2, control.Event{Event: "request", Comment: "request 1: GET /a;b#c, at octet 0 of what came"}),
		at(2, control.Event{Event: "response", Comment: "answer 1 begins: 200 GET /a;b#c, at octet 0 of what was sent"}),
		at(3, with(control.Event{Event: "out", Flags: ".", Seq: 0xffffff01, Ack: 0x31, Payload: 1448}, "new data")),
		at(4, with(control.Event{Event: "held", Held: "cwnd"}, "waits for the congestion window")),
		at(5, with(control.Event{Event: "held", Held: "cwnd"}, "waits for the congestion window")),
		{Event: "lost", Lost: 123},
		at(6, with(control.Event{Event: "state"}, "slow start → fast recovery")),
		at(6, with(control.Event{Event: "out", Flags: ".", Seq: 0xffffff01, Ack: 0x31, Payload: 1448, Cause: "fast-retransmit"}, "fast retransmit")),
		at(7, with(control.Event{Event: "in", Flags: ".", Seq: 5, Ack: 0, Drop: "tcp-paws"}, "refused: tcp-paws (RFC 7323 §5)")),
		at(8, with(control.Event{Event: "held", Held: "idle"}, "nothing to send")),
		at(9, control.Event{Event: "ended", State: "CLOSED", Error: "reset; by #peer", Comment: "ended: reset; by #peer · CLOSED · cwnd 14480"}),
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	text := NewText(&b)
	for _, e := range append(story(), control.Event{Event: "in", Time: start.Add(12 * time.Second), Comment: "not\x1b[2J TCP"}) {
		if err := text.Show(&e); err != nil {
			t.Fatal(err)
		}
	}
	want := ` 0.000000 10.90.0.2:80 ← 10.90.0.1:40000 [S] seq 0 · opens the connection
 0.001000 10.90.0.2:80 → 10.90.0.1:40000 [S.] seq 0 ack 1 · opens the connection
 0.002000 10.90.0.2:80 ← 10.90.0.1:40000 [P.] seq 1:50 ack 1 · data · cwnd 14480 · slow start
 0.002000 10.90.0.2:80 ↔ 10.90.0.1:40000 round-trip time 1.00 ms · cwnd 14480 · slow start
 0.002000 10.90.0.2:80 • 10.90.0.1:40000 ESTABLISHED · cwnd 14480 · slow start
 0.002000 10.90.0.2:80 ⇐ 10.90.0.1:40000 request 1: GET /a;b#c, at octet 0 of what came
 0.002000 10.90.0.2:80 ⇒ 10.90.0.1:40000 answer 1 begins: 200 GET /a;b#c, at octet 0 of what was sent
 0.003000 10.90.0.2:80 → 10.90.0.1:40000 [.] seq 1:1449 ack 50 · new data · cwnd 14480 · slow start
 0.004000 10.90.0.2:80 ‖ 10.90.0.1:40000 waits for the congestion window · cwnd 14480 · slow start
 0.005000 10.90.0.2:80 ‖ 10.90.0.1:40000 waits for the congestion window · cwnd 14480 · slow start
… 123 events lost
 0.006000 10.90.0.2:80 • 10.90.0.1:40000 slow start → fast recovery · cwnd 14480 · slow start
 0.006000 10.90.0.2:80 → 10.90.0.1:40000 [.] seq 1:1449 ack 50 · fast retransmit · cwnd 14480 · slow start
 0.007000 10.90.0.2:80 ← 10.90.0.1:40000 [.] seq 6 ack 256 · refused: tcp-paws (RFC 7323 §5) · cwnd 14480 · slow start
 0.008000 10.90.0.2:80 ‖ 10.90.0.1:40000 nothing to send · cwnd 14480 · slow start
 0.009000 10.90.0.2:80 × 10.90.0.1:40000 ended: reset; by #peer · CLOSED · cwnd 14480
12.000000 ← not[2J TCP
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}

// TestNumbers: a connection that was there before the trace counts from its first segment, and one that takes its ports
// again from its SYN.
func TestNumbers(t *testing.T) {
	var n numbers
	check := func(e control.Event, seq, ack uint32) {
		t.Helper()
		e = at(0, e)
		if s, a := n.relative(&e); s != seq || a != ack {
			t.Errorf("%+v: seq %d ack %d, want %d, %d", e, s, a, seq, ack)
		}
	}
	check(control.Event{Event: "out", Flags: ".", Seq: 1000, Ack: 500}, 1, 1)
	check(control.Event{Event: "in", Flags: ".", Seq: 500, Ack: 1100}, 1, 101)
	check(control.Event{Event: "in", Flags: "S", Seq: 90_000}, 0, 0)
	check(control.Event{Event: "out", Flags: "S.", Seq: 70_000, Ack: 90_001}, 0, 1)
	for i := range 3 * maxFlows {
		e := control.Event{Event: "in", Flags: "S", Local: server, Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 9)}
		n.relative(&e)
	}
	if len(n.flows) > maxFlows {
		t.Errorf("%d flows are remembered", len(n.flows))
	}
}

// mermaidLine is what a line of a sequence diagram may be.
var mermaidLine = regexp.MustCompile(`^(sequenceDiagram|    participant [LR] as [^;#]+|    [LR](->>|-x)[LR]: [^;#]+|    Note over (L|L,R): [^;#]+)$`)

func TestMermaid(t *testing.T) {
	var b strings.Builder
	m := NewMermaid(&b)
	if mine, err := m.Show(&control.Event{Event: "in", Comment: "not TCP"}); mine || err != nil || b.Len() > 0 {
		t.Errorf("a packet of no connection begins a diagram: %s", b.String())
	}
	counted := 0
	for _, e := range story() {
		mine, err := m.Show(&e)
		if err != nil {
			t.Fatal(err)
		}
		if mine {
			counted++
		}
		other := e
		other.Remote = netip.MustParseAddrPort("10.90.0.1:40001")
		if e.Event != control.LostEvent && e.Event != "ended" {
			if mine, _ := m.Show(&other); mine {
				t.Fatal("a second connection in the diagram")
			}
		}
	}
	want := `sequenceDiagram
    participant R as 10.90.0.1:40000
    participant L as ustack 10.90.0.2:80
    R->>L: 0s opens the connection, seq 0
    L->>R: 1ms opens the connection, seq 0 ack 1
    R->>L: 2ms data, seq 1:50 ack 1
    Note over L: round-trip time 1.00 ms
    Note over L: ESTABLISHED
    Note over L: request 1: GET /a,bc, at octet 0 of what came
    Note over L: answer 1 begins: 200 GET /a,bc, at octet 0 of what was sent
    L->>R: 3ms new data, seq 1:1449 ack 50, cwnd 14480
    Note over L: waits for the congestion window
    Note over L,R: … 123 events lost
    Note over L: slow start → fast recovery
    L->>R: 6ms fast retransmit, seq 1:1449 ack 50, cwnd 14480
    R-xL: 7ms refused: tcp-paws (RFC 7323 §5), seq 6 ack 256
    Note over L: ended: reset, by peer
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	for line := range strings.Lines(b.String()) {
		if !mermaidLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("no line of Mermaid: %q", line)
		}
	}
	if !m.Over() || counted != len(story())-1 {
		t.Errorf("over: %v; %d events counted", m.Over(), counted)
	}
	if err := m.Cut("… and so on"); err != nil || b.String() != want {
		t.Errorf("a diagram that is over goes on: %s", b.String()[len(want):])
	}
}

// TestMermaidLate: a diagram of a connection that was there before says what state it is in.
func TestMermaidLate(t *testing.T) {
	for event, want := range map[string]string{"out": "    Note over L: CLOSE-WAIT\n    L->>R: 0s data", "state": "    Note over L: ESTABLISHED → CLOSE-WAIT\n"} {
		var b strings.Builder
		comment := map[string]string{"out": "data", "state": "ESTABLISHED → CLOSE-WAIT"}[event]
		e := at(0, control.Event{Event: event, State: "CLOSE-WAIT", Flags: ".", Comment: comment})
		NewMermaid(&b).Show(&e)
		if _, notes, _ := strings.Cut(b.String(), "10.90.0.2:80\n"); !strings.HasPrefix(notes, want) || strings.Count(notes, "CLOSE-WAIT") != 1 {
			t.Errorf("%s: %s", event, b.String())
		}
	}
}

func TestMermaidCut(t *testing.T) {
	var b strings.Builder
	m := NewMermaid(&b)
	m.Cut("… and so on")
	if b.Len() > 0 {
		t.Errorf("a diagram of nothing: %q", b.String())
	}
	e := story()[0]
	m.Show(&e)
	m.Cut("… and so on")
	if !strings.HasSuffix(b.String(), "    Note over L,R: … and so on\n") {
		t.Errorf("%s", b.String())
	}
}
