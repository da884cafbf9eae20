package ippkt

// DefaultTTL is the usual TTL and hop limit.
const DefaultTTL = 64

// Header is an IP header to send. The addresses, which must be of one version,
// say which. The zero FragOffset, MoreFragments and ID are a whole packet.
type Header struct {
	Src, Dst     Addr
	Proto        uint8
	TTL          uint8 // never 0 on the wire: V4S-02
	TOS          uint8 // DSCP and ECN
	DontFragment bool  // IPv4 only: IPv6 has no routers that fragment
	// ID identifies the fragments of a packet; without fragments any value does (RFC 6864).
	ID        uint32
	FlowLabel uint32 // IPv6, 20 bits
	// FragOffset (octets, a multiple of 8) and MoreFragments make an IPv4
	// fragment. An IPv6 one has a Fragment header instead.
	FragOffset    int
	MoreFragments bool
}

// Len returns the octets AppendTo appends: 20 or 40.
func (h *Header) Len() int {
	if h.Dst.Is4() {
		return IPv4HeaderLen
	}
	return IPv6HeaderLen
}

// AppendTo appends the encoded header for a payload of payloadLen octets, the
// IPv4 header checksum included. The largest payload is 65515 octets for IPv4
// and 65535 for IPv6; keeping to it, and to the MTU, is the caller's duty.
func (h *Header) AppendTo(b []byte, payloadLen int) []byte {
	if h.Dst.Is4() {
		return h.append4(b, payloadLen)
	}
	return h.append6(b, payloadLen)
}
