// Package ippkt is the IP packet codec: IPv4, IPv6, ICMP, ICMPv6 and UDP
// headers and the Internet checksum. It parses any bytes without panic or
// allocation, and knows nothing of TCP.
package ippkt

import "net/netip"

// Addr is an IP address without pointers, so that tables of them cost the
// garbage collector nothing: IPv4 stands in its IPv4-mapped form ::ffff:a.b.c.d.
type Addr [16]byte

var v4prefix = [12]byte{10: 0xff, 11: 0xff}

// From4 returns the Addr of four octets of IPv4.
func From4(b [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
}

// FromNetip turns a netip.Addr, whose zone is ignored, into an Addr.
func FromNetip(a netip.Addr) Addr { return Addr(a.As16()) }

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return [12]byte(a[:12]) == v4prefix }

// Netip returns the address for APIs: IPv4 unmapped.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String returns the usual notation.
func (a Addr) String() string { return a.Netip().String() }

// IsUnspecified reports whether a is 0.0.0.0 or ::.
func (a Addr) IsUnspecified() bool { return a == Addr{} || a == From4([4]byte{}) }

// IsLoopback reports whether a is in 127/8 or is ::1.
func (a Addr) IsLoopback() bool {
	if a.Is4() {
		return a[12] == 127
	}
	return a == Addr{15: 1}
}

// IsMulticast reports whether a is in 224/4 or ff00::/8.
func (a Addr) IsMulticast() bool {
	if a.Is4() {
		return a[12]>>4 == 14
	}
	return a[0] == 0xff
}

// IsBroadcast reports whether a is 255.255.255.255. The broadcast address of a
// prefix is known only to who knows the prefix.
func (a Addr) IsBroadcast() bool { return a == From4([4]byte{255, 255, 255, 255}) }

// IsLinkLocal reports whether a is in 169.254/16 or fe80::/10.
func (a Addr) IsLinkLocal() bool {
	if a.Is4() {
		return a[12] == 169 && a[13] == 254
	}
	return a[0] == 0xfe && a[1]&0xc0 == 0x80
}

// isReserved reports whether a is in a range that never names a host: 0/8 and
// 240/4 (RFC 6890), and ::/96, the IPv4-compatible addresses with :: and ::1.
func (a Addr) isReserved() bool {
	if a.Is4() {
		return a[12] == 0 || a[12]>>4 == 15
	}
	return [12]byte(a[:12]) == [12]byte{}
}

// ValidRemote reports whether a can be the one host at the other end of the
// wire: as the source of a packet, as the remote of an open, and as the
// receiver of an ICMP error. Not so are unspecified, 0/8, loopback, multicast,
// broadcast, class E and IPv4-compatible addresses. Our own addresses and the
// broadcast addresses of our prefixes are the caller's to refuse.
func (a Addr) ValidRemote() bool {
	return !a.isReserved() && !a.IsMulticast() && !a.IsLoopback()
}

// ValidDestination reports whether a packet off the wire may carry a as its
// destination at all. Multicast and the limited broadcast may; whether anybody
// wants them is for the host to say.
func (a Addr) ValidDestination() bool {
	return (!a.isReserved() || a.IsBroadcast()) && !a.IsLoopback()
}
