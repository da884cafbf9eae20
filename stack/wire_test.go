package stack

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// wire is a stack with a test at the other end of its link. It is for synctest bubbles: what the
// stack does about a packet has happened when recv returns.
type wire struct {
	t     *testing.T
	s     *Stack
	far   link.Queue
	frame *link.Frame
}

var (
	us4, them4 = addr("10.90.0.2"), addr("10.90.0.1")
	us6, them6 = addr("fd90::2"), addr("fd90::1")
)

func addr(s string) ippkt.Addr { return ippkt.FromNetip(netip.MustParseAddr(s)) }

func newWire(t *testing.T, change ...func(*Config)) *wire {
	near, far := link.Pair(link.PairConfig{GSO: true})
	near.SetGSO(false)
	return newWireOn(t, near, far, change...)
}

// newWireOn is newWire with a link of the test's own: the stack's end and the test's.
func newWireOn(t *testing.T, near link.Link, far *link.Memory, change ...func(*Config)) *wire {
	return &wire{t: t, s: newStack(t, near, addrB4, addrB6, change...), far: far.Queues()[0], frame: link.NewFrame()}
}

// send puts a packet on the wire.
func (w *wire) send(packet []byte) { w.sendFrame(link.Offload{}, packet) }

func (w *wire) sendFrame(o link.Offload, packet []byte) {
	w.t.Helper()
	if err := w.far.Write(o, packet, [4][]byte{}); err != nil {
		w.t.Fatal(err)
	}
}

// recv returns everything the stack has sent, once it has nothing more to do.
func (w *wire) recv() [][]byte {
	w.t.Helper()
	synctest.Wait()
	var all [][]byte
	for {
		ok, err := w.far.Read(w.frame)
		if err != nil {
			w.t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, append([]byte(nil), w.frame.Packet...))
	}
}

// answer returns the one packet the stack has sent.
func (w *wire) answer() []byte {
	w.t.Helper()
	all := w.recv()
	if len(all) != 1 {
		w.t.Fatalf("%d packets were sent, want 1: %x", len(all), all)
	}
	return all[0]
}

// silence fails if the stack has sent anything.
func (w *wire) silence() {
	w.t.Helper()
	if all := w.recv(); len(all) != 0 {
		w.t.Fatalf("%d packets were sent, want none: %x", len(all), all)
	}
}

func (w *wire) drops(reason string) uint64 { return w.s.Stats().Drops[reason] }

// header is an IP header from them to us.
func header(is6 bool, proto uint8) ippkt.Header {
	h := ippkt.Header{Src: them4, Dst: us4, Proto: proto, TTL: 64}
	if is6 {
		h.Src, h.Dst = them6, us6
	}
	return h
}

// tcpPacket builds a packet with a right checksum.
func tcpPacket(h ippkt.Header, th tcpseg.Header, payload string) []byte {
	h.Proto = ippkt.ProtoTCP
	tcp := append(th.AppendTo(nil), payload...)
	pseudo := ippkt.PseudoSum(h.Src, h.Dst, ippkt.ProtoTCP, len(tcp))
	sum := ippkt.TransportChecksum(tcp, &[4][]byte{}, pseudo)
	tcp[tcpseg.ChecksumOffset], tcp[tcpseg.ChecksumOffset+1] = byte(sum>>8), byte(sum)
	return append(h.AppendTo(nil, len(tcp)), tcp...)
}

// parse takes a packet of the stack apart, with all its checksums verified.
func (w *wire) parse(packet []byte) (ippkt.Packet, tcpseg.Segment) {
	w.t.Helper()
	p, r := ippkt.Parse(packet)
	if r != ippkt.ReasonNone {
		w.t.Fatalf("the stack sent a bad packet: %v", r)
	}
	if p.Proto != ippkt.ProtoTCP {
		return p, tcpseg.Segment{}
	}
	if !p.ChecksumOK() {
		w.t.Fatal("the stack sent a bad TCP checksum")
	}
	seg, err := tcpseg.Parse(p.Payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, seg
}

// segment returns the one segment the stack has sent.
func (w *wire) segment() tcpseg.Segment {
	w.t.Helper()
	_, seg := w.parse(w.answer())
	return seg
}

// peer is the test's end of a TCP connection.
type peer struct {
	w            *wire
	h            ippkt.Header
	lport, rport uint16 // the stack's, the test's
	seq, ack     tcpseg.Seq
	options      tcpseg.Options
}

func (w *wire) peer(is6 bool, lport, rport uint16) *peer {
	return &peer{w: w, h: header(is6, ippkt.ProtoTCP), lport: lport, rport: rport, seq: 0xffffff00}
}

// send sends a segment and moves on.
func (p *peer) send(f tcpseg.Flags, payload string) {
	p.w.t.Helper()
	p.w.send(p.packet(f, payload))
	p.seq = p.seq.Add(len(payload))
	if f&(tcpseg.SYN|tcpseg.FIN) != 0 {
		p.seq++
	}
}

func (p *peer) packet(f tcpseg.Flags, payload string) []byte {
	h := tcpseg.Header{SrcPort: p.rport, DstPort: p.lport, Seq: p.seq, Flags: f, Window: 65535, Options: p.options}
	if f.Has(tcpseg.ACK) {
		h.Ack = p.ack
	}
	return tcpPacket(p.h, h, payload)
}

// open shakes hands with a listener.
func (p *peer) open() {
	p.w.t.Helper()
	p.send(tcpseg.SYN, "")
	s := p.w.segment()
	if s.Flags != tcpseg.SYN|tcpseg.ACK || s.Ack != p.seq {
		p.w.t.Fatalf("SYN was answered by %v ack %d, want SYN,ACK ack %d", s.Flags, s.Ack, p.seq)
	}
	p.ack = s.Seq.Add(1)
	p.send(tcpseg.ACK, "")
}
