package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// A recorder keeps events as text, and what they said of their connection.
type recorder struct {
	mu     sync.Mutex
	lines  []string
	events []trace.Event // without what is lent
	states []tcb.Snapshot
}

func (r *recorder) trace(e *trace.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := *e
	kept.Pieces, kept.State = nil, nil
	var state tcb.Snapshot
	if e.State != nil {
		state = *e.State
	}
	if e.Segment != nil {
		h := *e.Segment
		kept.Segment = &h
	}
	r.lines = append(r.lines, fmt.Sprint(e.Kind, ": ", string(trace.AppendComment(nil, e))))
	r.events, r.states = append(r.events, kept), append(r.states, state)
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func (r *recorder) tracer(cfg *Config) {
	if cfg.Addrs[0].Addr() == netip.MustParseAddr(addrB4) {
		cfg.Tracer = r.trace
	}
}

// tracedExchange lets a send 100,000 octets to b, and b answer and close.
func tracedExchange(t *testing.T, r *recorder) {
	h := newHosts(t, link.PairConfig{}, r.tracer)
	c, s := h.pair(t)
	go func() {
		c.Write(make([]byte, 100_000))
		c.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, s); n != 100_000 || err != nil {
		t.Error(n, err)
	}
	s.Write([]byte("thanks"))
	s.Close()
	if b, err := io.ReadAll(c); string(b) != "thanks" || err != nil {
		t.Error(b, err)
	}
	c.Close()
	synctest.Wait()
}

// TestTrace: a connection from its SYN to its end, in order, each packet once, with the state after it.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorder)
		tracedExchange(t, r)
		at := 0
		for _, want := range []string{
			"in: opens the connection", "out: opens the connection", "in: ACK", "state: ESTABLISHED", "in: data · cwnd ",
			"in: no more data · CLOSE-WAIT", "state: ESTABLISHED → CLOSE-WAIT", "out: new data · CLOSE-WAIT · cwnd", "state: CLOSE-WAIT → LAST-ACK", "out: no more data · LAST-ACK", "in: ACK · acknowledges 7 octets · CLOSED", "state: LAST-ACK → CLOSED", "ended: ended · CLOSED",
		} {
			i := slices.IndexFunc(r.lines[at:], func(l string) bool { return strings.HasPrefix(l, want) })
			if i < 0 {
				t.Fatalf("no %q after event %d:\n%s", want, at, r.text())
			}
			at += i
		}
		received, sent, theirACKs, ourACKs := 0, 0, 0, 0
		for i, e := range r.events {
			switch e.Kind {
			case trace.PacketIn:
				received += e.Payload
				theirACKs += e.Acks
			case trace.PacketOut:
				sent += e.Payload
				ourACKs += e.Acks
			}
			if e.Local.Addr().String() != addrB4 || e.Remote.Addr().String() != addrA4 {
				t.Errorf("event %d: %v to %v", i, e.Local, e.Remote)
			}
			if i > 0 && e.Time.Before(r.events[i-1].Time) {
				t.Errorf("event %d is earlier than the one before", i)
			}
		}
		if received != 100_000 || sent != 6 {
			t.Errorf("%d octets in, %d out", received, sent)
		}
		if ourACKs != received+1 || theirACKs != sent+1 { // the FINs
			t.Errorf("we acknowledge %d, they %d", ourACKs, theirACKs)
		}
	})
}

// TestTraceOrder: what a packet brings about comes after it, whoever sends it.
func TestTraceOrder(t *testing.T) {
	r := new(recorder)
	h := newHosts(t, link.PairConfig{}, r.tracer)
	c, s := h.pair(t)
	go io.Copy(s, s)
	buf := make([]byte, 1000)
	for range less(2000) {
		if _, err := c.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	var told, acked tcpseg.Seq // what b has been told of a's octets, and has acknowledged
	for i, e := range r.events {
		switch {
		case e.Segment == nil:
		case e.Kind == trace.PacketIn:
			told = e.Segment.Seq.Add(e.Payload)
			if e.Segment.Flags.Has(tcpseg.SYN) {
				told = told.Add(1)
			}
			if e.Segment.Flags.Has(tcpseg.FIN) {
				told = told.Add(1)
			}
		default:
			if acked = e.Segment.Ack; told.Less(acked) {
				t.Fatalf("event %d acknowledges %d, and %d was the last that came", i, acked, told)
			}
		}
	}
}

// TestTraceHeld: what a connection waits for is told, and so is why it sends again.
func TestTraceHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorder)
		la, lb := link.Pair(link.PairConfig{})
		a := newStack(t, la, addrA4, addrA6)
		faults, err := link.ParseSpec("out:drop=3,delay=10ms")
		if err != nil {
			t.Fatal(err)
		}
		b := newStack(t, link.Impair(lb, faults), addrB4, addrB6, r.tracer)
		h := &hosts{a, b}
		c, s := h.pair(t)
		go s.Write(make([]byte, 200_000))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if _, err := io.ReadFull(c, make([]byte, 200_000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, want := range []string{"held: waits for the congestion window", "state: slow start → fast recovery", "out: fast retransmit", "· fast recovery", "rtt: round-trip time 20.0 ms", "held: nothing to send", "· slow start"} {
			if !strings.Contains(r.text(), want) {
				t.Errorf("nothing says %q:\n%s", want, r.text())
			}
		}
		r.checkSamples(t)
		s.Close()
		c.Close()
	})
}

// checkSamples expects a round-trip time of each segment that has shown one, right behind it.
func (r *recorder) checkSamples(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range r.events {
		sampled := i+1 < len(r.events) && r.events[i+1].Kind == trace.Sampled
		if sampled != (e.Kind == trace.PacketIn && r.states[i].Sample != 0) {
			t.Errorf("event %d: %v %+v, sampled: %v", i, e.Kind, r.states[i], sampled)
		}
	}
}

// TestTraceDrops: a packet that is refused is told with the reason that is counted, and the section.
func TestTraceDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorder)
		la, lb := link.Pair(link.PairConfig{})
		newStack(t, lb, addrB4, addrB6, r.tracer)
		t.Cleanup(func() { la.Close() })
		a, b := ippkt.FromNetip(netip.MustParseAddr(addrA4)), ippkt.FromNetip(netip.MustParseAddr(addrB4))
		seg := (&tcpseg.Header{SrcPort: 1, DstPort: 2, Flags: tcpseg.SYN}).AppendTo(nil)
		ip := ippkt.Header{Src: a, Dst: b, Proto: ippkt.ProtoTCP, TTL: 64}
		bad := append(ip.AppendTo(nil, len(seg)), seg...) // without a checksum
		for _, p := range [][]byte{bad, bad[:30], {0x45}} {
			la.Queues()[0].Write(link.Offload{}, p, [4][]byte{})
		}
		synctest.Wait()
		want := []string{
			"in: refused: tcp-checksum (RFC 9293 §3.1)",
			"in: refused: ip-total-length (RFC 791 §3.1)",
			"in: refused: ip-short (RFC 1122 §3.2.1)",
		}
		if got := r.text(); got != strings.Join(want, "\n") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// TestTraceJSON: events are valid JSON with what they are about.
func TestTraceJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all bytes.Buffer
		var mu sync.Mutex
		h := newHosts(t, link.PairConfig{}, func(cfg *Config) {
			cfg.Tracer = func(e *trace.Event) {
				mu.Lock()
				defer mu.Unlock()
				all.Write(append(trace.AppendJSON(nil, e), '\n'))
			}
		})
		c, s := h.pair(t)
		c.Write([]byte("hello"))
		s.Close()
		c.Close()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		kinds := map[string]int{}
		for line := range strings.Lines(all.String()) {
			var m struct {
				Event, Local, Remote, State, Cause, Held string
				Time                                     time.Time
				Cwnd                                     int
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			kinds[m.Event]++
			if m.Time.IsZero() || m.Local == "" || m.Remote == "" || m.State != "" && m.Cwnd == 0 || (m.Event == "held") != (m.Held != "") || (m.Event == "out") != (m.Cause != "") {
				t.Errorf("incomplete: %s", line)
			}
		}
		for _, k := range []string{"in", "out", "held", "ended"} {
			if kinds[k] == 0 {
				t.Errorf("no event %q", k)
			}
		}
	})
}

// TestTraceSections: every reason of a refusal has a section behind it, or is a limit of our own.
func TestTraceSections(t *testing.T) {
	own := []string{"tcp-none", "tcp-out-of-order-full", "tcp-memory", "ok", "write-errors", "ip-multicast", "ip-offload",
		"fragment-too-many", "fragment-of-discarded", "fragment-nested", "reassembly-evicted", "listen-backlog-full",
		"listen-accept-queue-full", "listen-memory-spent", "fast-open-too-many", "icmp-echo-limited"}
	check := func(reason string) {
		if has := trace.Section(reason) != ""; has == slices.Contains(own, reason) {
			t.Errorf("%s: section %q", reason, trace.Section(reason))
		}
	}
	for d := range tcb.Drop(tcb.NumDrops) {
		check(dropPrefix + d.String())
	}
	for r := range ippkt.Reason(ippkt.NumReasons) {
		check(r.String())
	}
	for c := range numCounters {
		if c.isDrop() {
			check(counterNames[c])
		}
	}
}

// TestTraceAllocs: neither an event nor its absence costs an allocation.
func TestTraceAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tracer := range []func(*trace.Event){nil, func(*trace.Event) {}} {
		h := newHosts(t, link.PairConfig{}, func(cfg *Config) { cfg.Tracer = tracer })
		c, s := h.pair(t)
		buf := make([]byte, 1000)
		turn := func() {
			c.Write(buf)
			io.ReadFull(s, buf)
		}
		for range 100 {
			turn()
		}
		if n := testing.AllocsPerRun(1000, turn); n >= 1 {
			t.Errorf("%v allocations with tracer %v", n, tracer != nil)
		}
	}
}

// TestTraceReset: a RST that ends a connection has done what it came for. It is counted, and not among what was refused.
func TestTraceReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorder)
		h := newHosts(t, link.PairConfig{}, r.tracer)
		c, s := h.pair(t)
		c.Abort()
		synctest.Wait()
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("the connection lives")
		}
		st := h.b.Stats()
		if !strings.Contains(r.text(), "in: reset · CLOSED") || len(st.Drops) > 0 || st.Counters["tcp-resets-received"] != 1 {
			t.Errorf("drops %v, counters %v:\n%s", st.Drops, st.Counters, r.text())
		}
		s.Close()
	})
}

// TestTracePiggyback: of a segment with data it is told which ACK rides on it.
func TestTracePiggyback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorder)
		h := newHosts(t, link.PairConfig{}, r.tracer)
		c, s := h.pair(t)
		for _, answer := range []string{"one", "two"} { // the first read opens the window, which tells the peer at once
			c.Write(make([]byte, 87))
			if _, err := io.ReadFull(s, make([]byte, 87)); err != nil {
				t.Fatal(err)
			}
			s.Write([]byte(answer))
		}
		s.Write([]byte("three"))
		synctest.Wait()
		var acks []int
		for _, e := range r.events {
			if e.Kind == trace.PacketOut && e.Payload > 0 {
				acks = append(acks, e.Acks)
			}
		}
		if !slices.Equal(acks, []int{0, 87, 0}) || !strings.Contains(r.text(), "out: new data · carries the ACK of 87 octets · cwnd") {
			t.Errorf("%v\n%s", acks, r.text())
		}
		s.Close()
		c.Close()
	})
}
