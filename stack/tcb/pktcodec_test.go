package tcb

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ustack/tcpseg"
)

// pktFlags are tcpdump's letters, as tcpseg writes them.
var pktFlags = []struct {
	bit  tcpseg.Flags
	name byte
}{{tcpseg.SYN, 'S'}, {tcpseg.FIN, 'F'}, {tcpseg.RST, 'R'}, {tcpseg.PSH, 'P'}, {tcpseg.URG, 'U'}, {tcpseg.ECE, 'E'}, {tcpseg.CWR, 'W'}, {tcpseg.ACK, '.'}}

// format writes a sent segment down, with its window and options only where the words of a line have them.
func (v pktVariant) format(o *Out, line []string) string {
	var b strings.Builder
	if o.Flags != 0 {
		b.WriteString(o.Flags.String())
	}
	n, from := o.PayloadLen(), o.Seq.Sub(v.iss)
	fmt.Fprintf(&b, " %d:%d(%d)", from, from+n, n)
	if o.Flags.Has(tcpseg.ACK) {
		fmt.Fprintf(&b, " ack %d", o.Ack.Sub(v.irs))
	}
	if slices.Contains(line, "win") {
		fmt.Fprintf(&b, " win %d", o.Window)
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"urg", int(o.Urgent)}, {"gso", o.GSOSize}, {"ecn", int(o.ECN)}} {
		if f.n != 0 {
			fmt.Fprintf(&b, " %s %d", f.name, f.n)
		}
	}
	for i, block := range o.Options.Blocks() {
		if i == 0 {
			b.WriteString(" sack")
		}
		fmt.Fprintf(&b, " %d:%d", block.Left.Sub(v.irs), block.Right.Sub(v.irs))
	}
	if n := len(line); n > 0 && strings.HasPrefix(line[n-1], "<") {
		b.WriteString(" " + formatOptions(&o.Options, strings.Contains(line[n-1], "val *")))
	}
	return b.String()
}

func formatOptions(o *tcpseg.Options, anyVal bool) string {
	var words []string
	if o.MSS != 0 {
		words = append(words, fmt.Sprintf("mss %d", o.MSS))
	}
	if o.SACKPermitted {
		words = append(words, "sackOK")
	}
	if o.HasTimestamps {
		val := "*"
		if !anyVal {
			val = strconv.Itoa(int(o.TSVal))
		}
		words = append(words, fmt.Sprintf("TS val %s ecr %d", val, o.TSEcr))
	}
	if o.HasScale {
		words = append(words, fmt.Sprintf("wscale %d", o.Scale))
	}
	if o.UserTimeout != 0 {
		words = append(words, fmt.Sprintf("uto %d", o.UserTimeout))
	}
	if o.FastOpen.Present {
		words = append(words, strings.TrimSpace(fmt.Sprintf("fastopen %x", o.FastOpen.Cookie())))
	}
	return "<" + strings.Join(words, ",") + ">"
}

// parseWords reads what follows the flags and the range of a segment.
func (v pktVariant) parseWords(words []string) (seg tcpseg.Segment, err error) {
	if n := len(words); n > 0 && strings.HasPrefix(words[n-1], "<") {
		inner := strings.NewReplacer("<", "", ">", "", ",", " ").Replace(words[n-1])
		words = append(append([]string(nil), words[:n-1]...), strings.Fields(inner)...)
	}
	seg.Window = 65535
	for i := 0; i < len(words); i++ {
		num := func() int {
			if i++; i >= len(words) {
				err = fmt.Errorf("%q lacks its number", words[i-1])
				return 0
			}
			n, e := strconv.Atoi(words[i])
			if e != nil && err == nil {
				err = fmt.Errorf("%q is no number", words[i])
			}
			return n
		}
		o := &seg.Options
		switch words[i] {
		case "ack":
			seg.Ack = v.iss.Add(num())
		case "win":
			seg.Window = uint16(num())
		case "urg":
			seg.Urgent = uint16(num())
		case "gso":
			seg.GSOSize = num()
		case "ecn":
			seg.ECN = uint8(num())
		case "mss":
			o.MSS = uint16(num())
		case "wscale":
			o.HasScale, o.Scale = true, uint8(num())
		case "uto":
			o.UserTimeout = tcpseg.UserTimeout(num())
		case "fastopen":
			var cookie []byte
			if i+1 < len(words) {
				if b, e := hex.DecodeString(words[i+1]); e == nil {
					i, cookie = i+1, b
				}
			}
			o.FastOpen = tcpseg.NewFastOpen(cookie)
		case "sackOK":
			o.SACKPermitted = true
		case "TS":
			o.HasTimestamps = true
		case "val":
			o.TSVal = uint32(num())
		case "ecr":
			o.TSEcr = uint32(num())
		case "sack":
			for ; i+1 < len(words) && strings.Contains(words[i+1], ":"); i++ {
				var left, right int
				fmt.Sscanf(words[i+1], "%d:%d", &left, &right)
				o.SACK[o.SACKCount] = tcpseg.SACKBlock{Left: v.iss.Add(left), Right: v.iss.Add(right)}
				o.SACKCount++
			}
		default:
			return seg, fmt.Errorf("%q is no word of a segment", words[i])
		}
	}
	return seg, err
}

// parseSegment reads "FLAGS FROM:TO(LEN) words".
func (v pktVariant) parseSegment(args []string) (tcpseg.Segment, error) {
	if len(args) < 2 {
		return tcpseg.Segment{}, errors.New("want flags and from:to(length)")
	}
	seg, err := v.parseWords(args[2:])
	if err != nil {
		return seg, err
	}
	for _, c := range []byte(args[0]) {
		known := c == '-'
		for _, f := range pktFlags {
			if f.name == c {
				seg.Flags |= f.bit
				known = true
			}
		}
		if !known {
			return seg, fmt.Errorf("%q is no flag", c)
		}
	}
	var from, to, n int
	if _, err := fmt.Sscanf(args[1], "%d:%d(%d)", &from, &to, &n); err != nil || to-from != n {
		return seg, fmt.Errorf("%q: want from:to(length)", args[1])
	}
	seg.Seq = v.irs.Add(from)
	if seg.Flags.Has(tcpseg.SYN) {
		from++ // it takes a number before the text
	}
	seg.Payload = pattern(from, n)
	return seg, nil
}
