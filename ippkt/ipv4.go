package ippkt

import "encoding/binary"

// IPv4 option types (RFC 791 §3.1).
const (
	opt4End         = 0
	opt4NOP         = 1
	opt4RecordRoute = 7
	opt4Timestamp   = 68
	opt4LSRR        = 131
	opt4SSRR        = 137
)

const (
	flagDF = 1 << 14
	flagMF = 1 << 13
)

// parse4 checks in the order of RFC 1122 §3.2.1: version, length, checksum,
// then options and fragmentation.
func parse4(b []byte) (Packet, Reason) {
	if len(b) < IPv4HeaderLen {
		return Packet{}, ReasonShort
	}
	p := Packet{
		Version: 4,
		TOS:     b[1],
		ID:      uint32(binary.BigEndian.Uint16(b[4:])),
		TTL:     b[8],
		Proto:   b[9],
		ProtoAt: 9,
		Src:     From4([4]byte(b[12:16])),
		Dst:     From4([4]byte(b[16:20])),
	}
	p.HeaderLen = int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if p.HeaderLen < IPv4HeaderLen || p.HeaderLen > total {
		return p, ReasonHeaderLen
	}
	if total > len(b) {
		return p, ReasonTotalLen
	}
	if Fold(uint32(sum(b[:p.HeaderLen]))) != 0xffff {
		return p, ReasonHeaderChecksum
	}
	p.Payload = b[p.HeaderLen:total]
	frag := binary.BigEndian.Uint16(b[6:])
	p.DontFragment = frag&flagDF != 0
	p.MoreFragments = frag&flagMF != 0
	p.FragOffset = int(frag&0x1fff) * 8
	if p.HeaderLen > IPv4HeaderLen {
		p.Options = b[IPv4HeaderLen:p.HeaderLen]
		if r := p.checkOptions4(); r != ReasonNone {
			return p, r
		}
	}
	if p.IsFragment() {
		return p, p.checkFragment4()
	}
	return p, ReasonNone
}

// checkFragment4 refuses what no reassembly can use (RE4-04 to RE4-06).
func (p *Packet) checkFragment4() Reason {
	n := len(p.Payload)
	switch {
	case n == 0, p.MoreFragments && n%8 != 0:
		return ReasonFragmentLen
	case p.HeaderLen+p.FragOffset+n > maxLen16:
		return ReasonFragmentTooBig
	}
	return ReasonNone
}

// checkOptions4 walks the options. Unknown ones are ignored; a known one that
// is malformed, or one without a next, is answered with a Parameter Problem.
// Source routes are refused whether finished or not (RFC 7126 §4.3).
func (p *Packet) checkOptions4() Reason {
	o := p.Options
	for i := 0; i < len(o); {
		switch o[i] {
		case opt4End:
			return ReasonNone
		case opt4NOP:
			i++
			continue
		}
		if i+1 >= len(o) || o[i+1] < 2 || i+int(o[i+1]) > len(o) {
			return p.badOption4(i)
		}
		n := int(o[i+1])
		if r := p.checkOption4(i, o[i:i+n]); r != ReasonNone {
			return r
		}
		i += n
	}
	return ReasonNone
}

// checkOption4 checks option v, which stands at offset i of the options. In all
// three kinds that it knows the third octet points at the next free slot, from
// 4 (5 in a timestamp) up; past the end means full.
func (p *Packet) checkOption4(i int, v []byte) Reason {
	first, slot := 4, 4
	switch v[0] {
	case opt4LSRR, opt4SSRR:
		return ReasonSourceRoute
	case opt4RecordRoute:
	case opt4Timestamp:
		first = 5
		if len(v) >= 4 && v[3]&15 != 0 {
			slot = 8
		}
	default:
		return ReasonNone
	}
	if len(v) < first-1 {
		return p.badOption4(i + 1)
	}
	ptr := int(v[2])
	if ptr < first || ptr <= len(v) && ptr-1+slot > len(v) {
		return p.badOption4(i + 2)
	}
	return ReasonNone
}

func (p *Packet) badOption4(i int) Reason {
	p.Problem = Problem{Answer: true, Pointer: uint32(IPv4HeaderLen + i)}
	return ReasonOptions
}

func (h *Header) append4(b []byte, payloadLen int) []byte {
	start := len(b)
	frag := uint16(h.FragOffset / 8)
	if h.DontFragment {
		frag |= flagDF
	}
	if h.MoreFragments {
		frag |= flagMF
	}
	b = append(b, 0x45, h.TOS)
	b = binary.BigEndian.AppendUint16(b, uint16(IPv4HeaderLen+payloadLen))
	b = binary.BigEndian.AppendUint16(b, uint16(h.ID))
	b = binary.BigEndian.AppendUint16(b, frag)
	b = append(b, h.TTL, h.Proto, 0, 0)
	b = append(b, h.Src[12:]...)
	b = append(b, h.Dst[12:]...)
	setChecksum4(b[start:])
	return b
}

// setChecksum4 computes the checksum of the IPv4 header hdr.
func setChecksum4(hdr []byte) {
	hdr[10], hdr[11] = 0, 0
	binary.BigEndian.PutUint16(hdr[10:], ^sum(hdr))
}
