package ippkt

// Protocol numbers, which are IPv6's Next Header values too.
const (
	ProtoHopByHop     = 0
	ProtoICMP         = 1
	ProtoTCP          = 6
	ProtoUDP          = 17
	ProtoRouting      = 43
	ProtoFragment     = 44
	ProtoICMPv6       = 58
	ProtoNone         = 59
	ProtoDestinations = 60
)

// Sizes of headers in octets.
const (
	IPv4HeaderLen = 20 // without options
	IPv6HeaderLen = 40 // without extension headers

	maxLen16 = 65535
)

// Packet is a parsed IP packet. Its slices alias the buffer it was parsed from.
type Packet struct {
	Version uint8 // 4 or 6
	TTL     uint8 // or hop limit; 0 and 1 are no reason for a host to drop (V4R-07, V6R-05)
	TOS     uint8 // or traffic class: DSCP and, in the low two bits, ECN
	// Proto is the transport protocol. Of a fragment it is what the fragment
	// says follows, which only the first one can be believed about (FR6-01).
	Proto uint8

	Src, Dst Addr

	// HeaderLen is the length of everything before Payload: the header, IPv4
	// options, IPv6 extension headers. A device's csum_start of this packet.
	HeaderLen int
	// ProtoAt is where the octet stands that named Proto: the pointer of a
	// Parameter Problem about a protocol the host does not speak (V6R-10).
	ProtoAt int
	// Payload is what follows the headers, cut to the length the header states.
	Payload []byte
	// Options are the IPv4 options, padding included; nil for IPv6.
	Options []byte

	FlowLabel uint32 // IPv6, 20 bits
	// ID is the identification: 16 bits of IPv4, 32 of an IPv6 Fragment header.
	ID            uint32
	FragOffset    int // octets
	MoreFragments bool
	DontFragment  bool
	// FragHeader is where the IPv6 Fragment header stands; 0: there is none.
	FragHeader int

	// Problem is what to answer when Parse refused the packet.
	Problem Problem
}

// Problem asks for a Parameter Problem message about a packet that was refused.
type Problem struct {
	Answer    bool   // false: drop in silence
	Multicast bool   // answer even when the destination is multicast (RFC 4443 §2.4 (e.3))
	Code      uint8  // as in ICMP or ICMPv6
	Pointer   uint32 // octet offset of the fault
}

// IsFragment reports whether p is one of several fragments. An atomic fragment,
// which is first and last at once, is a whole packet (RFC 6946).
func (p *Packet) IsFragment() bool { return p.FragOffset != 0 || p.MoreFragments }

// ECN returns the two ECN bits (RFC 3168 §5).
func (p *Packet) ECN() uint8 { return p.TOS & 3 }

// Martian looks for addresses that no packet on a wire may carry (spec §2). They
// are dropped in silence.
func (p *Packet) Martian() Reason {
	switch {
	case !p.Src.ValidRemote():
		return ReasonSource
	case !p.Dst.ValidDestination():
		return ReasonDestination
	}
	return ReasonNone
}

// Parse reads an IP packet of either version. It is total: any bytes give a
// packet or a reason to drop them, without panic and without allocation. Octets
// past the stated length are ignored. Fragments are checked and reported, not
// reassembled. Whenever the fixed header could be read, Version, addresses and
// protocol are filled in also when the packet is refused, so that Problem can
// be answered.
func Parse(b []byte) (Packet, Reason) {
	if len(b) == 0 {
		return Packet{}, ReasonShort
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return Packet{}, ReasonVersion
}
