package tcpseg

import (
	"encoding/binary"
	"errors"
)

// Flags are the control bits of a TCP header (RFC 9293 §3.1).
type Flags uint8

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has reports whether every bit of f is set.
func (f Flags) Has(bits Flags) bool { return f&bits == bits }

// MinHeaderLen and MaxHeaderLen bound a TCP header, in octets.
const (
	MinHeaderLen = 20
	MaxHeaderLen = 60
	// ChecksumOffset is where the checksum stands in a header.
	ChecksumOffset = 16
)

// Header is a TCP header without its checksum, which belongs to whoever knows
// the pseudo-header.
type Header struct {
	SrcPort, DstPort uint16
	Seq, Ack         Seq
	Flags            Flags
	Window           uint16 // as on the wire, unscaled
	Urgent           uint16
	Options          Options
}

// HasDSACK reports whether the first SACK block tells of what has come twice: it lies below the ACK, or within the second
// block (RFC 2883 §4).
func (h *Header) HasDSACK() bool {
	blocks := h.Options.Blocks()
	if len(blocks) == 0 {
		return false
	}
	b := blocks[0]
	return b.Right.LessEq(h.Ack) || len(blocks) > 1 && blocks[1].Left.LessEq(b.Left) && b.Right.LessEq(blocks[1].Right)
}

// Segment is one TCP segment, or a super-segment that the device has yet to cut.
type Segment struct {
	Header
	Payload []byte // aliases the parsed buffer
	GSOSize int    // payload octets of each real segment in a super-segment; 0: one plain segment
	ECN     uint8  // the two ECN bits of the IP header (RFC 3168)
}

// Len returns SEG.LEN: the octets of sequence space the segment takes, SYN and
// FIN counting one each (RFC 9293 §3.3.1).
func (s *Segment) Len() int {
	n := len(s.Payload)
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// Errors of Parse.
var (
	// ErrShort: fewer octets than a header without options has.
	ErrShort = errors.New("tcp segment shorter than its header")
	// ErrDataOffset: the data offset is below 5 or points past the end of the segment.
	ErrDataOffset = errors.New("tcp data offset out of range")
)

// Parse reads a TCP segment. It is total: any bytes give a segment or an error,
// without panic and without allocation. Malformed options never fail the
// segment: parsing of options stops there (MUST-7). MSS, window scale and
// SACK-permitted count on a SYN only (MUST-65). The checksum is not looked at.
func Parse(b []byte) (Segment, error) {
	if len(b) < MinHeaderLen {
		return Segment{}, ErrShort
	}
	n := int(b[12]>>4) * 4
	if n < MinHeaderLen || n > len(b) {
		return Segment{}, ErrDataOffset
	}
	s := Segment{Payload: b[n:]}
	s.SrcPort = binary.BigEndian.Uint16(b)
	s.DstPort = binary.BigEndian.Uint16(b[2:])
	s.Seq = Seq(binary.BigEndian.Uint32(b[4:]))
	s.Ack = Seq(binary.BigEndian.Uint32(b[8:]))
	s.Flags = Flags(b[13])
	s.Window = binary.BigEndian.Uint16(b[14:])
	s.Urgent = binary.BigEndian.Uint16(b[18:])
	if n > MinHeaderLen {
		s.Options.parse(b[MinHeaderLen:n], s.Flags.Has(SYN))
	}
	return s, nil
}

// Len returns the length of the encoded header in octets, options and padding included.
func (h *Header) Len() int { return MinHeaderLen + h.Options.Len() }

// AppendTo appends the encoded header, its checksum field and reserved bits
// zero, and returns the extended buffer. Whatever Options holds is emitted: the
// caller sets MSS, Scale and SACKPermitted on a SYN only. SACK blocks that do
// not fit are left out (RFC 2018 §3). Parse(AppendTo(h)) gives h back when h obeys both.
func (h *Header) AppendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, h.SrcPort)
	b = binary.BigEndian.AppendUint16(b, h.DstPort)
	b = binary.BigEndian.AppendUint32(b, uint32(h.Seq))
	b = binary.BigEndian.AppendUint32(b, uint32(h.Ack))
	b = append(b, byte(h.Len()/4)<<4, byte(h.Flags))
	b = binary.BigEndian.AppendUint16(b, h.Window)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, h.Urgent)
	return h.Options.appendTo(b)
}
