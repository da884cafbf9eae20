package engine

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"ustack/stack/link"
)

// finishChecksum completes a transport checksum of which only the pseudo-header sum stands in
// its field.
func finishChecksum(o *link.Offload, packet []byte) {
	start, field := int(o.CsumStart), int(o.CsumStart)+int(o.CsumOffset)
	if field+2 > len(packet) {
		return
	}
	sum := ^checksum.Checksum(packet[start:], 0)
	binary.BigEndian.PutUint16(packet[field:], sum)
	o.NeedsCsum = false
}

// cut does what a device does with a super-segment: it calls send for each segment, finished and
// of wire size. packet must have no IPv6 extension headers, which gVisor's TCP never sends.
func cut(o *link.Offload, packet []byte, send func([]byte)) {
	if o.GSO == link.GSONone {
		finishChecksum(o, packet)
		send(packet)
		return
	}
	hdrLen := int(o.HdrLen)
	hdr, payload := packet[:hdrLen], packet[hdrLen:]
	seq := header.TCP(hdr[o.CsumStart:]).SequenceNumber()
	buf := make([]byte, hdrLen+int(o.GSOSize))
	for i := 0; len(payload) > 0; i++ {
		n := copy(buf[copy(buf, hdr):], payload[:min(len(payload), int(o.GSOSize))])
		payload = payload[n:]
		segment := buf[:hdrLen+n]
		tcp := header.TCP(segment[o.CsumStart:])
		tcp.SetSequenceNumber(seq)
		seq += uint32(n)
		flags := tcp.Flags()
		if len(payload) > 0 {
			flags &^= header.TCPFlagFin | header.TCPFlagPsh
		}
		tcp.SetFlags(uint8(flags))
		finishIP(segment, i)
		finishTCP(segment, int(o.CsumStart))
		send(segment)
	}
}

// finishIP sets the length, and for IPv4 the identification and checksum, of the i-th segment.
func finishIP(segment []byte, i int) {
	if segment[0]>>4 == 6 {
		header.IPv6(segment).SetPayloadLength(uint16(len(segment) - header.IPv6MinimumSize))
		return
	}
	ip := header.IPv4(segment)
	ip.SetTotalLength(uint16(len(segment)))
	ip.SetID(ip.ID() + uint16(i))
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
}

func finishTCP(segment []byte, start int) {
	src, dst := addresses(segment)
	tcp := header.TCP(segment[start:])
	tcp.SetChecksum(0)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, src, dst, uint16(len(tcp)))
	tcp.SetChecksum(^checksum.Checksum(tcp, sum))
}

func addresses(packet []byte) (src, dst tcpip.Address) {
	if packet[0]>>4 == 6 {
		ip := header.IPv6(packet)
		return ip.SourceAddress(), ip.DestinationAddress()
	}
	ip := header.IPv4(packet)
	return ip.SourceAddress(), ip.DestinationAddress()
}

// verify checks the IPv4 header and the TCP or UDP checksum of a finished packet. What it does
// not know (fragments, IPv6 extension headers, ICMP) it lets pass: gVisor checks ICMP itself,
// and the rest is not sent to the command's addresses by the kernel on the other end.
func verify(packet []byte) bool {
	var proto tcpip.TransportProtocolNumber
	var body []byte
	switch packet[0] >> 4 {
	case 4:
		ip := header.IPv4(packet)
		if !ip.IsValid(len(packet)) || !ip.IsChecksumValid() {
			return false
		}
		if ip.FragmentOffset() != 0 || ip.Flags()&header.IPv4FlagMoreFragments != 0 {
			return true
		}
		proto, body = ip.TransportProtocol(), packet[ip.HeaderLength():ip.TotalLength()]
	case 6:
		ip := header.IPv6(packet)
		if !ip.IsValid(len(packet)) {
			return false
		}
		proto, body = tcpip.TransportProtocolNumber(ip.NextHeader()), packet[header.IPv6MinimumSize:][:ip.PayloadLength()]
	}
	switch proto {
	case header.TCPProtocolNumber:
	case header.UDPProtocolNumber:
		if len(body) >= header.UDPMinimumSize && header.UDP(body).Checksum() == 0 && packet[0]>>4 == 4 {
			return true
		}
	default:
		return true
	}
	src, dst := addresses(packet)
	sum := header.PseudoHeaderChecksum(proto, src, dst, uint16(len(body)))
	return checksum.Checksum(body, sum) == 0xffff
}
