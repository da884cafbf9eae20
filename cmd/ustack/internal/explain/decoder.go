package explain

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// decoder reads a packet from front to back. When it meets the end too soon it says so and reads no more.
type decoder struct {
	b      []byte
	at     int
	layers []Layer
	ended  bool
	cut    bool // there was more of the packet

	src, dst netip.Addr // for checksums that cover them
}

func (d *decoder) layer(name string) { d.layers = append(d.layers, Layer{Name: name}) }

// take reads n octets; nil if there are not so many, of which it then tells.
func (d *decoder) take(n int) []byte {
	if d.ended {
		return nil
	}
	if len(d.b)-d.at < n {
		d.note(d.b[d.at:], "", "the packet ends here: %d octets are missing", n-(len(d.b)-d.at))
		d.ended = true
		return nil
	}
	p := d.b[d.at : d.at+n]
	d.at += n
	return p
}

// note tells what p says, which is what was read last.
func (d *decoder) note(p []byte, section, format string, args ...any) {
	offset := d.at
	if !d.ended && len(p) > 0 {
		offset = cap(d.b) - cap(p)
	}
	l := &d.layers[len(d.layers)-1]
	l.Fields = append(l.Fields, Field{offset, p, fmt.Sprintf(format, args...), section})
}

// number reads a number of n octets and tells of it: format gets the number.
func (d *decoder) number(n int, section, format string) uint64 {
	p := d.take(n)
	if p == nil {
		return 0
	}
	var v uint64
	for _, c := range p {
		v = v<<8 | uint64(c)
	}
	d.note(p, section, format, v)
	return v
}

// bytes reads n octets and lets tell describe them.
func (d *decoder) bytes(n int, section string, tell func(p []byte) string) {
	if p := d.take(n); p != nil {
		d.note(p, section, "%s", tell(p))
	}
}

func (d *decoder) address(n int, section, what string) netip.Addr {
	p := d.take(n)
	a, ok := netip.AddrFromSlice(p)
	if ok {
		d.note(p, section, "%s %v", what, a)
	}
	return a
}

// payload tells of what no header describes.
func (d *decoder) payload(b []byte) {
	if d.ended || len(b) == 0 {
		return
	}
	d.layer("Data")
	text := fmt.Sprintf("%d octets", len(b))
	if line := firstLine(b); line != "" {
		text += ": " + line
	}
	d.note(b, "", "%s", text)
	d.at += len(b)
}

// firstLine returns the first line of text, if it is one that can be shown.
func firstLine(b []byte) string {
	for i, c := range b {
		switch {
		case c == '\r' || c == '\n' || i == 50:
			return fmt.Sprintf("%q", b[:i])
		case c < ' ' || c > '~':
			return ""
		}
	}
	return fmt.Sprintf("%q", b)
}

// bits returns the names of the bits that are set, the highest first.
func bits(v uint64, names ...string) string {
	var s string
	for i, name := range names {
		if v>>(len(names)-1-i)&1 != 0 {
			s += " " + name
		}
	}
	if s == "" {
		return " none"
	}
	return s
}

func be16(p []byte) uint16 { return binary.BigEndian.Uint16(p) }
