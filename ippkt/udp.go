package ippkt

import "encoding/binary"

const (
	// UDPHeaderLen is the length of a UDP header in octets.
	UDPHeaderLen = 8

	udpChecksumOffset = 6
)

// UDP is a parsed datagram. Payload aliases the packet.
type UDP struct {
	SrcPort, DstPort uint16
	Payload          []byte // cut to the datagram's own length (UDP-01)
}

// ParseUDP reads the datagram in the payload of p. The checksum is verified
// unless verified says that the device has done so or that the datagram never
// crossed a wire.
func ParseUDP(p *Packet, verified bool) (UDP, Reason) {
	b := p.Payload
	if len(b) < UDPHeaderLen {
		return UDP{}, ReasonUDPShort
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < UDPHeaderLen || n > len(b) {
		return UDP{}, ReasonUDPLen
	}
	b = b[:n]
	u := UDP{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[UDPHeaderLen:]}
	if verified {
		return u, ReasonNone
	}
	if b[6]|b[7] == 0 {
		if p.Version == 6 {
			return u, ReasonUDPNoChecksum
		}
		return u, ReasonNone
	}
	if Fold(Sum(b, PseudoSum(p.Src, p.Dst, ProtoUDP, n))) != 0xffff {
		return u, ReasonUDPChecksum
	}
	return u, ReasonNone
}

// AppendUDP appends a whole packet: h, whose Proto it sets, a UDP header with
// checksum, and payload. The caller keeps payload to 65507 octets (IPv4) or
// 65527 (IPv6) and the packet to the MTU.
func AppendUDP(b []byte, h *Header, srcPort, dstPort uint16, payload []byte) []byte {
	n := UDPHeaderLen + len(payload)
	h.Proto = ProtoUDP
	b = h.AppendTo(b, n)
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, srcPort)
	b = binary.BigEndian.AppendUint16(b, dstPort)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, 0, 0)
	b = append(b, payload...)
	sum := ^Fold(Sum(b[start:], PseudoSum(h.Src, h.Dst, ProtoUDP, n)))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[start+udpChecksumOffset:], sum)
	return b
}
