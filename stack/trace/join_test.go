package trace

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// joinConn makes events of one connection.
type joinConn struct {
	j    *Joiner
	port uint16
	iss  tcpseg.Seq
	una  int64
}

func (c *joinConn) show(e Event) *Event {
	e.Local, e.Remote = netip.MustParseAddrPort("10.90.0.2:80"), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 90, 0, 1}), c.port)
	e.State = &tcb.Snapshot{State: tcb.Established, ISS: c.iss, Una: c.iss.Add(1) + tcpseg.Seq(c.una)}
	c.j.Add(&e)
	return &e
}

func (c *joinConn) begin(number int, from, to int64) {
	c.show(Event{Kind: Response, HTTP: &Exchange{Number: number, Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d", number), Status: 200, Out: from, OutEnd: to}})
}

func (c *joinConn) interim(number int, from, to int64) {
	c.show(Event{Kind: Interim, HTTP: &Exchange{Number: number, Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d", number), Status: 103, Out: from, OutEnd: to}})
}

func (c *joinConn) end(number int, from, to int64, aborted bool) {
	c.show(Event{Kind: ResponseEnd, HTTP: &Exchange{Number: number, Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d", number), Status: 200, Out: from, OutEnd: to, Aborted: aborted}})
}

func (c *joinConn) ack(una int64) {
	c.una = una
	c.show(Event{Kind: PacketIn, Segment: new(tcpseg.Header)})
}

// out returns what is named of a packet.
func (c *joinConn) out(from int64, octets int) string {
	e := c.show(Event{Kind: PacketOut, Cause: tcb.CauseData, Segment: &tcpseg.Header{Seq: c.iss.Add(1) + tcpseg.Seq(from)}, Payload: octets})
	names, _, _ := strings.Cut(string(c.j.AppendComment(nil, e)), " · cwnd")
	return strings.TrimPrefix(strings.TrimPrefix(names, "new data"), " · ")
}

func newJoinConn(j *Joiner, port uint16) *joinConn {
	return &joinConn{j: j, port: port, iss: 0xffffff00}
}

func wantNames(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJoiner(t *testing.T) {
	var j Joiner
	c := newJoinConn(&j, 40000)
	wantNames(t, c.out(0, 100), "")
	c.begin(1, 100, 350)
	wantNames(t, c.out(0, 100), "")
	wantNames(t, c.out(100, 100), "answer 1 begins: 200 GET /1")
	wantNames(t, c.out(200, 100), "")
	c.begin(2, 350, -1) // of a length that is not known
	wantNames(t, c.out(300, 100), "answer 1 ends: 200 GET /1 · answer 2 begins: 200 GET /2")
	c.end(1, 100, 350, false)
	wantNames(t, c.out(400, 100), "")
	c.end(2, 350, 520, false)
	c.begin(3, 520, 560)
	c.end(3, 520, 560, false)
	wantNames(t, c.out(500, 60), "answer 2 ends: 200 GET /2 · answer 3: 200 GET /3")
	e := c.show(Event{Kind: PacketOut, Segment: &tcpseg.Header{Seq: c.iss.Add(1)}, Payload: 560})
	var n Names
	j.Find(&n, e)
	wantNames(t, string(n.Append(nil, 100, 100)), " · answer 1 begins: 200 GET /1")
	wantNames(t, string(n.Append(nil, 560-40, 40)), " · answer 3: 200 GET /3")
	j.Find(&n, c.show(Event{Kind: PacketOut, Segment: &tcpseg.Header{Seq: c.iss.Add(301)}, Payload: 60}))
	wantNames(t, string(n.Append(nil, 0, math.MaxInt)), " · answer 1 ends: 200 GET /1 · answer 2 begins: 200 GET /2")
	wantNames(t, string(j.AppendOpen(nil, e)), "answer 1: 200 GET /1 · answer 2: 200 GET /2 · answer 3: 200 GET /3")
	c.ack(350)
	wantNames(t, string(j.AppendOpen(nil, e)), "answer 2: 200 GET /2 · answer 3: 200 GET /3")
	wantNames(t, c.out(100, 500), "answer 2: 200 GET /2 · answer 3: 200 GET /3") // as if sent again: the first is forgotten
	wantNames(t, c.out(519, 2), "answer 2 ends: 200 GET /2 · answer 3 begins: 200 GET /3")
	c.ack(560)
	if j.answers != 0 || len(j.flows) != 0 {
		t.Errorf("%d answers of %d connections are remembered", j.answers, len(j.flows))
	}
	c.end(3, 520, 560, false) // told late
	if len(j.flows) != 0 {
		t.Error("an answer that is over is remembered")
	}
	c.begin(4, 560, 9999)
	c.end(4, 560, 600, true)
	wantNames(t, c.out(580, 20), "answer 4 breaks off: 200 GET /4")
	c.begin(5, 600, 700)
	c.begin(5, 600, 650) // in place of one that was taken back
	wantNames(t, c.out(640, 20), "answer 5 ends: 200 GET /5")
	c.show(Event{Kind: Ended})
	if j.answers != 0 || len(j.flows) != 0 {
		t.Error("a connection that has ended is remembered")
	}
}

// TestJoinerWraps: answers and connections of more than 2^32 octets.
func TestJoinerWraps(t *testing.T) {
	var j Joiner
	c := newJoinConn(&j, 40000)
	const round = int64(1) << 32
	at := 5*round - 50
	c.una = at
	c.begin(7, at, at+3*round)
	wantNames(t, c.out(at, 100), "answer 7 begins: 200 GET /7")
	for una := at; una < at+3*round-1000; una += 1 << 30 {
		c.ack(una)
		wantNames(t, c.out(una+10, 100), "")
	}
	c.ack(at + 3*round - 1000)
	wantNames(t, c.out(at+3*round-100, 100), "answer 7 ends: 200 GET /7")
	c.ack(at + 3*round)
	if j.answers != 0 {
		t.Errorf("%d answers are remembered", j.answers)
	}
}

// TestJoinerLimits: one packet names a few, and what is remembered is bounded.
func TestJoinerLimits(t *testing.T) {
	var j Joiner
	c := newJoinConn(&j, 40000)
	for i := range 3 * maxPerFlow {
		c.begin(i+1, int64(100*i), int64(100*i+100))
	}
	if j.answers != maxPerFlow {
		t.Errorf("%d answers of one connection", j.answers)
	}
	first := 2*maxPerFlow + 1
	wantNames(t, c.out(0, 300*maxPerFlow), fmt.Sprintf("answer %d: 200 GET /%[1]d · answer %d: 200 GET /%[2]d · answer %d: 200 GET /%[3]d · answer %d: 200 GET /%[4]d · and %d more answers",
		first, first+1, first+2, first+3, maxPerFlow-4))
	for port := range 3 * maxJoined {
		c := newJoinConn(&j, uint16(port))
		c.begin(1, 0, 100)
		wantNames(t, c.out(0, 100), "answer 1: 200 GET /1")
		n := 0
		for _, f := range j.flows {
			n += len(f.answers)
		}
		if n != j.answers || n > maxJoined {
			t.Fatalf("%d answers are remembered, %d counted", n, j.answers)
		}
	}
}

// TestJoinerInterim: informational answers are named for themselves; the final one does not take their place.
func TestJoinerInterim(t *testing.T) {
	var j Joiner
	c := newJoinConn(&j, 40000)
	c.interim(1, 0, 50)
	wantNames(t, c.out(0, 50), "interim answer 1: 103 GET /1")
	c.interim(1, 50, 100)
	c.begin(1, 100, 300)
	wantNames(t, c.out(0, 200), "interim answer 1: 103 GET /1 · interim answer 1: 103 GET /1 · answer 1 begins: 200 GET /1")
	c.ack(100)
	c.end(1, 100, 350, false)
	wantNames(t, c.out(200, 150), "answer 1 ends: 200 GET /1")
	c.ack(350)
	c.interim(2, 350, 400)
	c.ack(400)
	wantNames(t, c.out(400, 50), "")
	c.begin(2, 400, 450)
	wantNames(t, c.out(400, 50), "answer 2: 200 GET /2")
}
