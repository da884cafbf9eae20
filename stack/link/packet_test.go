package link

import (
	"encoding/binary"
	"net/netip"
)

// Bits of the TCP flags octet, for tests.
const (
	fin = 1
	syn = 2
	ack = 16
)

var (
	client4 = netip.MustParseAddr("10.0.0.1").As4()
	server4 = netip.MustParseAddr("10.0.0.2").As4()
)

// tcpPacket builds an IPv4 TCP packet without checksums, from the client's port to the server's
// or, with forth false, the other way.
func tcpPacket(forth bool, client, server int, seq uint32, flags byte, data []byte) []byte {
	p := make([]byte, 40+len(data))
	p[0], p[8], p[9] = 0x45, 64, protoTCP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	src, dst, sport, dport := client4, server4, client, server
	if !forth {
		src, dst, sport, dport = dst, src, dport, sport
	}
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[20:], uint16(sport))
	binary.BigEndian.PutUint16(p[22:], uint16(dport))
	binary.BigEndian.PutUint32(p[24:], seq)
	p[32], p[33] = 5<<4, flags
	copy(p[40:], data)
	return p
}
