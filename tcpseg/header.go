package tcpseg

// Flags are the control bits of a TCP header (RFC 9293 §3.1).
type Flags uint8

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has reports whether every bit of f is set.
func (f Flags) Has(bits Flags) bool { return f&bits == bits }

// MinHeaderLen and MaxHeaderLen bound a TCP header, in octets.
const (
	MinHeaderLen = 20
	MaxHeaderLen = 60
	// ChecksumOffset is where the checksum stands in a header.
	ChecksumOffset = 16
)

// Header is a TCP header without its checksum, which belongs to whoever knows
// the pseudo-header.
type Header struct {
	SrcPort, DstPort uint16
	Seq, Ack         Seq
	Flags            Flags
	Window           uint16 // as on the wire, unscaled
	Urgent           uint16
	Options          Options
}

// Segment is one TCP segment, or a super-segment that the device has yet to cut.
type Segment struct {
	Header
	Payload []byte // aliases the parsed buffer
	GSOSize int    // payload octets of each real segment in a super-segment; 0: one plain segment
	ECN     uint8  // the two ECN bits of the IP header (RFC 3168)
}

// Len returns SEG.LEN: the octets of sequence space the segment takes, SYN and
// FIN counting one each (RFC 9293 §3.3.1).
func (s *Segment) Len() int {
	n := len(s.Payload)
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// Parse reads a TCP segment. It is total: any bytes give a segment or an error,
// without panic and without allocation. Malformed options never fail the
// segment: parsing of options stops there (MUST-7). The checksum is not looked at.
func Parse(b []byte) (Segment, error) { panic("to be written") }

// Len returns the length of the encoded header in octets, options and padding included.
func (h *Header) Len() int { panic("to be written") }

// AppendTo appends the encoded header, its checksum field zero, and returns the
// extended buffer. Parse(AppendTo(h)) gives h back.
func (h *Header) AppendTo(b []byte) []byte { panic("to be written") }
