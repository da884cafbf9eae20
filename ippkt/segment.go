package ippkt

import (
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
	p, r := Parse(packet)
	if r != ReasonNone || p.Proto != ProtoTCP || p.IsFragment() || len(p.Payload) < minTCPHeaderLen {
		return ErrSegment
	}
	tcpLen := int(p.Payload[12]>>4) * 4
	if tcpLen < minTCPHeaderLen || tcpLen > len(p.Payload) || gsoSize < 0 {
		return ErrSegment
	}
	hdr, data := packet[:p.HeaderLen+tcpLen], p.Payload[tcpLen:]
	if gsoSize == 0 || gsoSize > len(data) {
		gsoSize = len(data)
	}
	for i, off := 0, 0; i == 0 || off < len(data); i, off = i+1, off+gsoSize {
		end := min(off+gsoSize, len(data))
		dst = append(append(dst[:0], hdr...), data[off:end]...)
		patchSegment(dst, &p, i, off, end == len(data))
		if err := emit(dst); err != nil {
			return err
		}
	}
	return nil
}

// patchSegment turns a copy of the super-segment's headers, with the payload
// from offset off behind them, into the i-th segment.
func patchSegment(b []byte, p *Packet, i, off int, last bool) {
	setLength(b, p.Version)
	if p.Version == 4 {
		binary.BigEndian.PutUint16(b[4:], uint16(p.ID)+uint16(i))
		setChecksum4(b[:p.HeaderLen])
	}
	t := b[p.HeaderLen:]
	binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(off))
	if !last {
		t[tcpFlagsAt] &^= tcpFIN | tcpPSH
	}
	if i > 0 {
		t[tcpFlagsAt] &^= tcpCWR
	}
	t[tcpChecksumOffset], t[tcpChecksumOffset+1] = 0, 0
	sum := ^Fold(Sum(t, PseudoSum(p.Src, p.Dst, ProtoTCP, len(t))))
	binary.BigEndian.PutUint16(t[tcpChecksumOffset:], sum)
}

// setLength writes the length of packet b to its header.
func setLength(b []byte, version uint8) {
	if version == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-IPv6HeaderLen))
	}
}
