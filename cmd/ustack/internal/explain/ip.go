package explain

import (
	"fmt"

	"ustack/ippkt"
)

// ip reads an IP header, and what it says comes next.
func (d *decoder) ip() {
	if len(d.b) == 0 {
		d.layer("Nothing")
		return
	}
	switch d.b[0] >> 4 {
	case 4:
		d.ipv4()
	case 6:
		d.ipv6()
	default:
		d.layer("Unknown")
		d.bytes(1, "RFC 791 §3.1", func(p []byte) string { return fmt.Sprintf("version %d: neither 4 nor 6", p[0]>>4) })
	}
}

var ecnNames = [...]string{"not ECN-capable", "ECT(1)", "ECT(0)", "congestion experienced"}

func (d *decoder) trafficClass(v byte) string {
	return fmt.Sprintf("DSCP %d, %s", v>>2, ecnNames[v&3])
}

func (d *decoder) ipv4() {
	d.layer("IPv4")
	first := d.b[0]
	headerLen := int(first&15) * 4
	d.bytes(1, "RFC 791 §3.1", func([]byte) string { return fmt.Sprintf("version 4, header of %d octets", headerLen) })
	d.bytes(1, "RFC 2474 §3, RFC 3168 §5", func(p []byte) string { return d.trafficClass(p[0]) })
	total := int(d.number(2, "RFC 791 §3.1", "total length %d"))
	d.number(2, "RFC 6864 §4", "identification %d")
	fragment := d.fragment4()
	d.number(1, "RFC 791 §3.1", "time to live %d")
	proto := d.protocol("protocol", "RFC 791 §3.1")
	d.bytes(2, "RFC 1071", func(p []byte) string {
		if headerLen < 20 || headerLen > len(d.b) {
			return "header checksum"
		}
		return d.checked("header checksum", ippkt.Fold(ippkt.Sum(d.b[:headerLen], 0)))
	})
	d.src, d.dst = d.address(4, "RFC 791 §3.1", "source"), d.address(4, "RFC 791 §3.1", "destination")
	for d.at < headerLen && !d.ended {
		d.option4(headerLen)
	}
	d.transport(proto, total, fragment)
}

// checked words the sum over what a checksum covers, itself included.
func (d *decoder) checked(what string, sum uint16) string {
	switch {
	case sum == 0xffff:
		return what + ": right"
	case d.cut:
		return what
	}
	return what + ": WRONG"
}

func (d *decoder) fragment4() (later bool) {
	d.bytes(2, "RFC 791 §3.1", func(p []byte) string {
		v := be16(p)
		later = v&0x1fff != 0
		return fmt.Sprintf("flags:%s; fragment offset %d", bits(uint64(v>>13), "reserved", "DF", "MF"), int(v&0x1fff)*8)
	})
	return later
}

var protocols = map[uint64]string{0: "hop-by-hop options", 1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 43: "routing", 44: "fragment", 50: "ESP", 51: "AH",
	58: "ICMPv6", 59: "nothing", 60: "destination options", 132: "SCTP"}

func (d *decoder) protocol(what, section string) (v uint64) {
	d.bytes(1, section, func(p []byte) string {
		v = uint64(p[0])
		return fmt.Sprintf("%s %d: %s", what, v, orUnknown(protocols[v]))
	})
	return v
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

var options4 = map[byte]string{0: "end of options", 1: "no operation", 7: "record route", 68: "timestamp", 130: "security", 131: "loose source route",
	137: "strict source route", 148: "router alert"}

func (d *decoder) option4(end int) {
	if d.at >= len(d.b) {
		d.take(1)
		return
	}
	kind := d.b[d.at]
	n := 1
	if kind > 1 && d.at+1 < len(d.b) {
		n = max(int(d.b[d.at+1]), 2)
	}
	d.bytes(min(n, max(end-d.at, 1)), "RFC 791 §3.1", func([]byte) string { return "option: " + orUnknown(options4[kind]) })
}

func (d *decoder) ipv6() {
	d.layer("IPv6")
	d.bytes(4, "RFC 8200 §3", func(p []byte) string {
		class := p[0]<<4 | p[1]>>4
		return fmt.Sprintf("version 6, %s, flow label 0x%05x", d.trafficClass(class), uint32(p[1]&15)<<16|uint32(be16(p[2:])))
	})
	length := int(d.number(2, "RFC 8200 §3", "payload length %d"))
	next := d.protocol("next header", "RFC 8200 §3")
	d.number(1, "RFC 8200 §3", "hop limit %d")
	d.src, d.dst = d.address(16, "RFC 8200 §3", "source"), d.address(16, "RFC 8200 §3", "destination")
	d.extensions(next, 40+length)
}

// extensions reads the headers between IPv6 and the transport (RFC 8200 §4).
func (d *decoder) extensions(next uint64, total int) {
	later := false
	for !d.ended {
		switch next {
		case 0, 43, 60:
			d.layer("IPv6 " + protocols[next])
			was := next
			next = d.protocol("next header", "RFC 8200 §4")
			n := int(d.number(1, "RFC 8200 §4", "length %d in units of 8 octets beyond the first"))*8 + 6
			d.bytes(n, "RFC 8200 §4", func([]byte) string { return "contents of the " + protocols[was] + " header" })
		case 44:
			d.layer("IPv6 fragment")
			next = d.protocol("next header", "RFC 8200 §4.5")
			d.number(1, "RFC 8200 §4.5", "reserved")
			d.bytes(2, "RFC 8200 §4.5", func(p []byte) string {
				v := be16(p)
				later = v&^7 != 0
				return fmt.Sprintf("fragment offset %d; flags:%s", v&^7, bits(uint64(v&1), "more"))
			})
			d.number(4, "RFC 8200 §4.5", "identification %d")
		default:
			d.transport(next, total, later)
			return
		}
	}
}
