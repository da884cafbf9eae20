package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/stack/link/tun"
	"ustack/tcpseg"
)

// The raw device: as much of TCP as curl, wrk and ab need to be content on a wire that loses
// nothing, and not an instruction more. No timestamps, no SACK, no congestion control, no
// checksums on the way in, one client. It stands for what the device can carry.

const (
	rawMSS    = 1460
	rawWindow = 4 << 20 // octets, what an uploading client may have under way
	rawShift  = 7
	rawISS    = tcpseg.Seq(1)
	// rawChunk is the largest super-segment of whole segments below 64 KB.
	rawChunk = 44 * rawMSS
	// rawAckEvery is how much of an upload goes unacknowledged while more is ready to be read.
	rawAckEvery = 256 << 10
	// rawFlight is how much of a download is under way at most. More than this leaves the processor's
	// cache before the client has read it, and is slower.
	rawFlight = 256 << 10
	rawStall  = 200 * time.Millisecond
)

var rawHello = []byte("HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: text/plain\r\n" +
	"Content-Length: 13\r\n\r\nHello, World!")

// rawFlow is one connection, known by the client's port.
type rawFlow struct {
	used       bool
	open       bool // the handshake is over
	finSent    bool
	ackDue     bool
	una, nxt   tcpseg.Seq
	end        tcpseg.Seq // what there is to send ends here
	body       tcpseg.Seq // from here on it is body, of a download
	rcv        tcpseg.Seq
	acked      tcpseg.Seq
	window     int
	shift      uint8
	uploadLeft int64
	head       []byte // octets before body that are not acknowledged, for the watchdog
	rest       []byte // of a request cut in two
	progress   time.Time
}

type rawServer struct {
	q      link.Queue
	gso    bool
	local  ippkt.Addr
	remote ippkt.Addr
	flows  []rawFlow // by port
	due    []uint16  // ports of flows that owe an ACK
	block  []byte
	// sums are the partial sums of whole segments of block, so that a wire-sized download costs
	// the device and not the checksum.
	sums []uint32
	hdr  []byte
	out  []byte
}

// serveRaw answers on a device of the caller's namespace until ctx is done.
func serveRaw(ctx context.Context, offload bool) error {
	mode := tun.Off
	if offload {
		mode = tun.On
	}
	runtime.GOMAXPROCS(1)
	local := netip.MustParseAddr(serverAddr)
	dev, err := tun.Open(tun.Config{Offload: mode, HostAddr: netip.MustParsePrefix(clientAddr + "/24"), Addrs: []netip.Addr{local}})
	if err != nil {
		return err
	}
	s := newRawServer(dev.Queues()[0], offload)
	stop := context.AfterFunc(ctx, func() { dev.Close() })
	defer stop()
	go s.watchdog(ctx)
	err = s.run()
	if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
		return nil
	}
	return err
}

func newRawServer(q link.Queue, gso bool) *rawServer {
	s := &rawServer{
		q: q, gso: gso,
		local:  ippkt.FromNetip(netip.MustParseAddr(serverAddr)),
		remote: ippkt.FromNetip(netip.MustParseAddr(clientAddr)),
		flows:  make([]rawFlow, 1<<16),
		block:  bytes.Repeat([]byte("raw device "), 6000),
		hdr:    make([]byte, 0, 128),
	}
	for at := 0; at+rawMSS <= rawChunk; at += rawMSS {
		s.sums = append(s.sums, ippkt.Sum(s.block[at:at+rawMSS], 0))
	}
	return s
}

// watchdog wakes the loop now and then, so that it looks for a flow that has lost a packet.
func (s *rawServer) watchdog(ctx context.Context) {
	tick := time.NewTicker(rawStall)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.q.Wake()
		}
	}
}

func (s *rawServer) run() error {
	f := link.NewFrame()
	looked := time.Now()
	for {
		ok, err := s.q.Read(f)
		if err != nil {
			return err
		}
		if ok {
			s.packet(f.Packet)
			continue
		}
		s.ackDue()
		if now := time.Now(); now.Sub(looked) > rawStall {
			looked = now
			s.resend(now)
		}
		if err := s.q.Wait(); err != nil {
			return err
		}
	}
}

func (s *rawServer) ackDue() {
	for _, port := range s.due {
		if f := &s.flows[port]; f.ackDue {
			s.send(port, f, tcpseg.ACK, nil, 0)
		}
	}
	s.due = s.due[:0]
}

// resend goes back to the first unacknowledged octet of flows that stand still.
func (s *rawServer) resend(now time.Time) {
	for port := range s.flows {
		f := &s.flows[port]
		if !f.used || f.una == f.nxt || now.Sub(f.progress) < rawStall {
			continue
		}
		f.progress = now
		switch {
		case !f.open:
			s.synAck(uint16(port), f)
		case f.una.Less(f.body):
			f.nxt = f.una
			s.text(uint16(port), f, f.head[len(f.head)-f.body.Sub(f.una):], f.finSent)
			s.fill(uint16(port), f)
		case f.una.Less(f.end):
			f.nxt = f.una
			s.fill(uint16(port), f)
		default: // only the FIN
			f.nxt = f.una
			s.send(uint16(port), f, tcpseg.ACK|tcpseg.FIN, nil, 0)
			f.nxt++
		}
	}
}

func (s *rawServer) packet(p []byte) {
	const ip = ippkt.IPv4HeaderLen
	if len(p) < ip+tcpseg.MinHeaderLen || p[0] != 0x45 || p[9] != ippkt.ProtoTCP {
		return
	}
	seg, err := tcpseg.Parse(p[ip:])
	if err != nil || seg.DstPort != 80 {
		return
	}
	f := &s.flows[seg.SrcPort]
	switch {
	case seg.Flags.Has(tcpseg.RST):
		*f = rawFlow{}
	case seg.Flags.Has(tcpseg.SYN):
		*f = rawFlow{used: true, una: rawISS, nxt: rawISS, end: rawISS + 1, body: rawISS + 1, rcv: seg.Seq + 1, acked: seg.Seq + 1,
			window: int(seg.Window), shift: seg.Options.Scale, progress: time.Now(), rest: f.rest[:0], head: f.head[:0]}
		s.synAck(seg.SrcPort, f)
	case f.used:
		s.segment(seg.SrcPort, f, &seg)
	}
}

func (s *rawServer) synAck(port uint16, f *rawFlow) {
	h := tcpseg.Header{Flags: tcpseg.SYN | tcpseg.ACK, Window: 65535,
		Options: tcpseg.Options{MSS: rawMSS, HasScale: true, Scale: rawShift}}
	f.nxt = rawISS
	s.write(port, f, &h, nil, 0)
	f.nxt = rawISS + 1
}

func (s *rawServer) segment(port uint16, f *rawFlow, seg *tcpseg.Segment) {
	f.open = true
	f.window = int(seg.Window) << f.shift
	if f.una.Less(seg.Ack) && seg.Ack.LessEq(f.nxt) {
		f.una = seg.Ack
		f.progress = time.Now()
	}
	if len(seg.Payload) > 0 || seg.Flags.Has(tcpseg.FIN) {
		if seg.Seq != f.rcv {
			s.owe(port, f)
			return
		}
		f.rcv = f.rcv.Add(len(seg.Payload))
		s.data(port, f, seg.Payload)
		if seg.Flags.Has(tcpseg.FIN) {
			s.fin(port, f)
			return
		}
	}
	s.fill(port, f)
}

// fin ends a flow: the client has closed. The last ACK of ours that is lost is the client's trouble.
func (s *rawServer) fin(port uint16, f *rawFlow) {
	f.rcv++
	flags := tcpseg.ACK
	if !f.finSent {
		flags |= tcpseg.FIN
	}
	s.send(port, f, flags, nil, 0)
	f.used, f.ackDue = false, false
}

func (s *rawServer) owe(port uint16, f *rawFlow) {
	if f.rcv.Sub(f.acked) >= rawAckEvery {
		s.send(port, f, tcpseg.ACK, nil, 0)
		return
	}
	if !f.ackDue {
		f.ackDue = true
		s.due = append(s.due, port)
	}
}

// data takes what came: the body of an upload, or requests.
func (s *rawServer) data(port uint16, f *rawFlow, p []byte) {
	if f.uploadLeft > 0 {
		s.upload(port, f, p)
		return
	}
	if len(f.rest) > 0 {
		f.rest = append(f.rest, p...)
		p = f.rest
	}
	cut := bytes.LastIndex(p, []byte("\r\n\r\n")) + 4
	if cut < 4 {
		f.rest = append(f.rest[:0], p...)
		s.owe(port, f)
		return
	}
	whole, more := p[:cut], p[cut:]
	switch {
	case bytes.HasPrefix(whole, []byte("PUT ")):
		n, _ := strconv.ParseInt(between(whole, "Content-Length: ", "\r"), 10, 64)
		f.rest = f.rest[:0]
		f.uploadLeft = n
		s.upload(port, f, more)
		return
	case bytes.HasPrefix(whole, []byte("GET /_/bytes/")):
		s.download(port, f, whole)
	default:
		s.hellos(port, f, bytes.Count(whole, []byte("\r\n\r\n")), bytes.Contains(whole, []byte("HTTP/1.0")))
	}
	f.rest = append(f.rest[:0], more...)
}

func between(b []byte, from, to string) string {
	_, after, _ := bytes.Cut(b, []byte(from))
	v, _, _ := bytes.Cut(after, []byte(to))
	return string(v)
}

func (s *rawServer) upload(port uint16, f *rawFlow, p []byte) {
	f.uploadLeft -= int64(len(p))
	if f.uploadLeft > 0 {
		s.owe(port, f)
		return
	}
	s.text(port, f, rawHello, false)
}

func (s *rawServer) download(port uint16, f *rawFlow, request []byte) {
	n, _ := strconv.ParseInt(between(request, "/_/bytes/", " "), 10, 64)
	s.out = fmt.Appendf(s.out[:0], "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
	s.text(port, f, s.out, false)
	f.end = f.body.Add(int(min(n, 1<<31-1<<20)))
}

// hellos answers n requests at once.
func (s *rawServer) hellos(port uint16, f *rawFlow, n int, closing bool) {
	s.out = s.out[:0]
	for range n {
		s.out = append(s.out, rawHello...)
	}
	s.text(port, f, s.out, closing)
}

// text sends octets that the window of a waiting client always has room for.
func (s *rawServer) text(port uint16, f *rawFlow, b []byte, closing bool) {
	if len(f.head) != len(b) || len(b) > 0 && &f.head[0] != &b[0] {
		f.head = append(f.head[:0], b...)
	}
	for len(b) > 0 {
		n := len(b)
		if !s.gso || n > rawChunk {
			n = min(n, rawMSS)
		}
		flags := tcpseg.ACK | tcpseg.PSH
		if closing && n == len(b) {
			flags |= tcpseg.FIN
		}
		s.send(port, f, flags, b[:n], 0)
		f.nxt = f.nxt.Add(n)
		b = b[n:]
	}
	f.body, f.end = f.nxt, max(f.end, f.nxt)
	if closing {
		f.finSent = true
		f.nxt++
	}
}

// fill sends what the client's window takes of a download.
func (s *rawServer) fill(port uint16, f *rawFlow) {
	for f.nxt.Less(f.end) && !f.finSent {
		left := f.end.Sub(f.nxt)
		room := min(f.window, rawFlight) - f.nxt.Sub(f.una)
		n := min(left, room, rawChunk)
		switch {
		case n <= 0, n < left && n < rawChunk/2 && f.nxt != f.una:
			return
		case n < left && n > rawMSS:
			n -= n % rawMSS
		}
		flags := tcpseg.ACK
		if n == left {
			flags |= tcpseg.PSH
		}
		s.burst(port, f, flags, n)
	}
}

// burst sends n octets of body: one super-segment, or as many packets as it takes.
func (s *rawServer) burst(port uint16, f *rawFlow, flags tcpseg.Flags, n int) {
	if s.gso {
		s.send(port, f, flags, s.block[:n], 0)
		f.nxt = f.nxt.Add(n)
		return
	}
	for at := 0; at < n; at += rawMSS {
		p := s.block[at:min(at+rawMSS, n)]
		sum := uint32(0)
		if len(p) == rawMSS {
			sum = s.sums[at/rawMSS]
		}
		s.send(port, f, flags, p, sum)
		f.nxt = f.nxt.Add(len(p))
	}
}

// send writes one packet with the current acknowledgment. sum is the payload's partial sum, 0: not known.
func (s *rawServer) send(port uint16, f *rawFlow, flags tcpseg.Flags, payload []byte, sum uint32) {
	h := tcpseg.Header{Flags: flags, Window: rawWindow >> rawShift}
	s.write(port, f, &h, payload, sum)
	f.acked, f.ackDue = f.rcv, false
}

func (s *rawServer) write(port uint16, f *rawFlow, h *tcpseg.Header, payload []byte, sum uint32) {
	h.SrcPort, h.DstPort, h.Seq, h.Ack = 80, port, f.nxt, f.rcv
	tcpLen := h.Len() + len(payload)
	ip := ippkt.Header{Src: s.local, Dst: s.remote, Proto: ippkt.ProtoTCP, TTL: ippkt.DefaultTTL, DontFragment: true}
	s.hdr = h.AppendTo(ip.AppendTo(s.hdr[:0], tcpLen))
	pseudo := ippkt.PseudoSum(s.local, s.remote, ippkt.ProtoTCP, tcpLen)
	pieces := [4][]byte{payload}
	var o link.Offload
	tcp := s.hdr[ippkt.IPv4HeaderLen:]
	switch {
	case s.gso:
		o = link.Offload{NeedsCsum: true, CsumStart: ippkt.IPv4HeaderLen, CsumOffset: tcpseg.ChecksumOffset}
		if len(payload) > rawMSS {
			o.GSO, o.GSOSize, o.HdrLen = link.GSOTCPv4, rawMSS, uint16(len(s.hdr))
		}
		binary.BigEndian.PutUint16(tcp[tcpseg.ChecksumOffset:], ippkt.Fold(pseudo))
	case sum != 0:
		binary.BigEndian.PutUint16(tcp[tcpseg.ChecksumOffset:], ^ippkt.Fold(ippkt.Sum(tcp, pseudo+sum>>16+sum&0xffff)))
	default:
		binary.BigEndian.PutUint16(tcp[tcpseg.ChecksumOffset:], ippkt.TransportChecksum(tcp, &pieces, pseudo))
	}
	_ = s.q.Write(o, s.hdr, pieces) // a loss: the watchdog repairs it
}
