package postmortem

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"ustack/stack/tcb"
	"ustack/stack/trace"
	"ustack/stack/trace/pcapng"
	"ustack/tcpseg"
)

// graveyard keeps files in memory.
type graveyard struct {
	files map[string]*file
	notes []string
	err   error
}

type file struct {
	bytes.Buffer
	closed bool
}

func (f *file) Close() error { f.closed = true; return nil }

func (g *graveyard) create(name string) (io.WriteCloser, error) {
	if g.err != nil {
		return nil, g.err
	}
	g.files[name] = new(file)
	return g.files[name], nil
}

func newKeeper(packets int) (*graveyard, *Keeper) {
	g := &graveyard{files: map[string]*file{}}
	note := func(format string, args ...any) { g.notes = append(g.notes, fmt.Sprintf(format, args...)) }
	return g, New(Config{Packets: packets, Options: pcapng.Options{Interface: "x"}, Create: g.create, Note: note})
}

// play gives a Keeper events through a ring.
func play(k *Keeper, events ...trace.Event) {
	r := trace.NewRing(len(events), 100)
	for i := range events {
		r.Trace(&events[i])
	}
	r.Close()
	k.Follow(r)
}

var local = netip.MustParseAddrPort("10.90.0.2:80")

func peer(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("10.90.0.1"), uint16(port))
}

// segment is a packet of a connection that can be told by its first octet.
func segment(port, n int) trace.Event {
	return trace.Event{
		Kind: trace.PacketOut, Time: time.Unix(int64(n), 0), Local: local, Remote: peer(port), Cause: tcb.CauseRTO,
		Segment: &tcpseg.Header{Seq: tcpseg.Seq(n)}, State: &tcb.Snapshot{State: tcb.Established, Cwnd: n}, Pieces: [][]byte{{byte(n), 2}, {3}},
	}
}

func ended(port int, err error) trace.Event {
	return trace.Event{Kind: trace.Ended, Time: time.Unix(1e9, 123456000), Local: local, Remote: peer(port), Err: err}
}

// read returns the first octets and comments of a file's packets, and what it says of itself.
func read(t *testing.T, f *file) (first []byte, comments []string, about string) {
	t.Helper()
	if !f.closed {
		t.Error("the file is still open")
	}
	r, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			return first, comments, r.SectionInfo().Comment
		}
		if err != nil {
			t.Fatal(err)
		}
		first, comments = append(first, data[0]), append(comments, opts.Comments...)
	}
}

// TestDeaths: who ends in order leaves nothing, who dies leaves a file that says of what.
func TestDeaths(t *testing.T) {
	for name, err := range map[string]error{
		"": nil, "-reset": tcb.ErrReset, "-refused": tcb.ErrRefused, "-timeout": tcb.ErrTimeout, "-aborted": fmt.Errorf("why: %w", tcb.ErrAborted),
	} {
		g, k := newKeeper(10)
		play(k, segment(1, 1), segment(2, 2), segment(1, 3), trace.Event{Kind: trace.Held, Local: local, Remote: peer(1)},
			trace.Event{Kind: trace.PacketIn, Pieces: [][]byte{{9}}}, ended(1, err), ended(1, err), ended(3, tcb.ErrReset))
		if name == "" {
			if len(g.files) > 0 {
				t.Errorf("files %v", g.files)
			}
			continue
		}
		f := g.files["10.90.0.1-1-10.90.0.2-80"+name+"-20010909T014640.123456Z.pcapng"]
		if f == nil || len(g.files) != 1 || len(g.notes) != 0 {
			t.Errorf("%s: files %q, notes %q", name, slices.Collect(maps.Keys(g.files)), g.notes)
			continue
		}
		first, comments, about := read(t, f)
		if string(first) != "\x01\x03" || len(comments) != 2 || !strings.HasPrefix(comments[1], "retransmission time-out · cwnd 3 ") {
			t.Errorf("packets % x, comments %q", first, comments)
		}
		if want := "10.90.0.1:1 to 10.90.0.2:80: ended: " + err.Error(); about != want {
			t.Errorf("about %q, want %q", about, want)
		}
	}
}

// TestLastPackets: the last ones stay, the memory of one connection serves the next, and what is missing is told.
func TestLastPackets(t *testing.T) {
	g, k := newKeeper(3)
	for life, count := range []int{7, 2, 3, 5} {
		var events []trace.Event
		for n := range count {
			events = append(events, segment(1, 10*life+n))
		}
		play(k, events...)
		end := ended(1, tcb.ErrTimeout)
		end.Time = end.Time.Add(time.Duration(life) * time.Second)
		play(k, end)
		if len(k.spare) != 1 || len(k.flows) != 0 || k.recent.Len() != 0 {
			t.Errorf("%d spare, %d in use", len(k.spare), len(k.flows))
		}
		f := g.files[fileName(key{local, peer(1)}, "timeout", end.Time)]
		if f == nil {
			t.Fatalf("no file of life %d", life)
		}
		first, _, about := read(t, f)
		var want []byte
		for n := max(0, count-3); n < count; n++ {
			want = append(want, byte(10*life+n))
		}
		if !bytes.Equal(first, want) || strings.Contains(about, fmt.Sprintf("; %d packets before these are forgotten", count-3)) != (count > 3) {
			t.Errorf("life %d: packets %d, want %d: %q", life, first, want, about)
		}
	}
	k.add(&trace.Record{Lost: 4})
	play(k, segment(2, 1))
	k.add(&trace.Record{Lost: 5})
	play(k, segment(2, 2), segment(2, 3), ended(2, tcb.ErrReset))
	_, comments, _ := read(t, g.files[fileName(key{local, peer(2)}, "reset", ended(2, nil).Time)])
	if len(comments) != 4 || !strings.HasPrefix(comments[1], "5 events before this packet are missing") {
		t.Errorf("comments %q", comments)
	}
}

// TestNamesAnswers: packets name the answers that begin and end in them, whatever has been learned since, and the file those
// that the peer has not acknowledged.
func TestNamesAnswers(t *testing.T) {
	answer := func(kind trace.Kind, number int, from, to int64) trace.Event {
		x := trace.Exchange{Number: number, Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d", number), Status: 200, Out: from, OutEnd: to, Length: -1}
		return trace.Event{Kind: kind, Local: local, Remote: peer(1), HTTP: &x}
	}
	data := func(n, from, octets int) trace.Event {
		e := segment(1, n)
		e.Segment.Seq, e.State.Una, e.Payload = tcpseg.Seq(1+from), 1, octets
		return e
	}
	g, k := newKeeper(10)
	play(k, answer(trace.Response, 1, 0, 30), answer(trace.ResponseEnd, 1, 0, 30), answer(trace.Response, 2, 30, -1), data(1, 0, 20),
		data(2, 20, 20), answer(trace.ResponseEnd, 2, 30, 60), data(3, 40, 20), ended(1, tcb.ErrReset), ended(1, nil))
	f := g.files[fileName(key{local, peer(1)}, "reset", ended(1, nil).Time)]
	if f == nil {
		t.Fatal("no file")
	}
	_, comments, about := read(t, f)
	for i, want := range []string{
		" · answer 1 begins: 200 GET /1 · cwnd", " · answer 1 ends: 200 GET /1 · answer 2 begins: 200 GET /2 · cwnd", " · answer 2 ends: 200 GET /2 · cwnd",
	} {
		if i >= len(comments) || !strings.Contains(comments[i], want) {
			t.Errorf("comments %q, want %q in number %d", comments, want, i)
		}
	}
	if want := "; not acknowledged: answer 1: 200 GET /1 · answer 2: 200 GET /2"; !strings.HasSuffix(about, want) {
		t.Errorf("about %q, want %q", about, want)
	}
}

// TestBounds: connections beyond the limit push out the one that has been quiet for the longest.
func TestBounds(t *testing.T) {
	g, k := newKeeper(MaxPackets)
	limit := keptPackets / MaxPackets
	for port := range limit {
		play(k, segment(1+port, 1))
	}
	play(k, segment(1, 2), segment(limit+1, 1), segment(limit+2, 1))
	if len(k.flows) != limit || k.recent.Len() != limit || len(k.spare) > 1 {
		t.Errorf("%d connections, want %d; %d spare", len(k.flows), limit, len(k.spare))
	}
	for port := range limit + 2 {
		play(k, ended(1+port, tcb.ErrReset))
	}
	if len(g.files) != limit {
		t.Errorf("%d files, want %d", len(g.files), limit)
	}
	for _, port := range []int{2, 3} {
		if g.files[fileName(key{local, peer(port)}, "reset", ended(port, nil).Time)] != nil {
			t.Errorf("connection %d has not gone", port)
		}
	}
}

// TestWritingEnds: after so many files, and after one that cannot be made, no more come, and that is said once.
func TestWritingEnds(t *testing.T) {
	g, k := newKeeper(1)
	for port := range maxFiles + 3 {
		play(k, segment(1+port, 1), ended(1+port, tcb.ErrReset))
	}
	if len(g.files) != maxFiles || len(g.notes) != 1 || !strings.Contains(g.notes[0], "1000") {
		t.Errorf("%d files, notes %q", len(g.files), g.notes)
	}
	g, k = newKeeper(1)
	g.err = errors.New("disk full")
	for port := range 3 {
		play(k, segment(1+port, 1), ended(1+port, tcb.ErrReset))
	}
	if len(g.notes) != 1 || !strings.Contains(g.notes[0], "disk full") {
		t.Errorf("notes %q", g.notes)
	}
}

func TestFileNameOfIPv6(t *testing.T) {
	f := key{netip.MustParseAddrPort("[fd90::2]:80"), netip.MustParseAddrPort("[fd90::1]:40000")}
	if got := fileName(f, "reset", time.Unix(0, 0)); got != "fd90__1-40000-fd90__2-80-reset-19700101T000000.000000Z.pcapng" {
		t.Errorf("%q", got)
	}
}
