package link

import "encoding/binary"

// Just enough of IP and TCP to tell flows apart; the codecs proper are ippkt and tcpseg, which
// this package does not need.

// transport finds the transport header of an unfragmented IPv4 or IPv6 packet without
// extension headers. Anything else gives proto 0.
func transport(b []byte) (addrs []byte, proto byte, at int) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		at = int(b[0]&15) * 4
		if at < 20 || at > len(b) {
			return nil, 0, 0
		}
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return b[12:20], 0, at
		}
		return b[12:20], b[9], at
	case len(b) >= 40 && b[0]>>4 == 6:
		return b[8:40], b[6], 40
	}
	return nil, 0, 0
}

const (
	protoTCP = 6
	protoUDP = 17
)

// flowHash is the same for both directions of a flow.
func flowHash(b []byte) uint32 {
	addrs, proto, at := transport(b)
	var sum uint32
	for ; len(addrs) >= 4; addrs = addrs[4:] {
		sum += binary.BigEndian.Uint32(addrs)
	}
	if (proto == protoTCP || proto == protoUDP) && len(b) >= at+4 {
		sum += uint32(binary.BigEndian.Uint16(b[at:])) + uint32(binary.BigEndian.Uint16(b[at+2:]))
	}
	// A finalizer: neighbouring ports shall spread over the queues.
	sum ^= sum >> 16
	sum *= 0x7feb352d
	sum ^= sum >> 15
	sum *= 0x846ca68b
	return sum ^ sum>>16
}
