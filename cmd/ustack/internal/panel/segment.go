package panel

import (
	"strconv"
	"strings"

	"ustack/stack/trace"
	"ustack/tcpseg"
)

// flagNames are the flags by the names of RFC 9293, in the order that people say them in.
var flagNames = []struct {
	bit  tcpseg.Flags
	name string
}{{tcpseg.SYN, "SYN"}, {tcpseg.FIN, "FIN"}, {tcpseg.RST, "RST"}, {tcpseg.PSH, "PSH"}, {tcpseg.ACK, "ACK"}, {tcpseg.URG, "URG"}}

// segmentText names the flags of e's segment and what it carries: "PSH ACK, 1448 octets".
func segmentText(e *trace.Event) string {
	var names []string
	for _, f := range flagNames {
		if e.Segment.Flags.Has(f.bit) {
			names = append(names, f.name)
		}
	}
	text := strings.Join(names, " ")
	if e.Payload > 0 {
		text += ", " + strconv.Itoa(e.Payload) + " octets"
	}
	return text
}
