package link

import "encoding/binary"

// packetTooBig builds what the router before a path of the given MTU answers to a packet: ICMP
// Fragmentation Needed (RFC 1191) or ICMPv6 Packet Too Big (RFC 4443 §3.2), in the name of the
// packet's destination. It returns nil for a packet that gets no answer: a fragment other than
// the first, an ICMP message other than an echo, and anything that is not IP.
func packetTooBig(b []byte, mtu int) []byte {
	addrs, proto, at := transport(b)
	switch {
	case addrs == nil:
		return nil
	case b[0]>>4 == 4 && binary.BigEndian.Uint16(b[6:])&0x1fff != 0:
		return nil
	case b[0]>>4 == 4 && proto == 1:
		if len(b) <= at || b[at] != 8 && b[at] != 0 {
			return nil
		}
	case b[0]>>4 == 6 && proto == 58:
		if len(b) <= at || b[at] != 128 && b[at] != 129 {
			return nil
		}
	}
	if b[0]>>4 == 6 {
		return packetTooBig6(b, mtu)
	}
	const most = 576 // RFC 1812 §4.3.2.3
	quote := b[:min(len(b), most-28)]
	p := make([]byte, 28, 28+len(quote))
	p[0], p[8], p[9] = 0x45, 64, 1
	binary.BigEndian.PutUint16(p[2:], uint16(cap(p)))
	copy(p[12:], b[16:20])
	copy(p[16:], b[12:16])
	binary.BigEndian.PutUint16(p[10:], ^onesSum(0, p[:20]))
	p[20], p[21] = 3, 4
	binary.BigEndian.PutUint16(p[26:], uint16(mtu))
	p = append(p, quote...)
	binary.BigEndian.PutUint16(p[22:], ^onesSum(0, p[20:]))
	return p
}

func packetTooBig6(b []byte, mtu int) []byte {
	const most = 1280 // RFC 4443 §2.4 (c)
	quote := b[:min(len(b), most-48)]
	p := make([]byte, 48, 48+len(quote))
	p[0], p[6], p[7] = 0x60, 58, 64
	binary.BigEndian.PutUint16(p[4:], uint16(8+len(quote)))
	copy(p[8:], b[24:40])
	copy(p[24:], b[8:24])
	p[40] = 2
	binary.BigEndian.PutUint32(p[44:], uint32(mtu))
	p = append(p, quote...)
	sum := onesSum(uint16(8+len(quote)), p[8:40])
	sum = onesSum(sum, []byte{0, 58})
	binary.BigEndian.PutUint16(p[42:], ^onesSum(sum, p[40:]))
	return p
}
