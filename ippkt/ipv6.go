package ippkt

import "encoding/binary"

// Bounds on what a host walks through (spec §19).
const (
	maxExtensions   = 8
	maxExtensionLen = 2048 // octets of all extension headers
	maxOptions6     = 16   // in one header, padding included
)

// IPv6 option types.
const (
	opt6Pad1 = 0
	opt6PadN = 1
)

// Codes of an ICMPv6 Parameter Problem (RFC 4443 §3.4, RFC 7112 §5).
const (
	problemHeader     = 0
	problemNextHeader = 1
	problemOption     = 2
	problemChain      = 3
)

func parse6(b []byte) (Packet, Reason) {
	if len(b) < IPv6HeaderLen {
		return Packet{}, ReasonShort
	}
	first := binary.BigEndian.Uint32(b)
	p := Packet{
		Version:   6,
		TOS:       uint8(first >> 20),
		FlowLabel: first & 0xfffff,
		Proto:     b[6],
		ProtoAt:   6,
		TTL:       b[7],
		Src:       Addr(b[8:24]),
		Dst:       Addr(b[24:40]),
		HeaderLen: IPv6HeaderLen,
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length > len(b)-IPv6HeaderLen {
		return p, ReasonTotalLen
	}
	// Inside the stack a mapped address is IPv4: off an IPv6 wire it would be a forgery.
	if p.Src.Is4() || p.Dst.Is4() {
		return p, ReasonMappedAddr
	}
	if length == 0 && p.Proto == ProtoHopByHop && len(b) > IPv6HeaderLen {
		return p, p.refuseJumbo(b)
	}
	b = b[:IPv6HeaderLen+length]
	if isExtension(p.Proto) {
		if r := p.walk(b); r != ReasonNone {
			p.settle(b)
			return p, r
		}
	}
	p.Payload = b[p.HeaderLen:]
	if p.Proto == ProtoNone && !p.IsFragment() {
		return p, ReasonNoNextHeader
	}
	return p, ReasonNone
}

// refuseJumbo handles a payload length of 0 before a Hop-by-Hop header: the
// jumbo payload option is unknown to us and says by its type that it must be
// answered (V6R-02).
func (p *Packet) refuseJumbo(b []byte) Reason {
	if r := p.options(b); r != ReasonNone {
		return r
	}
	return ReasonJumbo
}

// isExtension reports whether the protocol number is an extension header that walk knows.
// AH and ESP are not: they end the chain as a protocol nobody speaks (V6R-17).
func isExtension(proto uint8) bool {
	switch proto {
	case ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoDestinations:
		return true
	}
	return false
}

// walk goes through the extension headers of b in order of appearance, moving
// HeaderLen, Proto and ProtoAt along (RFC 8200 §4).
func (p *Packet) walk(b []byte) Reason {
	for n := 0; isExtension(p.Proto); n++ {
		if n == maxExtensions {
			return ReasonExtensionLimit
		}
		if p.Proto == ProtoHopByHop && n > 0 {
			p.problem(problemNextHeader, p.ProtoAt)
			return ReasonHopByHop
		}
		if p.Proto == ProtoFragment {
			if r := p.fragment(b); r != ReasonNone {
				return r
			}
			if p.IsFragment() {
				return p.checkChain(b)
			}
			continue
		}
		var r Reason
		if p.Proto == ProtoRouting {
			r = p.routing(b)
		} else {
			r = p.options(b)
		}
		if r == ReasonNone {
			r = p.skip(b)
		}
		if r != ReasonNone {
			return r
		}
	}
	return ReasonNone
}

// extensionLen returns the length of extension header proto at off; 0: it does not fit.
func extensionLen(b []byte, proto uint8, off int) int {
	if off+8 > len(b) {
		return 0
	}
	if proto == ProtoFragment {
		return 8
	}
	n := int(b[off+1])*8 + 8
	if off+n > len(b) {
		return 0
	}
	return n
}

// skip steps over the header at HeaderLen.
func (p *Packet) skip(b []byte) Reason {
	n := extensionLen(b, p.Proto, p.HeaderLen)
	if n == 0 {
		return ReasonExtension
	}
	if p.HeaderLen+n-IPv6HeaderLen > maxExtensionLen {
		return ReasonExtensionLimit
	}
	p.advance(b, n)
	return ReasonNone
}

func (p *Packet) advance(b []byte, n int) {
	p.Proto, p.ProtoAt = b[p.HeaderLen], p.HeaderLen
	p.HeaderLen += n
}

// routing refuses every routing header that still has segments left, type 0
// among them (RFC 5095): a host of one link routes for nobody (V6R-15).
func (p *Packet) routing(b []byte) Reason {
	if extensionLen(b, p.Proto, p.HeaderLen) == 0 {
		return ReasonExtension
	}
	if b[p.HeaderLen+3] != 0 {
		p.problem(problemHeader, p.HeaderLen+2)
		return ReasonRouting
	}
	return ReasonNone
}

// options checks the options of the Hop-by-Hop or Destination Options header at
// HeaderLen (RFC 8200 §4.2). None but padding is known; a type's two top bits
// say what becomes of a packet with an unknown one.
func (p *Packet) options(b []byte) Reason {
	n := extensionLen(b, p.Proto, p.HeaderLen)
	if n == 0 {
		return ReasonExtension
	}
	end := p.HeaderLen + n
	for i, count := p.HeaderLen+2, 0; i < end; count++ {
		if count == maxOptions6 {
			return ReasonExtensionLimit
		}
		if b[i] == opt6Pad1 {
			i++
			continue
		}
		if i+2 > end || i+2+int(b[i+1]) > end {
			p.problem(problemHeader, min(i+1, end-1))
			return ReasonExtensionOption
		}
		if b[i] != opt6PadN && !p.mayIgnore(b[i], i) {
			return ReasonUnknownOption
		}
		i += 2 + int(b[i+1])
	}
	return ReasonNone
}

// mayIgnore acts on the top two bits of the unknown option type at offset i.
func (p *Packet) mayIgnore(kind byte, i int) bool {
	switch kind >> 6 {
	case 0:
		return true
	case 2:
		p.problem(problemOption, i)
		p.Problem.Multicast = true
	case 3:
		p.problem(problemOption, i)
	}
	return false
}

// fragment reads the Fragment header at HeaderLen and checks what reassembly
// could not use (RFC 8200 §4.5).
func (p *Packet) fragment(b []byte) Reason {
	at := p.HeaderLen
	if at+8 > len(b) {
		return ReasonExtension
	}
	if at+8-IPv6HeaderLen > maxExtensionLen {
		return ReasonExtensionLimit
	}
	word := binary.BigEndian.Uint16(b[at+2:])
	p.FragHeader = at
	p.FragOffset = int(word &^ 7)
	p.MoreFragments = word&1 != 0
	p.ID = binary.BigEndian.Uint32(b[at+4:])
	p.advance(b, 8)
	if !p.IsFragment() {
		return ReasonNone
	}
	n := len(b) - p.HeaderLen
	switch {
	case p.MoreFragments && n%8 != 0:
		p.problem(problemHeader, 4)
		return ReasonFragmentLen
	case n == 0:
		return ReasonFragmentLen
	case at-IPv6HeaderLen+p.FragOffset+n > maxLen16:
		p.problem(problemHeader, at+2)
		return ReasonFragmentTooBig
	}
	return ReasonNone
}

// checkChain sees to it that a first fragment holds all headers through the
// transport's (RFC 7112 §5), without which nobody could tell what it carries.
func (p *Packet) checkChain(b []byte) Reason {
	if p.FragOffset != 0 {
		return ReasonNone
	}
	proto, off := p.Proto, p.HeaderLen
	for n := 0; isExtension(proto) && n < maxExtensions; n++ {
		l := extensionLen(b, proto, off)
		if l == 0 {
			p.problem(problemChain, 0)
			return ReasonFragmentChain
		}
		proto, off = b[off], off+l
	}
	if len(b)-off < transportHeaderLen(proto, b[off:]) {
		p.problem(problemChain, 0)
		return ReasonFragmentChain
	}
	return ReasonNone
}

// transportHeaderLen returns how long the transport header that starts in b
// wants to be; 0 for a protocol we do not know.
func transportHeaderLen(proto uint8, b []byte) int {
	switch proto {
	case ProtoTCP:
		if len(b) > 12 {
			return max(20, int(b[12]>>4)*4)
		}
		return 20
	case ProtoUDP, ProtoICMPv6:
		return 8
	}
	return 0
}

func (p *Packet) problem(code uint8, pointer int) {
	p.Problem = Problem{Answer: true, Code: code, Pointer: uint32(pointer)}
}

// settle finds the transport of a refused packet as well as may be, so that an
// ICMPv6 error is not answered with another one (I6-06).
func (p *Packet) settle(b []byte) {
	proto, off, r := transport6(b, p.Proto, p.HeaderLen)
	if r == ReasonNone {
		p.Proto, p.HeaderLen, p.Payload = proto, off, b[off:]
	}
}

// transport6 looks for the transport behind the extension headers that start at
// off, asking for nothing but that they fit: b may be a quote, cut anywhere.
func transport6(b []byte, proto uint8, off int) (uint8, int, Reason) {
	for n := 0; isExtension(proto); n++ {
		l := extensionLen(b, proto, off)
		if l == 0 || n == 2*maxExtensions {
			return 0, 0, ReasonQuoteShort
		}
		if proto == ProtoFragment && binary.BigEndian.Uint16(b[off+2:])&^7 != 0 {
			return 0, 0, ReasonQuoteFragment
		}
		proto, off = b[off], off+l
	}
	return proto, off, ReasonNone
}

func (h *Header) append6(b []byte, payloadLen int) []byte {
	b = binary.BigEndian.AppendUint32(b, 6<<28|uint32(h.TOS)<<20|h.FlowLabel&0xfffff)
	b = binary.BigEndian.AppendUint16(b, uint16(payloadLen))
	b = append(b, h.Proto, h.TTL)
	b = append(b, h.Src[:]...)
	return append(b, h.Dst[:]...)
}
