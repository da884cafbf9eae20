package stack

import (
	"net/netip"
	"testing"

	"ustack/ippkt"
	"ustack/stack/link"
	"ustack/tcpseg"
)

// sink is a queue that counts what is written to it.
type sink struct{ packets, octets int }

func (*sink) Read(*link.Frame) (bool, error) { return false, nil }
func (*sink) Wait() error                    { return nil }
func (*sink) Wake()                          {}
func (*sink) Close() error                   { return nil }
func (s *sink) Write(o link.Offload, hdr []byte, payload [4][]byte) error {
	s.packets++
	s.octets += len(hdr)
	for _, p := range payload {
		s.octets += len(p)
	}
	return nil
}

type sinkLink struct{ q *sink }

func (l sinkLink) Queues() []link.Queue { return []link.Queue{l.q} }
func (sinkLink) MTU() int               { return 1500 }
func (sinkLink) GSO() bool              { return false }
func (sinkLink) Stats() link.Stats      { return link.Stats{} }
func (sinkLink) Close() error           { return nil }

// Any packet is taken without a panic, and a packet that nobody asked for is not answered with
// more than a small multiple of its size. req: V4R-02 V6R-01 U-03 I4-17
func FuzzDeliver(f *testing.F) {
	h4, h6 := header(false, 0), header(true, 0)
	for _, b := range [][]byte{
		tcpPacket(h4, syn(80), ""), tcpPacket(h6, syn(80), "data"), tcpPacket(h4, syn(81), ""),
		tcpPacket(h4, tcpseg.Header{SrcPort: 4000, DstPort: 80, Seq: 0xffffff01, Ack: 1, Flags: tcpseg.ACK, Window: 9}, "x"),
		echo(h4, 8, "ping"), echo(h6, 128, "ping"), ippkt.AppendUDP(nil, &h4, 1, 2, []byte("x")),
		echo(h4, 3, string(tcpPacket(ippkt.Header{Src: us4, Dst: them4, TTL: 1}, syn(80), ""))),
	} {
		f.Add(b, b, uint8(0))
		f.Add(b, b[:len(b)-1], uint8(7))
	}
	f.Fuzz(func(t *testing.T, one, two []byte, offload uint8) {
		q := &sink{}
		s := &Stack{cfg: Config{Links: []link.Link{sinkLink{q}}, Addrs: []netip.Prefix{
			netip.MustParsePrefix("10.90.0.2/24"), netip.MustParsePrefix("fd90::2/64")}}}
		if err := s.init(); err != nil {
			t.Fatal(err)
		}
		defer s.timers.close()
		if _, err := s.Listen("tcp", ":80"); err != nil {
			t.Fatal(err)
		}
		in := 0
		for _, b := range [][]byte{one, two, one} {
			fr := &link.Frame{Packet: b}
			fr.NeedsCsum, fr.DataValid = offload&1 != 0, offload&2 != 0
			fr.CsumStart, fr.GSO, fr.GSOSize = uint16(offload), link.GSO(offload>>4), uint16(offload)
			s.queues[0].deliver(fr)
			in += len(b)
		}
		if q.packets > 6 || q.octets > in+6*(576+40) {
			t.Errorf("%d octets in, %d packets of %d octets out", in, q.packets, q.octets)
		}
	})
}
