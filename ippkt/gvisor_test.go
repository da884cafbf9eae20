package ippkt

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// gvisorAddr turns an Addr into gVisor's.
func gvisorAddr(a Addr) tcpip.Address {
	if a.Is4() {
		return tcpip.AddrFrom4([4]byte(a[12:]))
	}
	return tcpip.AddrFrom16(a)
}

// randomHeader returns a header between the addresses of f.
func randomHeader(r *rand.Rand, f family) Header {
	return Header{
		Src: f.src, Dst: f.dst, TTL: uint8(1 + r.IntN(255)), TOS: uint8(r.Uint32()),
		ID: uint32(r.IntN(1 << 16)), DontFragment: r.IntN(2) == 0, FlowLabel: r.Uint32() & 0xfffff,
	}
}

// checkIP has gVisor read the IP header of b; it returns the payload.
func checkIP(t *testing.T, b []byte, h *Header) []byte {
	t.Helper()
	if h.Dst.Is4() {
		ip := header.IPv4(b)
		tos, _ := ip.TOS()
		if !ip.IsValid(len(b)) || !ip.IsChecksumValid() || int(ip.TotalLength()) != len(b) || tos != h.TOS || ip.TTL() != h.TTL ||
			ip.Protocol() != h.Proto || uint32(ip.ID()) != h.ID || ip.SourceAddress() != gvisorAddr(h.Src) ||
			ip.DestinationAddress() != gvisorAddr(h.Dst) || ip.More() || ip.FragmentOffset() != 0 ||
			(ip.Flags()&header.IPv4FlagDontFragment != 0) != h.DontFragment {
			t.Fatalf("gVisor reads % x otherwise than %+v", b[:20], h)
		}
		return ip.Payload()
	}
	ip := header.IPv6(b)
	tos, label := ip.TOS()
	if !ip.IsValid(len(b)) || int(ip.PayloadLength()) != len(b)-40 || tos != h.TOS || label != h.FlowLabel || ip.HopLimit() != h.TTL ||
		ip.NextHeader() != h.Proto || ip.SourceAddress() != gvisorAddr(h.Src) || ip.DestinationAddress() != gvisorAddr(h.Dst) {
		t.Fatalf("gVisor reads % x otherwise than %+v", b[:40], h)
	}
	return ip.Payload()
}

// TestGvisorReadsOurs has gVisor parse and verify what we build.
func TestGvisorReadsOurs(t *testing.T) {
	// req: MUST-2, CK-02
	r := rand.New(rand.NewPCG(6, 6))
	for i := range 2000 {
		f := families[i%2]
		h := randomHeader(r, f)
		data := pattern(r.IntN(1400))
		src, dst := gvisorAddr(h.Src), gvisorAddr(h.Dst)

		udp := header.UDP(checkIP(t, AppendUDP(nil, &h, 1234, 53, data), &h))
		if udp.SourcePort() != 1234 || udp.DestinationPort() != 53 || int(udp.Length()) != 8+len(data) ||
			!udp.IsChecksumValid(src, dst, checksum.Checksum(udp.Payload(), 0)) {
			t.Fatalf("gVisor refuses UDP of %d octets", len(data))
		}

		echo := checkIP(t, AppendICMP(nil, &h, &ICMP{Type: f.echo, Arg: 0x12345678, Body: data}), &h)
		checkEcho(t, f, echo, data, src, dst)

		tcp := header.TCP(checkIP(t, appendTCP(t, &h, data), &h))
		if !tcp.IsChecksumValid(src, dst, checksum.Checksum(tcp.Payload(), 0), uint16(len(data))) {
			t.Fatalf("gVisor refuses TCP with %d octets", len(data))
		}
	}
}

func checkEcho(t *testing.T, f family, b, data []byte, src, dst tcpip.Address) {
	t.Helper()
	if f.version == 4 {
		m := header.ICMPv4(b)
		if m.Type() != header.ICMPv4Echo || m.Ident() != 0x1234 || m.Sequence() != 0x5678 || !bytes.Equal(m.Payload(), data) ||
			m.Checksum() != header.ICMPv4Checksum(m, 0) {
			t.Fatalf("gVisor refuses the echo of %d octets", len(data))
		}
		return
	}
	m := header.ICMPv6(b)
	if m.Type() != header.ICMPv6EchoRequest || m.Ident() != 0x1234 || m.Sequence() != 0x5678 || !bytes.Equal(m.Payload(), data) ||
		m.Checksum() != header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: src, Dst: dst}) {
		t.Fatalf("gVisor refuses the echo of %d octets", len(data))
	}
}

// appendTCP builds a TCP packet whose payload is handed over in four pieces.
func appendTCP(t *testing.T, h *Header, data []byte) []byte {
	h.Proto = ProtoTCP
	tcp := unhex(t, tcp20)
	n := len(data)
	payload := [4][]byte{data[:n/3], data[n/3 : n/2], data[n/2 : n/2], data[n/2:]}
	sum := TransportChecksum(tcp, &payload, PseudoSum(h.Src, h.Dst, ProtoTCP, len(tcp)+n))
	tcp[16], tcp[17] = byte(sum>>8), byte(sum)
	return append(append(h.AppendTo(nil, len(tcp)+n), tcp...), data...)
}

// TestWeReadGvisors parses and verifies what gVisor builds.
func TestWeReadGvisors(t *testing.T) {
	// req: MUST-3, CK-04
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 2000 {
		f := families[i%2]
		h := randomHeader(r, f)
		data := pattern(r.IntN(1400))
		h.Proto = [...]uint8{ProtoTCP, ProtoUDP, ProtoICMPv6}[r.IntN(3)]
		if h.Proto == ProtoICMPv6 && f.version == 4 {
			h.Proto = ProtoICMP
		}
		payload := gvisorTransport(&h, data)
		b, want := gvisorIP(r, &h, payload)
		p, reason := Parse(append(b, "trailer"...))
		if reason != ReasonNone || p.Version != f.version || p.Src != h.Src || p.Dst != h.Dst || p.Proto != h.Proto || p.TTL != h.TTL ||
			p.TOS != h.TOS || p.HeaderLen != want || !bytes.Equal(p.Payload, payload) {
			t.Fatalf("% x: %v\n%+v\nwant %+v, header of %d", b[:want], reason, p, h, want)
		}
		if f.version == 4 && (p.ID != h.ID || p.DontFragment != h.DontFragment) || f.version == 6 && p.FlowLabel != h.FlowLabel {
			t.Fatalf("%+v, want %+v", p, h)
		}
		checkTransport(t, &p, data)
		p.Payload[len(p.Payload)-1] ^= 0x10
		if _, r := ParseICMP(&p, false); h.Proto != ProtoICMP && p.ChecksumOK() || h.Proto == ProtoICMP && r != ReasonICMPChecksum {
			t.Fatalf("protocol %d: a wrong checksum was accepted", h.Proto)
		}
	}
}

func checkTransport(t *testing.T, p *Packet, data []byte) {
	t.Helper()
	switch p.Proto {
	case ProtoUDP:
		if u, r := ParseUDP(p, false); r != ReasonNone || u.SrcPort != 1234 || u.DstPort != 53 || !bytes.Equal(u.Payload, data) {
			t.Fatalf("UDP: %v %+v", r, u)
		}
	case ProtoTCP:
		if !p.ChecksumOK() {
			t.Fatalf("TCP checksum of %d octets refused", len(data))
		}
	default:
		if m, r := ParseICMP(p, false); r != ReasonNone || m.Kind != KindEcho || m.EchoID() != 0x1234 || m.EchoSeq() != 7 || !bytes.Equal(m.Body, data) {
			t.Fatalf("ICMP: %v %+v", r, m)
		}
	}
}

// gvisorTransport has gVisor build the transport header and its checksum.
func gvisorTransport(h *Header, data []byte) []byte {
	src, dst := gvisorAddr(h.Src), gvisorAddr(h.Dst)
	sum := checksum.Checksum(data, 0)
	pseudo := func(n int) uint16 {
		return checksum.Combine(header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(h.Proto), src, dst, uint16(n+len(data))), sum)
	}
	switch h.Proto {
	case ProtoTCP:
		b := header.TCP(make([]byte, header.TCPMinimumSize))
		b.Encode(&header.TCPFields{SrcPort: 1, DstPort: 2, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagAck})
		b.SetChecksum(^b.CalculateChecksum(pseudo(len(b))))
		return append(b, data...)
	case ProtoUDP:
		b := header.UDP(make([]byte, header.UDPMinimumSize))
		b.Encode(&header.UDPFields{SrcPort: 1234, DstPort: 53, Length: uint16(len(b) + len(data))})
		b.SetChecksum(^b.CalculateChecksum(pseudo(len(b))))
		return append(b, data...)
	case ProtoICMP:
		b := header.ICMPv4(make([]byte, header.ICMPv4MinimumSize))
		b.SetType(header.ICMPv4Echo)
		b.SetIdent(0x1234)
		b.SetSequence(7)
		b.SetChecksum(header.ICMPv4Checksum(b, sum))
		return append(b, data...)
	}
	b := header.ICMPv6(make([]byte, header.ICMPv6EchoMinimumSize))
	b.SetType(header.ICMPv6EchoRequest)
	b.SetIdent(0x1234)
	b.SetSequence(7)
	b.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: b, Src: src, Dst: dst, PayloadCsum: sum, PayloadLen: len(data)}))
	return append(b, data...)
}

// gvisorIP has gVisor put a header, with options or extensions, before payload
// and returns the header's length too.
func gvisorIP(r *rand.Rand, h *Header, payload []byte) ([]byte, int) {
	if h.Dst.Is4() {
		return gvisorIPv4(r, h, payload)
	}
	var ext header.IPv6ExtHdrSerializer
	if r.IntN(2) == 0 {
		ext = append(ext, header.IPv6SerializableHopByHopExtHdr{&header.IPv6RouterAlertOption{Value: header.IPv6RouterAlertMLD}})
	}
	n := header.IPv6MinimumSize + ext.Length()
	b := header.IPv6(make([]byte, n))
	b.Encode(&header.IPv6Fields{
		TrafficClass: h.TOS, FlowLabel: h.FlowLabel, PayloadLength: uint16(ext.Length() + len(payload)), HopLimit: h.TTL,
		TransportProtocol: tcpip.TransportProtocolNumber(h.Proto), ExtensionHeaders: ext,
		SrcAddr: gvisorAddr(h.Src), DstAddr: gvisorAddr(h.Dst),
	})
	return append(b, payload...), n
}

func gvisorIPv4(r *rand.Rand, h *Header, payload []byte) ([]byte, int) {
	fields := header.IPv4Fields{
		TOS: h.TOS, ID: uint16(h.ID), TTL: h.TTL, Protocol: h.Proto, SrcAddr: gvisorAddr(h.Src), DstAddr: gvisorAddr(h.Dst),
	}
	if r.IntN(2) == 0 {
		fields.Options = header.IPv4OptionsSerializer{&header.IPv4SerializableRouterAlertOption{}}
	}
	if h.DontFragment {
		fields.Flags = header.IPv4FlagDontFragment
	}
	n := header.IPv4MinimumSize + int(fields.Options.Length())
	fields.TotalLength = uint16(n + len(payload))
	b := header.IPv4(make([]byte, n))
	b.Encode(&fields)
	b.SetChecksum(^b.CalculateChecksum())
	return append(b, payload...), n
}

// TestSumAgreesWithGvisor compares the two implementations on any length and alignment.
func TestSumAgreesWithGvisor(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	b := pattern(70000)
	for range 500 {
		at := r.IntN(64)
		p, initial := b[at:at+r.IntN(65536)], uint16(r.Uint32())
		if got, want := Fold(Sum(p, uint32(initial))), checksum.Checksum(p, initial); got != want {
			t.Fatalf("%d octets: %#x, gVisor %#x", len(p), got, want)
		}
	}
}
