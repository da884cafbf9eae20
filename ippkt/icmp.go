package ippkt

import "encoding/binary"

// ICMPHeaderLen is the length of the fixed part of every ICMP and ICMPv6 message in octets.
const ICMPHeaderLen = 8

// Types of ICMP messages (RFC 792), and codes of ICMP4Unreachable.
const (
	ICMP4EchoReply    = 0
	ICMP4Unreachable  = 3
	ICMP4SourceQuench = 4
	ICMP4Redirect     = 5
	ICMP4Echo         = 8
	ICMP4TimeExceeded = 11
	ICMP4ParamProblem = 12

	ICMP4CodeProtocol   = 2
	ICMP4CodePort       = 3
	ICMP4CodeFragNeeded = 4
)

// Types of ICMPv6 messages (RFC 4443, RFC 4861), and a code of ICMP6Unreachable.
// Types below 128 are errors.
const (
	ICMP6Unreachable  = 1
	ICMP6PacketTooBig = 2
	ICMP6TimeExceeded = 3
	ICMP6ParamProblem = 4
	ICMP6Echo         = 128
	ICMP6EchoReply    = 129
	ICMP6Redirect     = 137

	ICMP6CodePort = 4
)

const (
	codeReassembly     = 1 // of both versions' TimeExceeded
	icmp6Informational = 128
	icmpChecksumOffset = 2
	// Octets of a whole packet with an error message (I4-11, I6-04).
	maxError4, maxError6 = 576, 1280
)

// Kind is what a message means, the same for ICMP and ICMPv6.
type Kind uint8

// The kinds of messages. KindOther is everything a host drops.
const (
	KindOther Kind = iota
	KindEcho
	KindEchoReply
	KindUnreachable
	KindTooBig // MTU has the next hop's
	KindTimeExceeded
	KindParamProblem
	KindSourceQuench
	KindRedirect
	KindOtherError // an ICMPv6 error of unknown type: for the upper layer (I6-03)
)

// IsError reports whether messages of the kind quote the packet they are about.
func (k Kind) IsError() bool { return k >= KindUnreachable }

// ICMP is a parsed ICMP or ICMPv6 message.
type ICMP struct {
	Version    uint8 // 4 or 6
	Type, Code uint8
	Kind       Kind
	Arg        uint32 // second word: identifier and sequence number, MTU, pointer
	Body       []byte // what follows the fixed part: echoed data, or the quoted packet
}

// EchoID returns the identifier of an echo message.
func (m *ICMP) EchoID() uint16 { return uint16(m.Arg >> 16) }

// EchoSeq returns the sequence number of an echo message.
func (m *ICMP) EchoSeq() uint16 { return uint16(m.Arg) }

// MTU returns the next hop's MTU of a KindTooBig message; 0: an old router that
// does not say (RFC 1191 §5).
func (m *ICMP) MTU() int {
	if m.Version == 4 {
		return int(m.Arg & 0xffff)
	}
	return int(m.Arg)
}

// Pointer returns the pointer of a KindParamProblem message. It may lie beyond the quote.
func (m *ICMP) Pointer() uint32 {
	if m.Version == 4 {
		return m.Arg >> 24
	}
	return m.Arg
}

// ParseICMP reads the message in the payload of p and verifies its checksum,
// unless verified says that the device has. p.Proto must be ProtoICMP (IPv4) or
// ProtoICMPv6 (IPv6).
func ParseICMP(p *Packet, verified bool) (ICMP, Reason) {
	b := p.Payload
	if len(b) < ICMPHeaderLen {
		return ICMP{}, ReasonICMPShort
	}
	m := ICMP{
		Version: p.Version,
		Type:    b[0],
		Code:    b[1],
		Kind:    kindOf(p.Version, b[0], b[1]),
		Arg:     binary.BigEndian.Uint32(b[4:]),
		Body:    b[ICMPHeaderLen:],
	}
	if !verified && Fold(Sum(b, icmpPseudo(p.Version, p.Src, p.Dst, len(b)))) != 0xffff {
		return m, ReasonICMPChecksum
	}
	return m, ReasonNone
}

// icmpPseudo is the pseudo-header's sum, which only ICMPv6 has (RFC 4443 §2.3).
func icmpPseudo(version uint8, src, dst Addr, length int) uint32 {
	if version == 4 {
		return 0
	}
	return PseudoSum(src, dst, ProtoICMPv6, length)
}

func kindOf(version, typ, code uint8) Kind {
	if version == 4 {
		return kindOf4(typ, code)
	}
	switch typ {
	case ICMP6Echo:
		return KindEcho
	case ICMP6EchoReply:
		return KindEchoReply
	case ICMP6Unreachable:
		return KindUnreachable
	case ICMP6PacketTooBig:
		return KindTooBig
	case ICMP6TimeExceeded:
		return KindTimeExceeded
	case ICMP6ParamProblem:
		return KindParamProblem
	case ICMP6Redirect:
		return KindRedirect
	}
	if typ < icmp6Informational {
		return KindOtherError
	}
	return KindOther
}

func kindOf4(typ, code uint8) Kind {
	switch typ {
	case ICMP4Echo:
		return KindEcho
	case ICMP4EchoReply:
		return KindEchoReply
	case ICMP4Unreachable:
		if code == ICMP4CodeFragNeeded {
			return KindTooBig
		}
		return KindUnreachable
	case ICMP4TimeExceeded:
		return KindTimeExceeded
	case ICMP4ParamProblem:
		return KindParamProblem
	case ICMP4SourceQuench:
		return KindSourceQuench
	case ICMP4Redirect:
		return KindRedirect
	}
	return KindOther
}

// AppendICMP appends a whole packet: h, whose Proto it sets, and m, whose
// Version and Kind it does not look at, with checksum.
func AppendICMP(b []byte, h *Header, m *ICMP) []byte {
	version := uint8(6)
	h.Proto = ProtoICMPv6
	if h.Dst.Is4() {
		version, h.Proto = 4, ProtoICMP
	}
	n := ICMPHeaderLen + len(m.Body)
	b = h.AppendTo(b, n)
	start := len(b)
	b = append(b, m.Type, m.Code, 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.Arg)
	b = append(b, m.Body...)
	sum := ^Fold(Sum(b[start:], icmpPseudo(version, h.Src, h.Dst, n)))
	binary.BigEndian.PutUint16(b[start+icmpChecksumOffset:], sum)
	return b
}

// AppendEchoReply appends a whole packet: h and the answer to echo request m,
// with the same identifier, sequence number and data (I4-03, I6-08).
func AppendEchoReply(b []byte, h *Header, m *ICMP) []byte {
	reply := ICMP{Type: ICMP4EchoReply, Arg: m.Arg, Body: m.Body}
	if m.Version == 6 {
		reply.Type = ICMP6EchoReply
	}
	return AppendICMP(b, h, &reply)
}
