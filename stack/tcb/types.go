package tcb

import (
	"errors"

	"ustack/stack/cc"
	"ustack/tcpseg"
)

// Time is a moment in nanoseconds since the owner's epoch; 0 means never.
type Time = cc.Time

// State is a connection state of RFC 9293 §3.3.2. LISTEN belongs to the host.
type State uint8

const (
	Closed State = iota
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWaiting
)

// Events tell the shell what a call changed.
type Events uint16

const (
	EventConnected Events = 1 << iota // ESTABLISHED reached
	EventReadable                     // Read would not block: data, FIN or error
	EventWritable                     // a Write that came up short may go on
	EventAcked                        // everything written so far, FIN included, is acknowledged
	EventTimeWait                     // TIME-WAIT entered: TimeWait has the record
	EventStalled                      // R1: sent three times in vain, and trying on (RFC 9293 §3.8.3)
	EventUrgent                       // the peer declared more data urgent: see Urgent
	EventClosed                       // CLOSED: Err says why (nil: an orderly end); Output may still have a RST to send
)

// Result is what Input did with a segment.
type Result struct {
	Events
	Drop Drop
}

// Drop is the reason a segment, or part of it, was refused. DropNone: it was used.
type Drop uint8

// Cause is why a segment is sent.
type Cause uint8

// Held is why Output has nothing to send now.
type Held uint8

// Errors of a connection. The shell gives them their errno.
var (
	ErrReset       = errors.New("connection reset by peer")
	ErrRefused     = errors.New("connection refused")
	ErrTimeout     = errors.New("connection timed out")
	ErrAborted     = errors.New("connection aborted")
	ErrClosed      = errors.New("connection closed")
	ErrWriteClosed = errors.New("write after close")
)

// Blocks lends the memory of the send and receive queues. One connection calls it from under
// its owner's lock; implementations shared by connections must be safe for concurrent use.
type Blocks interface {
	// Get returns a block of exactly n octets, SmallBlock or LargeBlock, or nil when the budget is
	// spent: then a Write comes up short, and received data is dropped to come again. Whoever
	// refuses a SmallBlock to Write must call Write again by itself.
	Get(n int) []byte
	// Put takes a block back.
	Put([]byte)
}

// Sizes of the blocks of a queue: the first is small, so that short connections stay cheap.
const (
	SmallBlock = 4 << 10
	LargeBlock = 64 << 10
)

// Config is what connections are made with. It is shared, not copied: it must not change while one of them lives.
type Config struct {
	Options
	// LinkMSS is the largest payload the interface carries in one segment: MTU − 40 for IPv4,
	// MTU − 60 for IPv6. It is advertised (MUST-67); TCP options are taken off when sending.
	LinkMSS int
	// DefaultMSS is assumed when the peer sends no MSS option: 536 (IPv4) or 1220 (IPv6).
	DefaultMSS int
}

// DialInfo is what an active open brings.
type DialInfo struct {
	ISS      tcpseg.Seq
	TSOffset uint32 // added to the timestamp clock (RFC 7323 §5.4)
	// FastOpen goes with the SYN (RFC 7413). If it holds a cookie, so does what is written before the first Output, as
	// far as a segment holds it that carries PeerMSS octets [Config.DefaultMSS].
	FastOpen tcpseg.FastOpen
	PeerMSS  int
}

// Handshake is all that a SYN and its answer settled: Accept makes a connection of it.
type Handshake struct {
	ISS, IRS   tcpseg.Seq
	Peer       tcpseg.Options // of the peer's SYN
	PeerWindow uint16         // of the peer's SYN, unscaled
	TSOffset   uint32
	TSRecent   uint32
	RTT        Time            // SYN,ACK to its ACK; 0: not known (retransmitted, or a cookie)
	Resent     int             // how often the SYN,ACK was retransmitted
	ECN        bool            // both ends agreed on ECN (RFC 3168)
	FastOpen   tcpseg.FastOpen // of the SYN,ACK that AcceptFast sends: a new cookie
}

// Out is one segment to send. The caller sets Limit and owns it; a call of Output fills in the rest.
// Payload is true until the next call on the TCB.
type Out struct {
	// Limit is the largest payload of one Out in octets, for a device that cuts super-segments;
	// 0: never more than one MSS.
	Limit int

	tcpseg.Header
	Payload [4][]byte
	GSOSize int   // payload of each real segment when the device must cut; 0: one plain segment
	ECN     uint8 // the two ECN bits for the IP header (RFC 3168)
	Cause   Cause
	Acks    int  // octets, and the FIN, that it is the first to acknowledge
	Held    Held // set when Output returns false
}

// clear takes out what only segments with text have.
func (o *Out) clear() { o.Payload, o.GSOSize, o.ECN, o.Acks = [4][]byte{}, 0, 0, 0 }

// PayloadLen returns the octets of payload.
func (o *Out) PayloadLen() int {
	return len(o.Payload[0]) + len(o.Payload[1]) + len(o.Payload[2]) + len(o.Payload[3])
}
