package ippkt

import "encoding/binary"

// ICMPError is an error message to send: all but the quote.
type ICMPError struct {
	Type, Code uint8
	Arg        uint32 // second word: pointer, MTU or zero
	// Multicast: may be sent about a packet to a multicast address (RFC 4443 §2.4 (e.3)).
	Multicast bool
}

// PortUnreachable says that nobody listens on the UDP port (I4-09, I6-09).
func PortUnreachable(version uint8) ICMPError {
	if version == 4 {
		return ICMPError{Type: ICMP4Unreachable, Code: ICMP4CodePort}
	}
	return ICMPError{Type: ICMP6Unreachable, Code: ICMP6CodePort}
}

// ProtocolUnreachable says that p carries a protocol we do not speak: for IPv6
// that is an unrecognised Next Header (RFC 8200 §4).
func ProtocolUnreachable(p *Packet) ICMPError {
	if p.Version == 4 {
		return ICMPError{Type: ICMP4Unreachable, Code: ICMP4CodeProtocol}
	}
	return ICMPError{Type: ICMP6ParamProblem, Code: problemNextHeader, Arg: uint32(p.ProtoAt)}
}

// ReassemblyTimeout says that fragments stayed away; it quotes the first one (RE4-11, FR6-07).
func ReassemblyTimeout(version uint8) ICMPError {
	if version == 4 {
		return ICMPError{Type: ICMP4TimeExceeded, Code: codeReassembly}
	}
	return ICMPError{Type: ICMP6TimeExceeded, Code: codeReassembly}
}

// ParameterProblem is the answer to p.Problem, which must ask for one.
func ParameterProblem(p *Packet) ICMPError {
	if p.Version == 4 {
		return ICMPError{Type: ICMP4ParamProblem, Code: p.Problem.Code, Arg: p.Problem.Pointer << 24}
	}
	return ICMPError{
		Type: ICMP6ParamProblem, Code: p.Problem.Code, Arg: p.Problem.Pointer,
		Multicast: p.Problem.Multicast,
	}
}

// Allowed reports whether RFC 1122 §3.2.2 and RFC 4443 §2.4 (e) let e be sent
// about p: never about an ICMP error or an unknown ICMP message, a non-initial
// fragment (of IPv6: when it may be of such a message), a packet to multicast
// or broadcast, or one whose source is not a single host. The caller adds what only it knows: the broadcast addresses of
// its prefixes, its own addresses, and the rate limit.
func (e ICMPError) Allowed(p *Packet) bool {
	switch {
	case p.Version != 4 && p.Version != 6:
		return false
	case p.FragOffset != 0 && (p.Version == 4 || p.Proto == ProtoICMPv6):
		return false
	case !p.Src.ValidRemote(), !p.Dst.ValidDestination(), p.Dst.IsBroadcast():
		return false
	case p.Dst.IsMulticast() && !e.Multicast:
		return false
	case p.Version == 4 && p.Proto == ProtoICMP:
		return len(p.Payload) > 0 && isQuery4(p.Payload[0])
	case p.Version == 6 && p.Proto == ProtoICMPv6:
		return len(p.Payload) > 0 && p.Payload[0] >= icmp6Informational && p.Payload[0] != ICMP6Redirect
	}
	return true
}

// isQuery4 reports whether the ICMP type is a query or its answer (RFC 792,
// RFC 950, RFC 1256): any other type may be an error.
func isQuery4(typ uint8) bool {
	switch typ {
	case ICMP4EchoReply, ICMP4Echo, 9, 10, 13, 14, 15, 16, 17, 18:
		return true
	}
	return false
}

// AppendError appends a whole packet: h and error e, quoting as much of the
// offending packet as the limits take: 576 octets in all for IPv4 (RFC 1812
// §4.3.2.3), 1280 for IPv6 (RFC 4443 §2.4 (c)).
func AppendError(b []byte, h *Header, e ICMPError, offending []byte) []byte {
	limit := maxError6
	if h.Dst.Is4() {
		limit = maxError4
	}
	quote := offending[:min(len(offending), limit-h.Len()-ICMPHeaderLen)]
	return AppendICMP(b, h, &ICMP{Type: e.Type, Code: e.Code, Arg: e.Arg, Body: quote})
}

// Quote is what an ICMP error tells of the packet it is about, which claims to
// have been sent by us: Src is our address. Length, TTL and checksum of the
// quoted header may have been changed on the way and are not looked at (I4-18).
type Quote struct {
	Version  uint8
	Proto    uint8
	Src, Dst Addr
	// Length is what the quoted header says of the length of the whole packet, in octets (RFC 1191 §5).
	Length int
	// Transport is the start of the transport header: at least 8 octets.
	Transport []byte
}

// quoteMin is what an ICMP error quotes of the transport at least (RFC 792).
const quoteMin = 8

// SrcPort returns the source port of a quoted TCP or UDP header.
func (q *Quote) SrcPort() uint16 { return binary.BigEndian.Uint16(q.Transport) }

// DstPort returns the destination port of a quoted TCP or UDP header.
func (q *Quote) DstPort() uint16 { return binary.BigEndian.Uint16(q.Transport[2:]) }

// TCPSeq returns the sequence number of a quoted TCP header.
func (q *Quote) TCPSeq() uint32 { return binary.BigEndian.Uint32(q.Transport[4:]) }

// ParseQuote reads the packet quoted by error message m (I4-17, I6-13). It is total.
func ParseQuote(m *ICMP) (Quote, Reason) {
	b := m.Body
	if len(b) == 0 {
		return Quote{}, ReasonQuoteShort
	}
	if b[0]>>4 != m.Version {
		return Quote{}, ReasonQuoteVersion
	}
	switch m.Version {
	case 4:
		return quote4(b)
	case 6:
		return quote6(b)
	}
	return Quote{}, ReasonQuoteVersion
}

func quote4(b []byte) (Quote, Reason) {
	n := int(b[0]&15) * 4
	if n < IPv4HeaderLen || len(b) < n+quoteMin {
		return Quote{}, ReasonQuoteShort
	}
	q := Quote{
		Version:   4,
		Proto:     b[9],
		Src:       From4([4]byte(b[12:16])),
		Dst:       From4([4]byte(b[16:20])),
		Length:    int(binary.BigEndian.Uint16(b[2:])),
		Transport: b[n:],
	}
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return q, ReasonQuoteFragment
	}
	return q, ReasonNone
}

func quote6(b []byte) (Quote, Reason) {
	if len(b) < IPv6HeaderLen {
		return Quote{}, ReasonQuoteShort
	}
	q := Quote{Version: 6, Src: Addr(b[8:24]), Dst: Addr(b[24:40]), Length: IPv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))}
	if q.Src.Is4() || q.Dst.Is4() {
		return q, ReasonMappedAddr
	}
	proto, off, r := transport6(b, b[6], IPv6HeaderLen)
	if r != ReasonNone {
		return q, r
	}
	if len(b) < off+quoteMin {
		return q, ReasonQuoteShort
	}
	q.Proto, q.Transport = proto, b[off:]
	return q, ReasonNone
}
