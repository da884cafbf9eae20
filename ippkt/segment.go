package ippkt

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrSegment is returned by SegmentTCP for what is not a whole TCP packet.
var ErrSegment = errors.New("not a tcp packet that can be segmented")

const (
	minTCPHeaderLen   = 20
	tcpChecksumOffset = 16
	tcpFlagsAt        = 13
	tcpFIN, tcpPSH    = 0x01, 0x08
	tcpCWR            = 0x80
)

// SegmentTCP cuts a TCP super-segment, as it crosses a virtio device, into
// finished packets of at most gsoSize octets of payload each, as the kernel
// would (spec §16, TSO-03 to TSO-11): SEQ advances, the IPv4 ID counts up, FIN
// and PSH stay with the last, CWR with the first, everything else is repeated.
// Every checksum is computed anew, whatever stood there. A gsoSize of 0, or one
// that the payload does not exceed, gives one packet.
//
// Each packet is built in dst, which must hold the headers and gsoSize octets
// (or is replaced by one that does), and is good until emit returns. An error
// of emit ends the work and is returned.
func SegmentTCP(dst, packet []byte, gsoSize int, emit func([]byte) error) error {
	return SegmentTCPHead(dst, packet, len(packet), gsoSize, func(b []byte, _ int) error { return emit(b) })
}

// SegmentTCPHead is SegmentTCP for a super-segment of length octets of which
// head is the start: at least its headers. emit is given the start of each
// packet, as far as head goes, and the length of the whole packet. Where octets
// are missing the checksum cannot be known: it holds the pseudo-header's part,
// as one that a device is to finish.
func SegmentTCPHead(dst, head []byte, length, gsoSize int, emit func(b []byte, length int) error) error {
	s, err := parseSuper(head, length)
	if err != nil || gsoSize < 0 {
		return ErrSegment
	}
	if gsoSize == 0 || gsoSize > s.payload {
		gsoSize = s.payload
	}
	for i, off := 0, 0; i == 0 || off < s.payload; i, off = i+1, off+gsoSize {
		end := min(off+gsoSize, s.payload)
		dst = append(append(dst[:0], s.headers...), s.data[min(off, len(s.data)):min(end, len(s.data))]...)
		whole := len(s.headers) + end - off
		s.patch(dst, whole, i, off)
		if err := emit(dst, whole); err != nil {
			return err
		}
	}
	return nil
}

// super is a TCP super-segment that is to be cut.
type super struct {
	ip      Packet
	headers []byte // IP and TCP
	data    []byte // what there is of the payload
	payload int    // octets of payload
}

// parseSuper takes a super-segment of length octets apart, of which head is the start.
func parseSuper(head []byte, length int) (super, error) {
	missing := length - len(head)
	if missing < 0 || len(head) < IPv4HeaderLen || head[0]>>4 == 6 && len(head) < IPv6HeaderLen {
		return super{}, ErrSegment
	}
	packet := head
	if missing > 0 { // one that ends where head does is read in its place
		packet = bytes.Clone(head)
		setLength(packet, packet[0]>>4, len(packet))
		if packet[0]>>4 == 4 {
			setChecksum4(packet[:min(max(int(packet[0]&15)*4, IPv4HeaderLen), len(packet))])
		}
	}
	p, r := Parse(packet)
	if r != ReasonNone || p.Proto != ProtoTCP || p.IsFragment() || len(p.Payload) < minTCPHeaderLen {
		return super{}, ErrSegment
	}
	tcpLen := int(p.Payload[12]>>4) * 4
	if tcpLen < minTCPHeaderLen || tcpLen > len(p.Payload) {
		return super{}, ErrSegment
	}
	data := p.Payload[tcpLen:]
	return super{ip: p, headers: head[:p.HeaderLen+tcpLen], data: data, payload: len(data) + missing}, nil
}

// patch turns a copy of the headers, with what there is of the payload from
// offset off behind them, into the start of the i-th packet, of length octets.
func (s *super) patch(b []byte, length, i, off int) {
	p := &s.ip
	setLength(b, p.Version, length)
	if p.Version == 4 {
		binary.BigEndian.PutUint16(b[4:], uint16(p.ID)+uint16(i))
		setChecksum4(b[:p.HeaderLen])
	}
	t := b[p.HeaderLen:]
	binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(off))
	if off+length-len(s.headers) < s.payload {
		t[tcpFlagsAt] &^= tcpFIN | tcpPSH
	}
	if i > 0 {
		t[tcpFlagsAt] &^= tcpCWR
	}
	t[tcpChecksumOffset], t[tcpChecksumOffset+1] = 0, 0
	sum := PseudoSum(p.Src, p.Dst, ProtoTCP, length-p.HeaderLen)
	if len(b) == length {
		sum = uint32(^Fold(Sum(t, sum)))
	}
	binary.BigEndian.PutUint16(t[tcpChecksumOffset:], Fold(sum))
}

// setLength writes the length of the packet that starts with b to its header.
func setLength(b []byte, version uint8, length int) {
	if version == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(length))
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(length-IPv6HeaderLen))
	}
}
