package explain

import (
	"fmt"

	"ustack/ippkt"
)

// transport reads what IP carries: up to total octets of the packet. A later fragment has no header of its own.
func (d *decoder) transport(proto uint64, total int, later bool) {
	if d.ended || d.at > len(d.b) {
		return
	}
	b := d.b[d.at:max(min(total, len(d.b)), d.at)]
	switch {
	case later:
		d.payload(b)
	case proto == 6:
		d.tcp(b)
	case proto == 17:
		d.udp(b)
	case proto == 1, proto == 58:
		d.icmp(b, proto)
	default:
		d.payload(b)
	}
	if rest := d.b[d.at:]; !d.ended && total < len(d.b) && len(rest) > 0 {
		d.layer("Behind the packet")
		d.note(rest, "", "%d octets that the length does not count", len(rest))
	}
}

// sum is the sum over b and the pseudo-header: 0xffff if the checksum in it is right.
func (d *decoder) sum(b []byte, proto uint64) uint16 {
	if !d.src.IsValid() || !d.dst.IsValid() {
		return 0
	}
	return ippkt.Fold(ippkt.Sum(b, ippkt.PseudoSum(ippkt.FromNetip(d.src), ippkt.FromNetip(d.dst), uint8(proto), len(b))))
}

func (d *decoder) tcp(b []byte) {
	const header = "RFC 9293 §3.1"
	d.layer("TCP")
	d.number(2, header, "source port %d")
	d.number(2, header, "destination port %d")
	d.number(4, header, "sequence number %d")
	d.number(4, header, "acknowledgment number %d")
	headerLen := 0
	d.bytes(2, "RFC 9293 §3.1, RFC 3168 §6.1", func(p []byte) string {
		headerLen = int(p[0]>>4) * 4
		return fmt.Sprintf("header of %d octets, flags:%s", headerLen, bits(uint64(p[1]), "CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN"))
	})
	d.number(2, header, "window %d, without the agreed scale")
	d.bytes(2, header, func([]byte) string { return d.checked("checksum", d.sum(b, 6)) })
	d.number(2, "RFC 9293 §3.8.5", "urgent pointer %d")
	if d.ended {
		return
	}
	end := d.at + headerLen - 20
	for d.at < end && !d.ended {
		d.tcpOption(end)
	}
	if start := d.at + len(b) - max(headerLen, 20); headerLen >= 20 && headerLen <= len(b) && start <= len(d.b) {
		d.payload(b[headerLen:])
	}
}

// tcpOptions are the options that have a name, and where they are defined.
var tcpOptions = map[byte]struct{ name, section string }{
	0: {"end of options", "RFC 9293 §3.1"}, 1: {"no operation", "RFC 9293 §3.1"},
	2: {"maximum segment size", "RFC 9293 §3.7.1"}, 3: {"window scale", "RFC 7323 §2"},
	4: {"SACK permitted", "RFC 2018 §2"}, 5: {"SACK", "RFC 2018 §3"}, 8: {"timestamps", "RFC 7323 §3"},
	19: {"MD5 signature", "RFC 2385"}, 28: {"user timeout", "RFC 5482 §3"}, 29: {"authentication", "RFC 5925 §2.2"},
	30: {"multipath TCP", "RFC 8684 §3"}, 34: {"fast open cookie", "RFC 7413 §4.1"},
}

func (d *decoder) tcpOption(end int) {
	if d.at >= len(d.b) {
		d.take(1)
		return
	}
	kind := d.b[d.at]
	n := 1
	if kind > 1 {
		if d.at+1 >= len(d.b) {
			d.take(2)
			return
		}
		if n = int(d.b[d.at+1]); n < 2 || n > end-d.at {
			d.bytes(end-d.at, "RFC 9293 §3.1", func([]byte) string {
				return fmt.Sprintf("option %d with a length of %d, which it cannot have: the rest is not read", kind, n)
			})
			return
		}
	}
	o, known := tcpOptions[kind]
	if !known {
		o.name, o.section = fmt.Sprintf("number %d, unknown: ignored", kind), "RFC 9293 §3.1"
	}
	d.bytes(n, o.section, func(p []byte) string { return "option: " + o.name + tcpOptionValue(kind, p) })
}

// tcpOptionValue words what an option says; nothing if it has not its proper length.
func tcpOptionValue(kind byte, p []byte) string {
	u32 := func(i int) uint32 { return uint32(be16(p[i:]))<<16 | uint32(be16(p[i+2:])) }
	switch {
	case kind == 2 && len(p) == 4:
		return fmt.Sprintf(" %d", be16(p[2:]))
	case kind == 3 && len(p) == 3:
		return fmt.Sprintf(" %d: windows count in units of %d", p[2], 1<<min(p[2], 14))
	case kind == 8 && len(p) == 10:
		return fmt.Sprintf(": value %d, echo %d", u32(2), u32(6))
	case kind == 5 && len(p) >= 10 && len(p)%8 == 2:
		s := ":"
		for i := 2; i < len(p); i += 8 {
			s += fmt.Sprintf(" %d–%d", u32(i), u32(i+4))
		}
		return s
	case kind == 28 && len(p) == 4:
		unit := "s"
		if p[2]&0x80 != 0 {
			unit = "min"
		}
		return fmt.Sprintf(" %d %s", be16(p[2:])&0x7fff, unit)
	}
	return ""
}

func (d *decoder) udp(b []byte) {
	d.layer("UDP")
	d.number(2, "RFC 768", "source port %d")
	d.number(2, "RFC 768", "destination port %d")
	d.number(2, "RFC 768", "length %d")
	d.bytes(2, "RFC 768", func(p []byte) string {
		if be16(p) == 0 {
			return "no checksum"
		}
		return d.checked("checksum", d.sum(b, 17))
	})
	if len(b) > 8 {
		d.payload(b[8:])
	}
}

var icmpTypes = map[[2]uint64]string{
	{1, 0}: "echo reply", {1, 3}: "destination unreachable", {1, 4}: "source quench", {1, 5}: "redirect", {1, 8}: "echo request",
	{1, 11}: "time exceeded", {1, 12}: "parameter problem", {1, 13}: "timestamp", {1, 14}: "timestamp reply",
	{58, 1}: "destination unreachable", {58, 2}: "packet too big", {58, 3}: "time exceeded", {58, 4}: "parameter problem",
	{58, 128}: "echo request", {58, 129}: "echo reply", {58, 133}: "router solicitation", {58, 134}: "router advertisement",
	{58, 135}: "neighbor solicitation", {58, 136}: "neighbor advertisement", {58, 143}: "multicast listener report",
}

func (d *decoder) icmp(b []byte, proto uint64) {
	section, sum := "RFC 792", ippkt.Fold(ippkt.Sum(b, 0))
	d.layer("ICMP")
	if proto == 58 {
		d.layers[len(d.layers)-1].Name = "ICMPv6"
		section, sum = "RFC 4443 §2.1", d.sum(b, 58)
	}
	var kind uint64
	d.bytes(1, section, func(p []byte) string {
		kind = uint64(p[0])
		return fmt.Sprintf("type %d: %s", kind, orUnknown(icmpTypes[[2]uint64{proto, kind}]))
	})
	d.number(1, section, "code %d")
	d.bytes(2, section, func([]byte) string { return d.checked("checksum", sum) })
	d.bytes(4, section, func(p []byte) string {
		switch {
		case proto == 1 && kind == 3:
			return fmt.Sprintf("MTU of the next hop %d, with code 4 (RFC 1191 §4)", be16(p[2:]))
		case proto == 58 && kind == 2:
			return fmt.Sprintf("MTU %d", uint32(be16(p))<<16|uint32(be16(p[2:])))
		case proto == 1 && kind%8 == 0, proto == 58 && kind>>1 == 64:
			return fmt.Sprintf("identifier %d, sequence number %d", be16(p), be16(p[2:]))
		}
		return "rest of the header"
	})
	if len(b) > 8 {
		d.payload(b[8:])
	}
}
