package ippkt

import (
	"encoding/binary"
	"errors"
)

// ErrFragment is returned by Fragment for a packet that is too big for the MTU
// and must not, or cannot, be cut.
var ErrFragment = errors.New("packet too big and not to be fragmented")

const fragHeaderLen = 8 // of IPv6

// Fragment hands packet, a whole one without IPv4 options or IPv6 extension
// headers, to emit in fragments of at most mtu octets that carry the
// identification id, of which IPv4 takes the low 16 bits (V4S-11, FR6-11). A
// packet that fits goes as it is. ErrFragment: it does not fit, and has DF set
// or is not of that plain form.
//
// Each fragment is built in dst and is good until emit returns. An error of emit
// ends the work and is returned.
func Fragment(dst, packet []byte, mtu int, id uint32, emit func([]byte) error) error {
	if len(packet) <= mtu {
		return emit(packet)
	}
	p, r := Parse(packet)
	if r != ReasonNone || p.DontFragment || p.IsFragment() || !p.isPlain() {
		return ErrFragment
	}
	room := mtu - p.HeaderLen
	if p.Version == 6 {
		room -= fragHeaderLen
	}
	if room < 8 {
		return ErrFragment
	}
	h := Header{Src: p.Src, Dst: p.Dst, Proto: p.Proto, TTL: p.TTL, TOS: p.TOS, ID: id, FlowLabel: p.FlowLabel}
	for off := 0; off < len(p.Payload); {
		n := len(p.Payload) - off
		h.FragOffset, h.MoreFragments = off, n > room
		if h.MoreFragments {
			n = room &^ 7
		}
		dst = append(h.appendFragment(dst[:0], n), p.Payload[off:off+n]...)
		if err := emit(dst); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// isPlain reports whether nothing stands between the fixed header and the payload.
func (p *Packet) isPlain() bool {
	return p.Version == 4 && p.HeaderLen == IPv4HeaderLen || p.Version == 6 && p.HeaderLen == IPv6HeaderLen
}

// appendFragment appends the headers of a fragment of n octets.
func (h *Header) appendFragment(b []byte, n int) []byte {
	if h.Dst.Is4() {
		return h.append4(b, n)
	}
	outer := *h
	outer.Proto = ProtoFragment
	b = outer.append6(b, n+fragHeaderLen)
	word := uint16(h.FragOffset)
	if h.MoreFragments {
		word |= 1
	}
	b = append(b, h.Proto, 0)
	b = binary.BigEndian.AppendUint16(b, word)
	return binary.BigEndian.AppendUint32(b, h.ID)
}

// AppendReassembled appends the header of the packet whose fragments have all
// come, for a payload of payloadLen octets and with the ECN bits that ECNSet
// found. first is the header of the fragment with offset 0, HeaderLen octets of a
// packet that Parse accepted. What fragmentation added is taken out again and
// lengths and checksum are set (RE4-14, FR6-09). Parse the result: behind an
// IPv6 Fragment header more extension headers may follow.
func AppendReassembled(b, first []byte, payloadLen int, ecn uint8) []byte {
	start := len(b)
	b = append(b, first...)
	h := b[start:]
	if h[0]>>4 == 4 {
		h[1] = h[1]&^3 | ecn
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)+payloadLen))
		h[6], h[7] = h[6]&(flagDF>>8), 0
		setChecksum4(h)
		return b
	}
	h[1] = h[1]&^0x30 | ecn<<4
	named, at := 6, IPv6HeaderLen
	for at+fragHeaderLen < len(h) {
		n := extensionLen(h, h[named], at)
		if n == 0 {
			break
		}
		named, at = at, at+n
	}
	h[named] = h[at]
	b = b[:start+at]
	binary.BigEndian.PutUint16(h[4:], uint16(at-IPv6HeaderLen+payloadLen))
	return b
}

// ECNSet collects the ECN bits of the fragments of a packet (RFC 3168 §5.3).
type ECNSet uint8

// Add takes the ECN bits of one fragment.
func (s *ECNSet) Add(ecn uint8) { *s |= 1 << (ecn & 3) }

// Result returns the bits of the whole, where first is the first fragment's:
// congestion seen by one was seen by all. False: some fragments could not have
// been marked and others were, so the packet has to be dropped (RE4-15).
func (s ECNSet) Result(first uint8) (uint8, bool) {
	const notECT, ce = 1 << 0, 1 << 3
	switch {
	case s&ce == 0:
		return first & 3, true
	case s&notECT != 0:
		return 0, false
	}
	return 3, true
}
