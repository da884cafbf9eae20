// Package ippkt is the IP packet codec: IPv4, IPv6, ICMP, ICMPv6 and UDP
// headers and the Internet checksum. It parses any bytes without panic or
// allocation, and knows nothing of TCP.
package ippkt

import "net/netip"

// Addr is an IP address without pointers, so that tables of them cost the
// garbage collector nothing: IPv4 stands in its IPv4-mapped form ::ffff:a.b.c.d.
type Addr [16]byte

var v4prefix = [12]byte{10: 0xff, 11: 0xff}

// FromNetip turns a netip.Addr, whose zone is ignored, into an Addr.
func FromNetip(a netip.Addr) Addr { return Addr(a.As16()) }

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return [12]byte(a[:12]) == v4prefix }

// Netip returns the address for APIs: IPv4 unmapped.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String returns the usual notation.
func (a Addr) String() string { return a.Netip().String() }
