package panel

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// TestExchanges: the times of an answer count from its request, whatever comes in between, and only the last are kept.
func TestExchanges(t *testing.T) {
	start := time.Unix(1000, 0)
	var l exchanges
	iss := tcpseg.Seq(0xffffff00)
	tell := func(ms int, e trace.Event) {
		rec := trace.Record{Event: e}
		rec.Time = start.Add(time.Duration(ms) * time.Millisecond)
		l.add(&rec, start)
	}
	told := func(ms int, kind trace.Kind, x trace.Exchange) { tell(ms, trace.Event{Kind: kind, HTTP: &x}) }
	ack := func(ms int, octets uint32) {
		tell(ms, trace.Event{Kind: trace.PacketIn, State: &tcb.Snapshot{ISS: iss, Una: iss + 1 + tcpseg.Seq(octets)}})
	}
	check := func(i int, want string) {
		t.Helper()
		e := l.list[i]
		got := fmt.Sprintf("%d %s%s %d at %v", e.Number, e.Method, e.Target, e.Status, e.At)
		for _, at := range []*float64{e.Begins, e.Ends, e.Arrived} {
			if at == nil {
				got += " -"
			} else {
				got += fmt.Sprintf(" %v", *at)
			}
		}
		if got += fmt.Sprintf(" %d %v%s", e.Octets, e.Aborted, e.Close); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	ack(1, 50)
	told(2, trace.ResponseEnd, trace.Exchange{Number: 1, Out: 0, OutEnd: 100}) // asked before
	told(10, trace.Request, trace.Exchange{Number: 2, Method: []byte("GET"), Target: []byte("/a")})
	told(11, trace.Request, trace.Exchange{Number: 3, Method: []byte("GET"), Target: []byte("/b")})
	told(15, trace.Response, trace.Exchange{Number: 2, Status: 200, Out: 100, OutEnd: 600})
	ack(16, 100)
	check(0, "2 GET/a 200 at 10 5 - - 0 false")
	told(17, trace.ResponseEnd, trace.Exchange{Number: 2, Status: 200, Out: 100, OutEnd: 600})
	told(18, trace.Response, trace.Exchange{Number: 3, Status: 404, Out: 600, OutEnd: -1})
	ack(30, 599)
	check(0, "2 GET/a 200 at 10 5 7 - 500 false")
	ack(40, 700)
	tell(50, trace.Event{Kind: trace.Held, State: &tcb.Snapshot{ISS: iss, Una: iss + 1 + 700}})
	told(51, trace.ResponseEnd, trace.Exchange{Number: 3, Status: 404, Out: 600, OutEnd: 700, Aborted: true, Close: "abort"}) // told late
	check(0, "2 GET/a 200 at 10 5 7 30 500 false")
	check(1, "3 GET/b 404 at 11 7 40 29 100 trueabort")
	for i := range 2 * keptExchanges {
		told(60, trace.Request, trace.Exchange{Number: 4 + i})
	}
	if len(l.list) != keptExchanges || l.list[0].Number != 4+keptExchanges {
		t.Errorf("%d are kept, from number %d on", len(l.list), l.list[0].Number)
	}
}

// TestGatherExchange: a request may be the first that is heard of a connection, and packets name their answers.
func TestGatherExchange(t *testing.T) {
	start := time.Unix(1000, 0)
	g := newGatherer(start, func(flow) bool { return false })
	f := flow{netip.MustParseAddrPort("10.90.0.2:80"), netip.MustParseAddrPort("10.90.0.1:40000")}
	iss := tcpseg.Seq(0xffffff00)
	tell := func(e trace.Event) {
		e.Time, e.Local, e.Remote = start, f.local, f.remote
		g.add(&trace.Record{Event: e})
	}
	tell(trace.Event{Kind: trace.Response, HTTP: &trace.Exchange{Number: 1, Method: []byte("GET"), Target: []byte("/"), Status: 200, Out: 500, OutEnd: 600}})
	tell(trace.Event{
		Kind: trace.PacketOut, Segment: &tcpseg.Header{Seq: iss + 501}, Payload: 100, Cause: tcb.CauseData,
		State: &tcb.Snapshot{State: tcb.Established, ISS: iss, Una: iss + 501, Nxt: iss + 601},
	})
	b := g.take()
	if len(b.Lines) != 2 || b.Lines[0].Kind != "response" || b.Lines[0].Notable || !strings.HasPrefix(b.Lines[1].Text, "new data · answer 1: 200 GET / · cwnd ") {
		t.Errorf("%+v", b.Lines)
	}
	if c := b.Flows[f.String()]; len(c.Sent) != 1 || c.Sent[0].From != 0 || c.Sent[0].To != 100 {
		t.Errorf("%+v", c)
	}
}
