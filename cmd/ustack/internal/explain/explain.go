// Package explain takes a packet apart, field by field, with the section of the standard that defines each.
package explain

import (
	"fmt"
	"io"

	"ustack/ippkt"
	"ustack/stack/trace"
	"ustack/tcpseg"
)

// Field is a run of octets and what it says.
type Field struct {
	Offset  int // in the packet
	Octets  []byte
	Text    string
	Section string // where that is defined; "" for what no standard says
}

// Layer is a header, or what lies behind the last.
type Layer struct {
	Name   string
	Fields []Field
}

// Packet takes an IP packet apart, as far as it can be read. Length is how many octets it had where not all were captured.
// The verdict is what the stack makes of it.
func Packet(b []byte, length int) (layers []Layer, verdict string) {
	d := &decoder{b: b, cut: length > len(b)}
	d.ip()
	if d.cut {
		return d.layers, "not all of it was captured: checksums and lengths cannot be judged"
	}
	return d.layers, judge(b)
}

// judge asks the stack's own codecs.
func judge(b []byte) string {
	p, reason := ippkt.Parse(b)
	if reason != ippkt.ReasonNone {
		return refusal(reason.String())
	}
	switch {
	case p.IsFragment():
		return "a fragment: the stack waits for the others"
	case p.Proto != ippkt.ProtoTCP:
		return "well formed"
	}
	if _, err := tcpseg.Parse(p.Payload); err != nil {
		if err == tcpseg.ErrShort {
			return refusal("tcp-short")
		}
		return refusal("tcp-data-offset")
	}
	if !p.ChecksumOK() {
		return refusal("tcp-checksum")
	}
	return "well formed"
}

func refusal(reason string) string {
	return fmt.Sprintf("a stack refuses this packet: %s (%s)", reason, trace.Section(reason))
}

// Write prints what Packet returns, for people.
func Write(w io.Writer, layers []Layer, verdict string) error {
	for _, l := range layers {
		if _, err := fmt.Fprintln(w, l.Name); err != nil {
			return err
		}
		for _, f := range l.Fields {
			if err := f.write(w); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintln(w, "\n"+verdict)
	return err
}

// shown is how many octets of a field are printed.
const shown = 8

func (f *Field) write(w io.Writer) error {
	octets := fmt.Sprintf("% x", f.Octets[:min(len(f.Octets), shown)])
	if len(f.Octets) > shown {
		octets += " …"
	}
	line := fmt.Sprintf("  %04x  %-26s%-60s%s", f.Offset, octets, f.Text, f.Section)
	for line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
