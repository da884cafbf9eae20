package ippkt

import (
	"encoding/binary"
	"math/bits"
)

// A partial checksum is a one's complement sum of big-endian 16-bit words
// (RFC 1071), kept in 32 bits so that carries need not be folded at each step.
// Adding partial sums of data that stands at even offsets is plain addition of
// folded values; Combine takes care of odd ones.

// Sum adds the words of b, an odd last octet padded with zero, to the partial sum initial.
func Sum(b []byte, initial uint32) uint32 {
	return uint32(Fold(initial)) + uint32(sum(b))
}

// sum works on little-endian words, whose sum is the big-endian one with its
// octets swapped (RFC 1071 §2 (B)): one instruction loads eight octets.
func sum(b []byte) uint16 {
	var s, c uint64
	for len(b) >= 64 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:8]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:16]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:24]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:32]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[32:40]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[40:48]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[48:56]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[56:64]), c)
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var tail uint64
	if len(b) >= 4 {
		tail = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		tail += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		tail += uint64(b[0])
	}
	s, c = bits.Add64(s, tail, c)
	s, c = bits.Add64(s, 0, c)
	s += c
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return bits.ReverseBytes16(Fold(uint32(s)))
}

// Fold reduces a partial sum to 16 bits. Data that includes a right checksum folds to 0xffff.
func Fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// Combine adds to the partial sum of a piece of data the partial sum of the
// piece that follows it, where offset is the length of everything before the
// latter: at an odd offset its octets change places (RFC 1071 §2 (B)).
func Combine(before, after uint32, offset int) uint32 {
	f := Fold(after)
	if offset&1 != 0 {
		f = bits.ReverseBytes16(f)
	}
	return uint32(Fold(before)) + uint32(f)
}

// PseudoSum is the partial sum of the pseudo-header (RFC 9293 §3.1, RFC 8200
// §8.1): length counts the transport header and its payload, in octets. Folded
// and not complemented it is what an offloading device wants in the checksum field.
func PseudoSum(src, dst Addr, proto uint8, length int) uint32 {
	s := uint32(proto) + uint32(length)>>16 + uint32(length)&0xffff
	if dst.Is4() {
		return Sum(dst[12:], Sum(src[12:], s))
	}
	return Sum(dst[:], Sum(src[:], s))
}

// TransportChecksum is the value for the checksum field of a transport header:
// the complement of the sum over hdr, whose own field is zero, the payload in up
// to four pieces of any length, and the pseudo-header's partial sum. A zero has
// to become 0xffff for UDP (RFC 768); for TCP it stays (CK-08).
func TransportChecksum(hdr []byte, payload *[4][]byte, pseudo uint32) uint16 {
	s := Sum(hdr, pseudo)
	n := len(hdr)
	for _, p := range payload {
		if len(p) > 0 {
			s = Combine(s, uint32(sum(p)), n)
			n += len(p)
		}
	}
	return ^Fold(s)
}

// FinishPartial completes the checksum of a packet that came with only the
// pseudo-header's part in it (virtio's NEEDS_CSUM): it sums from start to the
// end and stores the complement at start+offset. It reports false, and changes
// nothing, when the field is not inside the packet.
func FinishPartial(packet []byte, start, offset int) bool {
	if start < 0 || offset < 0 || start > len(packet) || offset > len(packet)-start-2 {
		return false
	}
	sum := ^Fold(Sum(packet[start:], 0))
	if sum == 0 && offset == udpChecksumOffset {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(packet[start+offset:], sum)
	return true
}

// ChecksumOK verifies the transport checksum of an unfragmented packet whose
// transport sums the pseudo-header: TCP, UDP and ICMPv6. A UDP checksum that is
// absent is ParseUDP's business.
func (p *Packet) ChecksumOK() bool {
	return Fold(Sum(p.Payload, PseudoSum(p.Src, p.Dst, p.Proto, len(p.Payload)))) == 0xffff
}
