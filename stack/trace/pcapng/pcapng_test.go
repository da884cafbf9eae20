package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"ustack/stack/link"
	"ustack/stack/trace"
)

// tcpPartial is an IPv4 TCP segment with an unfinished checksum, in pieces.
func tcpPartial(payload []byte) (link.Offload, [][]byte) {
	p := make([]byte, 40)
	p[0], p[8], p[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(p[2:], uint16(40+len(payload)))
	copy(p[12:], []byte{10, 90, 0, 2, 10, 90, 0, 1})
	binary.BigEndian.PutUint16(p[10:], ^sum(p[:20], 0))
	binary.BigEndian.PutUint16(p[20:], 80)
	binary.BigEndian.PutUint16(p[22:], 40000)
	p[32], p[33] = 5<<4, 0x10
	binary.BigEndian.PutUint16(p[36:], sum(p[12:20], 6+20+uint32(len(payload))))
	return link.Offload{NeedsCsum: true, CsumStart: 20, CsumOffset: 16}, [][]byte{p, payload[:1], payload[1:]}
}

func sum(b []byte, s uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// A reader finds the packets, times, directions, comments and the interface.
func TestWriterReadsBack(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{Comment: "ustack serve"})
	if err != nil {
		t.Fatal(err)
	}
	o, pieces := tcpPartial([]byte("hello"))
	before := bytes.Join(pieces, nil)
	at := time.Date(2031, 2, 3, 4, 5, 6, 123456789, time.UTC)
	tap(w, link.Out, at, o, pieces)
	long := strings.Repeat("é", 40000)
	if err := w.Write(&Packet{Direction: link.In, Time: at.Add(1), Pieces: [][]byte{{0x45, 1, 2}},
		Comments: []string{"why: RTO", "second", long}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, bytes.Join(pieces, nil)) {
		t.Error("the caller's packet was changed")
	}

	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ifi, err := r.Interface(0)
	if err != nil || ifi.Name != "ustack0" || ifi.SnapLength != DefaultSnapLen || ifi.LinkType != layers.LinkTypeRaw ||
		r.SectionInfo().Comment != "ustack serve" {
		t.Errorf("interface %+v, %v; section %+v", ifi, err, r.SectionInfo())
	}
	data, info, opts, err := r.ReadPacketDataWithOptions()
	if err != nil || !info.Timestamp.Equal(at) || opts.Flags.Direction != pcapgo.NgEpbFlagDirectionOutbound {
		t.Fatalf("%+v, %+v, %v", info, opts, err)
	}
	if got := sum(data[20:], uint32(sum(data[12:20], 6+uint32(len(data)-20)))); got != 0xffff {
		t.Errorf("the checksum is not finished: adds up to %#x", got)
	}
	data, info, opts, err = r.ReadPacketDataWithOptions()
	if err != nil || !bytes.Equal(data, []byte{0x45, 1, 2}) || info.Timestamp.Sub(at) != 1 ||
		opts.Flags.Direction != pcapgo.NgEpbFlagDirectionInbound {
		t.Errorf("%x, %+v, %+v, %v", data, info, opts, err)
	}
	if len(opts.Comments) != 3 || opts.Comments[0] != "why: RTO" || opts.Comments[1] != "second" || opts.Comments[2] != long[:65534] {
		t.Errorf("%d comments: %.80q", len(opts.Comments), opts.Comments)
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
	if err := w.Write(&Packet{}); err != net.ErrClosed {
		t.Errorf("Write after Close = %v", err)
	}
}

func TestWriterSnapLen(t *testing.T) {
	var file bytes.Buffer
	w, _ := NewWriter(&file, Options{SnapLen: 60})
	tap(w, link.In, time.Now(), link.Offload{}, [][]byte{make([]byte, 100)})
	w.Close()
	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, info, err := r.ReadPacketData()
	if err != nil || info.CaptureLength != 60 || info.Length != 100 {
		t.Errorf("%+v, %v", info, err)
	}
}

// tshark finds no fault with checksums and sizes, of super-segments too.
func TestWriterTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("no tshark on this system")
	}
	path := filepath.Join(t.TempDir(), "x.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 100, 1460, 60001} {
		o, pieces := tcpPartial(make([]byte, n))
		tap(w, link.Out, time.Now(), o, pieces)
	}
	w.Write(&Packet{Time: time.Now(), Pieces: [][]byte{{0x45}}, Comments: []string{"torn"}})
	if err := errors.Join(w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		args = append([]string{"-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}, args...)
		out, err := exec.Command(tshark, args...).Output()
		if err != nil {
			t.Fatalf("tshark %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	if got := run("-T", "fields", "-e", "tcp.len", "-e", "tcp.checksum.status", "-e", "frame.interface_name", "-Y", "tcp"); got !=
		"1\t1\tustack0\n100\t1\tustack0\n1460\t1\tustack0\n60001\t1\tustack0" {
		t.Errorf("tshark reads:\n%s", got)
	}
	if got := run("-T", "fields", "-e", "frame.number", "-Y", "frame.comment == \"torn\""); got != "5" {
		t.Errorf("the comment is at %q", got)
	}
}

// growing is a file that may be read while it grows.
type growing struct {
	mu     sync.Mutex
	b      bytes.Buffer
	writes int
	err    error
}

func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	if g.err != nil {
		return 0, g.err
	}
	return g.b.Write(p)
}

// packets counts the whole packets in the file, which has to end with one.
func (g *growing) packets(t *testing.T) int {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := pcapgo.NewNgReader(bytes.NewReader(g.b.Bytes()), pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if _, _, err := r.ReadPacketData(); err == io.EOF {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A packet after a pause is in the file at once; of a burst everything within the interval.
func TestWriterFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := new(growing)
		w, err := NewWriter(file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		tap(w, link.In, time.Now(), link.Offload{}, [][]byte{{0x45}})
		synctest.Wait()
		if n := file.packets(t); n != 1 {
			t.Errorf("%d packets at once", n)
		}
		for range 1000 {
			tap(w, link.In, time.Now(), link.Offload{}, [][]byte{make([]byte, 1500)})
			time.Sleep(time.Microsecond)
		}
		time.Sleep(flushInterval)
		synctest.Wait()
		if n := file.packets(t); n != 1001 {
			t.Errorf("%d packets after the interval", n)
		}
		if file.writes > 4 {
			t.Errorf("%d writes", file.writes)
		}
		w.Close()
	})
}

func TestWriterKeepsFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		w, err := NewWriter(&growing{err: full}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.Write(&Packet{Time: time.Now(), Pieces: [][]byte{{1}}}); err != full {
			t.Errorf("Write = %v", err)
		}
		if err := w.Close(); err != full {
			t.Errorf("Close = %v", err)
		}
	})
}

func TestWriterConcurrent(t *testing.T) {
	file := new(growing)
	w, _ := NewWriter(file, Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				tap(w, link.Out, time.Now(), link.Offload{}, [][]byte{make([]byte, 40), make([]byte, 100)})
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := file.packets(t); n != 2000 {
		t.Errorf("%d packets", n)
	}
}

// TestFollow: a ring's packets are written with comments, cut ones with their length, refused ones on an interface of
// their own, and a gap is told.
func TestFollow(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{Interface: "x"})
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRing(2, 10)
	at := time.Unix(1, 0)
	for _, e := range []trace.Event{
		{Kind: trace.PacketOut, Time: at, Pieces: [][]byte{make([]byte, 40)}},
		{Kind: trace.Held, Time: at},
		{Kind: trace.PacketIn, Time: at, Pieces: [][]byte{make([]byte, 20)}}, // finds no room
	} {
		r.Trace(&e)
	}
	var first trace.Record
	r.Next(&first)
	r.Trace(&trace.Event{Kind: trace.PacketIn, Time: at, Drop: "tcp-paws", Pieces: [][]byte{make([]byte, 20)}})
	r.Close()
	Follow(r, w.Write)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ng, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	data, info, opts, err := ng.ReadPacketDataWithOptions()
	if err != nil || len(data) != 10 || info.Length != 20 || info.InterfaceIndex != 1 {
		t.Fatalf("%d octets, %+v, %v", len(data), info, err)
	}
	want := []string{"1 events before this packet are missing: they came too fast", "refused: tcp-paws (RFC 7323 §5)"}
	if !slices.Equal(opts.Comments, want) {
		t.Errorf("comments %q", opts.Comments)
	}
	if second, err := ng.Interface(1); err != nil || second.Name != "x-refused" {
		t.Errorf("second interface %q, %v", second.Name, err)
	}
	if _, _, err := ng.ReadPacketData(); err != io.EOF {
		t.Errorf("more than one packet: %v", err)
	}
}
