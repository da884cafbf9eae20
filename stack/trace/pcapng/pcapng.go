// Package pcapng writes captures that Wireshark and tshark read: packets as they stand on the
// link (link type RAW), to the nanosecond, with their direction and with comments.
package pcapng

import (
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/trace"
)

const (
	// DefaultSnapLen takes the largest super-segment whole.
	DefaultSnapLen = 1 << 18
	// flushInterval is how far the file may lag behind, when packets follow each other
	// closely; a packet after a pause is written at once.
	flushInterval = 20 * time.Millisecond
	// bufferLimit bounds what waits for a slow file, in octets; then Write waits.
	bufferLimit = 16 << 20
	// maxComment is the longest comment that the format can hold, in octets.
	maxComment = 65535
)

// Options of a Writer; the zero value is useful.
type Options struct {
	Interface string // name shown for the packets; "" means ustack0. Refused ones are on another, with -refused behind it
	SnapLen   int    // octets kept of each packet; 0 means DefaultSnapLen
	Comment   string // about the whole capture, such as the command line
	Names     []Name // of addresses
}

// Packet is one packet of a capture.
type Packet struct {
	Direction link.Direction
	Time      time.Time
	Offload   link.Offload // what is unfinished is finished in what is written, as far as the packet is there
	Pieces    [][]byte
	Len       int // octets of the packet where Pieces hold only its start; 0: they hold all
	Comments  []string
	Refused   bool // the stack has refused it, in whole or in part

	// Names are the answers that the last comment of the packet names, of each packet of a super-segment those that begin
	// and end in it. Nil: none.
	Names *trace.Names
}

// Writer writes packets to a file. Its methods may be called from any goroutine. A goroutine of
// its own does the writing, always up to the end of a packet: who reads the file while it grows,
// or after a crash, finds it whole and at most a few milliseconds old.
type Writer struct {
	out     io.Writer
	snapLen int

	mu       sync.Mutex
	filled   sync.Cond // there is something to write, or the end
	emptied  sync.Cond
	ng       *pcapgo.NgWriter
	buffer   buffer
	gathered []byte // a super-segment that came in pieces
	scratch  []byte // a packet as it is written
	err      error
	closed   bool
	closing  chan struct{} // closed when closed is set
	done     chan struct{}
}

// buffer is where NgWriter's output gathers.
type buffer struct {
	b     []byte
	total int64 // octets that have come so far
}

func (b *buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	b.total += int64(len(p))
	return len(p), nil
}

// NewWriter starts a capture on out. Close ends it, and does not close out.
func NewWriter(out io.Writer, o Options) (*Writer, error) {
	if o.Interface == "" {
		o.Interface = "ustack0"
	}
	if o.SnapLen == 0 {
		o.SnapLen = DefaultSnapLen
	}
	if o.SnapLen < 0 {
		return nil, errors.New("pcapng: negative snap length")
	}
	if err := checkNames(o.Names); err != nil {
		return nil, err
	}
	w := &Writer{out: out, snapLen: o.SnapLen, closing: make(chan struct{}), done: make(chan struct{})}
	w.filled.L, w.emptied.L = &w.mu, &w.mu
	var err error
	w.ng, err = pcapgo.NewNgWriterInterface(&w.buffer, w.ngInterface(o.Interface),
		pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
			Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: "ustack", Comment: trim(o.Comment)}})
	if err != nil {
		return nil, err
	}
	if _, err := w.ng.AddInterface(w.ngInterface(o.Interface + "-refused")); err != nil {
		return nil, err
	}
	if err := w.ng.Flush(); err != nil {
		return nil, err
	}
	if _, err := w.buffer.Write(appendNames(nil, o.Names)); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *Writer) ngInterface(name string) pcapgo.NgInterface {
	return pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeRaw, SnapLength: uint32(w.snapLen), OS: runtime.GOOS}
}

var flags = [...]pcapgo.NgEpbFlags{
	link.In:  {Direction: pcapgo.NgEpbFlagDirectionInbound},
	link.Out: {Direction: pcapgo.NgEpbFlagDirectionOutbound},
}

// Write adds a packet, of which it keeps nothing: a super-segment as the packets that it is on a wire. It returns the
// first error of the capture, or net.ErrClosed after Close; it waits only if the file is far behind.
func (w *Writer) Write(p *Packet) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buffer.b) > bufferLimit && w.err == nil && !w.closed {
		w.emptied.Wait()
	}
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return net.ErrClosed
	}
	w.err = w.put(p)
	w.filled.Signal()
	return w.err
}

// put adds a packet to the buffer. w.mu is held.
func (w *Writer) put(p *Packet) error {
	if p.Offload.GSO == link.GSOTCPv4 || p.Offload.GSO == link.GSOTCPv6 {
		if err := w.putCut(p); !errors.Is(err, ippkt.ErrSegment) {
			return err
		}
	}
	data := gather(w.scratch[:0], p)
	w.scratch = data
	if p.Offload.NeedsCsum && p.Len <= len(data) {
		ippkt.FinishPartial(data, int(p.Offload.CsumStart), int(p.Offload.CsumOffset))
	}
	return w.putPacket(p, data, max(p.Len, len(data)), p.named(p.Comments, 0, math.MaxInt))
}

// gather appends the octets of p.
func gather(b []byte, p *Packet) []byte {
	for _, piece := range p.Pieces {
		b = append(b, piece...)
	}
	return b
}

// putPacket adds a packet of length octets that starts with data, and is otherwise like p.
func (w *Writer) putPacket(p *Packet, data []byte, length int, comments []string) error {
	options := pcapgo.NgPacketOptions{Flags: &flags[p.Direction&1]}
	for _, c := range comments {
		options.Comments = append(options.Comments, trim(c))
	}
	info := gopacket.CaptureInfo{Timestamp: p.Time, Length: length, CaptureLength: min(len(data), w.snapLen)}
	if p.Refused {
		info.InterfaceIndex = 1
	}
	if err := w.ng.WritePacketWithOptions(info, data[:info.CaptureLength], options); err != nil {
		return err
	}
	return w.ng.Flush()
}

// Size returns the octets of the capture so far, those that wait to be written among them.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffer.total
}

// Err returns the first error of the capture.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close writes what is left and returns the first error of the capture.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
	w.filled.Signal()
	w.emptied.Broadcast()
	<-w.done
	return w.Err()
}

// run takes what has gathered and writes it, with a pause after it while the capture goes on, in
// which more can gather.
func (w *Writer) run() {
	defer close(w.done)
	var spare []byte
	for {
		w.mu.Lock()
		for len(w.buffer.b) == 0 && !w.closed && w.err == nil {
			w.filled.Wait()
		}
		full, closed, failed := w.buffer.b, w.closed, w.err != nil
		w.buffer.b = spare[:0]
		w.mu.Unlock()
		w.emptied.Broadcast()

		if len(full) > 0 && !failed {
			if _, err := w.out.Write(full); err != nil {
				w.fail(err)
				return
			}
		}
		if failed || closed {
			return
		}
		spare = full
		select {
		case <-w.closing:
		case <-time.After(flushInterval):
		}
	}
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.emptied.Broadcast()
}

// trim cuts a comment to what an option can hold, at the start of a character.
func trim(s string) string {
	if len(s) <= maxComment {
		return s
	}
	return strings.ToValidUTF8(s[:maxComment], "")
}
