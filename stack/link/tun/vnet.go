package tun

import (
	"encoding/binary"

	"ustack/stack/link"
)

// struct virtio_net_hdr (linux/virtio_net.h), little-endian by TUNSETVNETLE. We set the short
// form, without num_buffers, so the size is a constant for us.
const vnetLen = 10

const (
	vnetNeedsCsum = 1    // flags: the transport checksum is unfinished
	vnetDataValid = 2    // flags: the kernel has verified the transport checksum
	vnetGSOECN    = 0x80 // gso_type: the first segment, and only it, has CWR
)

// parseVnet reads the header in front of a packet. hdr_len of a read is a hint about the
// kernel's memory layout, not about headers (TUN-R08), and is not passed on.
func parseVnet(b *[vnetLen]byte) link.Offload {
	var o link.Offload
	switch flags := b[0]; {
	case flags&vnetNeedsCsum != 0:
		o.NeedsCsum = true
		o.CsumStart = binary.LittleEndian.Uint16(b[6:])
		o.CsumOffset = binary.LittleEndian.Uint16(b[8:])
	case flags&vnetDataValid != 0:
		o.DataValid = true
	}
	if gso := link.GSO(b[1] &^ vnetGSOECN); gso != link.GSONone {
		o.GSO = gso
		o.GSOSize = binary.LittleEndian.Uint16(b[4:])
	}
	return o
}

// putVnet writes the header for a packet whose IP and transport headers are hdr.
func putVnet(b *[vnetLen]byte, o *link.Offload, hdr []byte) {
	*b = [vnetLen]byte{}
	if o.NeedsCsum {
		b[0] = vnetNeedsCsum
		binary.LittleEndian.PutUint16(b[6:], o.CsumStart)
		binary.LittleEndian.PutUint16(b[8:], o.CsumOffset)
	}
	if o.GSO == link.GSONone {
		return
	}
	b[1] = byte(o.GSO)
	if tcpCWR(o, hdr) {
		b[1] |= vnetGSOECN
	}
	binary.LittleEndian.PutUint16(b[2:], o.HdrLen)
	binary.LittleEndian.PutUint16(b[4:], o.GSOSize)
}

// tcpCWR reports whether a TCP super-segment has CWR, which hardware must be told (TSO-08).
func tcpCWR(o *link.Offload, hdr []byte) bool {
	const flagsAt, cwr = 13, 0x80
	at := int(o.CsumStart) + flagsAt
	return o.GSO != link.GSOUDP && at < len(hdr) && hdr[at]&cwr != 0
}
