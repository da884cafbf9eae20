// Package link is where packets enter and leave: the Queue that a device, a
// memory pair or a decorator offers. It needs the standard library only; the
// Linux devices live in link/tun.
package link

// MaxPacket is the largest IP packet a frame can hold, IPv6 header included.
const MaxPacket = 65535 + 40

// Offload says what the sender left for the device to do with a packet, or, on
// a read, what the kernel left undone (virtio_net_hdr, spec §16). The zero value
// is a finished packet of wire size with its own checksum.
type Offload struct {
	// NeedsCsum: the transport checksum field holds only the folded pseudo-header
	// sum; CsumStart and CsumOffset say where to finish it.
	NeedsCsum bool
	// DataValid (reads only): the checksum has been verified already.
	DataValid  bool
	GSO        GSO
	HdrLen     uint16 // IP and transport header, octets
	GSOSize    uint16 // payload octets of each segment; 0 with GSONone
	CsumStart  uint16 // from the start of the packet
	CsumOffset uint16 // from CsumStart
}

// GSO is the kind of super-packet. The values are virtio's.
type GSO uint8

const (
	GSONone  GSO = 0
	GSOTCPv4 GSO = 1
	GSOTCPv6 GSO = 4
	GSOUDP   GSO = 5
)

// Frame is one packet read from a Queue. The reader owns Buf and gives it to
// each Read; Packet aliases it and is true until the next Read.
type Frame struct {
	Offload
	Packet []byte
	Buf    []byte // at least MaxPacket+64 octets
}

// NewFrame returns a Frame with a buffer of the right size.
func NewFrame() *Frame { return &Frame{Buf: make([]byte, MaxPacket+64)} }

// Queue is one packet queue of a device. One goroutine reads; any number may
// Write and Wake at the same time.
type Queue interface {
	// Read takes one packet into f if one is ready, else it returns false. It never blocks.
	// net.ErrClosed after Close; any other error is the device's end.
	Read(f *Frame) (bool, error)
	// Wait blocks until a packet may be ready, Wake was called or the queue is closed
	// (then net.ErrClosed). Spinning, where it pays, happens in here.
	Wait() error
	// Wake ends a Wait in progress or, if there is none, the next one.
	Wake()
	// Write sends one packet: hdr (IP and transport headers) followed by payload. It never
	// blocks; an error is a counted loss, never a reason to retry. Nothing is kept of the
	// slices after it returns.
	Write(o Offload, hdr []byte, payload [4][]byte) error
	// Close ends the queue and wakes its reader.
	Close() error
}

// Link is a network interface: its queues and what they can carry.
type Link interface {
	// Queues returns the queues, at least one, the same ones at every call.
	Queues() []Queue
	// MTU is the largest IP packet to send, in octets.
	MTU() int
	// GSO reports whether super-segments and unfinished checksums may be written now. It may
	// change while the link is in use (a capture started) and is cheap to ask.
	GSO() bool
	// Stats returns the counters of the link.
	Stats() Stats
	// Close closes every queue and removes what the link had made.
	Close() error
}

// Stats are the counters of a link since it was opened.
type Stats struct {
	RxPackets, RxBytes uint64 // read by us
	TxPackets, TxBytes uint64 // written by us
	WriteErrors        uint64 // writes the device refused: lost packets
	// QueueDrops are packets lost on their way to us because the queue was full: for a TUN
	// the kernel's tx_dropped.
	QueueDrops uint64
}
