package tcpseg

import (
	"encoding/hex"
	"strconv"
)

// flagLetters are tcpdump's, in its order.
var flagLetters = [...]struct {
	bit    Flags
	letter byte
}{{SYN, 'S'}, {FIN, 'F'}, {RST, 'R'}, {PSH, 'P'}, {URG, 'U'}, {ECE, 'E'}, {CWR, 'W'}, {ACK, '.'}}

// String returns the bits in tcpdump's letters: "S.", "F.", "P."; "none" without any.
func (f Flags) String() string { return string(f.append(nil)) }

func (f Flags) append(b []byte) []byte {
	if f == 0 {
		return append(b, "none"...)
	}
	for _, l := range flagLetters {
		if f&l.bit != 0 {
			b = append(b, l.letter)
		}
	}
	return b
}

// String describes the header as tcpdump would, without payload:
// "S 100:100(0) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,wscale 7>".
func (h Header) String() string { return h.format(0) }

// String describes the segment as tcpdump would: "P. 100:105(5) ack 7 win 512".
func (s Segment) String() string { return s.format(len(s.Payload)) }

func (h *Header) format(payload int) string {
	b := append(h.Flags.append(nil), ' ')
	b = strconv.AppendUint(b, uint64(h.Seq), 10)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(h.Seq.Add(payload)), 10)
	b = append(b, '(')
	b = strconv.AppendInt(b, int64(payload), 10)
	b = append(b, ')')
	if h.Flags.Has(ACK) {
		b = appendUint(b, " ack ", uint64(h.Ack))
	}
	b = appendUint(b, " win ", uint64(h.Window))
	if h.Flags.Has(URG) {
		b = appendUint(b, " urg ", uint64(h.Urgent))
	}
	return string(h.Options.format(b))
}

// format appends " <...>", or nothing when there is no option.
func (o *Options) format(b []byte) []byte {
	start := len(b)
	if o.MSS != 0 {
		b = appendUint(b, ",mss ", uint64(o.MSS))
	}
	if o.SACKPermitted {
		b = append(b, ",sackOK"...)
	}
	if o.HasTimestamps {
		b = appendUint(b, ",TS val ", uint64(o.TSVal))
		b = appendUint(b, " ecr ", uint64(o.TSEcr))
	}
	if o.HasScale {
		b = appendUint(b, ",wscale ", uint64(o.Scale))
	}
	if o.UserTimeout != 0 {
		b = append(append(b, ",uto "...), o.UserTimeout.Duration().String()...)
	}
	if f := &o.FastOpen; f.Present {
		b = hex.AppendEncode(append(b, ",fastopen "...), f.Cookie())
	}
	for i, s := range o.SACK[:min(o.SACKCount, MaxSACKBlocks)] {
		if i == 0 {
			b = append(b, ",sack"...)
		}
		b = appendUint(b, " ", uint64(s.Left))
		b = appendUint(b, ":", uint64(s.Right))
	}
	if len(b) == start {
		return b
	}
	text := string(b[start+1:])
	return append(append(append(b[:start], " <"...), text...), '>')
}

func appendUint(b []byte, label string, v uint64) []byte {
	return strconv.AppendUint(append(b, label...), v, 10)
}
