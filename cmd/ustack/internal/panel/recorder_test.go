package panel

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/tcpseg"

	"github.com/gopacket/gopacket/pcapgo"
)

// segment is an event of the flow that a test records: the nth segment, which differs from those before in length and time.
func segment(f flow, header *tcpseg.Header, s *tcb.Snapshot, n int) *trace.Event {
	s.SRTT = tcb.Time(n) * tcb.Time(time.Millisecond)
	return &trace.Event{
		Kind: trace.PacketOut, Time: time.Unix(int64(n), 0), Local: f.local, Remote: f.remote, Segment: header, Cause: tcb.CauseData, State: s,
		Pieces: [][]byte{bytes.Repeat([]byte{byte(n)}, 40+n%300)},
	}
}

// record gives a recorder events by way of a ring, as the stack does.
func record(t *testing.T, r *recorder, rec *trace.Record, e *trace.Event) {
	t.Helper()
	r.ring.Trace(e)
	if !r.ring.Next(rec) || !r.add(rec) {
		t.Fatal("the recording has ended")
	}
}

// TestRecorderKeeps: of more packets than there is room for the last ones are in the capture, each with its own octets and
// its own comment; and so are the last round-trip times.
func TestRecorderKeeps(t *testing.T) {
	f := flow{netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:9")}
	r := newRecorder(f)
	var rec trace.Record
	header, state := tcpseg.Header{Flags: tcpseg.ACK}, tcb.Snapshot{}
	const n = keptPackets*2 + 321
	for i := range n {
		e := segment(f, &header, &state, i+1)
		record(t, r, &rec, e)
		state.Sample = 2 * state.SRTT
		record(t, r, &rec, &trace.Event{Kind: trace.Sampled, Time: e.Time, Local: f.local, Remote: f.remote, State: &state})
	}
	var file bytes.Buffer
	if err := r.capture(&file, "about"); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d packets before these are forgotten", n-keptPackets); !strings.Contains(file.String(), want) {
		t.Errorf("the capture does not say that %s", want)
	}
	ng, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i := n - keptPackets + 1; i <= n; i++ {
		data, info, options, err := ng.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatal(err)
		}
		whole := bytes.Repeat([]byte{byte(i)}, 40+i%300)
		comment := fmt.Sprintf("new data · CLOSED · cwnd 0 ssthresh 0 in flight 0 peer window 0 srtt %d ms rto 0.00 ms · ", i)
		if !bytes.Equal(data, whole[:min(len(whole), keptOctets)]) || info.Length != len(whole) || info.Timestamp.Unix() != int64(i) ||
			!strings.HasPrefix(options.Comments[0], comment) {
			t.Fatalf("packet %d: %d octets of %d at %v, %q, want %q", i, len(data), info.Length, info.Timestamp, options.Comments, comment)
		}
	}
	if _, _, err := ng.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
	facts := r.facts()
	if s := facts.Samples; len(s) != keptSamples || s[0].SRTT != n-keptSamples+1 || s[keptSamples-1].SRTT != n || s[0].RTT != 2*s[0].SRTT {
		t.Errorf("%+v", s)
	}
	if facts.Packets != keptPackets || facts.Causes["data"] != n {
		t.Errorf("%d packets, %d sent", facts.Packets, facts.Causes["data"])
	}
}

// TestRecorderAllocs: once a recording is full, a packet costs no memory.
func TestRecorderAllocs(t *testing.T) {
	f := flow{netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:9")}
	r := newRecorder(f)
	var rec trace.Record
	header, state, n := tcpseg.Header{Flags: tcpseg.ACK}, tcb.Snapshot{}, 0
	e := segment(f, &header, &state, 299)
	sampled := trace.Event{Kind: trace.Sampled, Time: e.Time, Local: f.local, Remote: f.remote, State: &state}
	one := func() {
		n++
		e.Kind, state.Sample = trace.PacketOut, tcb.Time(n)*tcb.Time(time.Microsecond)
		if n%2 == 0 {
			e.Kind = trace.PacketIn
		}
		record(t, r, &rec, e)
		record(t, r, &rec, &sampled)
	}
	for range keptPackets {
		one()
	}
	if allocs := testing.AllocsPerRun(3*keptPackets, one); allocs != 0 {
		t.Errorf("%v allocations for a packet", allocs)
	}
}

// BenchmarkRecorder is what a packet of a recorded connection costs.
func BenchmarkRecorder(b *testing.B) {
	f := flow{netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:9")}
	r := newRecorder(f)
	header, state := tcpseg.Header{Flags: tcpseg.ACK}, tcb.Snapshot{}
	var rec trace.Record
	r.ring.Trace(segment(f, &header, &state, 299))
	r.ring.Next(&rec)
	b.ReportAllocs()
	for b.Loop() {
		r.add(&rec)
	}
}
