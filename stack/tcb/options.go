package tcb

import (
	"time"

	"ustack/stack/cc"
)

// Nagle is the rule for holding back segments smaller than the MSS while data is in flight.
type Nagle uint8

const (
	NagleOff      Nagle = iota // small segments go at once (TCP_NODELAY)
	NagleMinshall              // hold only while a small segment is unacknowledged
	NagleClassic               // hold while anything is unacknowledged (RFC 896)
)

// Options are the switches of a connection. The zero value is the house's defaults.
type Options struct {
	Nagle Nagle
	// DelayedACK is how long an ACK may wait for data to ride on [40 ms]; at most 500 ms
	// (RFC 9293 §3.8.6.3). Negative: every segment is acknowledged at once.
	DelayedACK time.Duration
	// ACKEvery is after how many full-sized segments an ACK is due at the latest [2].
	ACKEvery int
	// NoQuickACK delays ACKs from the first segment on, and after losses; else the first 16 full-sized segments are
	// acknowledged one by one, so that the peer's window opens sooner.
	NoQuickACK bool
	// Pacing spreads what cwnd lets out over the round trip, instead of sending it as fast as the link takes it.
	Pacing bool
	// InitialWindow in segments [10] (RFC 6928).
	InitialWindow int
	// NoIdleRestart keeps cwnd after a silence longer than one RTO (RFC 5681 §4.1).
	NoIdleRestart bool
	// CC makes the congestion controller [CUBIC].
	CC cc.New
	// NoSACK, NoTimestamps and NoWindowScale leave an option out of the handshake.
	NoSACK, NoTimestamps, NoWindowScale bool
	// NoRACK finds losses by the number of SACKed octets beyond them (RFC 6675) instead of by time, and leaves lost
	// tails to the retransmission time-out (RFC 8985); NoTLP does only the latter. NoPRR halts sending in fast recovery
	// until enough has left the network, instead of spreading the reduction over a round trip (RFC 9937).
	NoRACK, NoTLP, NoPRR bool
	// NoHyStart has slow start end by a loss only (RFC 9406).
	NoHyStart bool
	// DSCP is the differentiated services field of every packet, 0 to 63 [0]; TTL is its time to live, or hop limit
	// [64]. The TCB leaves them to whoever sends its segments.
	DSCP, TTL uint8
	// ECN asks for explicit congestion notification, and agrees to it (RFC 3168).
	ECN bool
	// NoMTUProbe never tries larger segments of data on a path that has turned out to be narrow (RFC 4821).
	NoMTUProbe bool
	// MSS caps the segment size in octets of payload, both ways [what the link takes].
	MSS int
	// RcvBuf and SndBuf fix the buffers in octets [0: sized automatically].
	RcvBuf, SndBuf int
	// MinRTO is how far the retransmission time-out lies above the smoothed round-trip time at least
	// [200 ms]. RFC 6298 §2.4 asks for a time-out of 1 s; that costs most when little is lost.
	MinRTO time.Duration
	// MSL is the maximum segment lifetime [30 s]; TIME-WAIT lasts two.
	MSL time.Duration
	// NoTimeWaitReuse refuses a new incarnation while TIME-WAIT lasts (RFC 6191).
	NoTimeWaitReuse bool
	// KeepAlive turns probing of a silent peer on, off by default (RFC 9293 §3.8.4).
	KeepAlive bool
	// KeepAliveIdle [2 h], KeepAliveInterval [75 s] and KeepAliveCount [9] say when to probe,
	// how often, and how many unanswered probes end the connection.
	KeepAliveIdle, KeepAliveInterval time.Duration
	KeepAliveCount                   int
	// UserTimeout is how long sent data may stay unacknowledged before the connection is given
	// up (R2) [5 min]; negative: for ever.
	UserTimeout time.Duration
	// UserTimeoutOption tells the peer our UserTimeout, and lets the peer's raise it where it is 0: up to an hour
	// (RFC 5482).
	UserTimeoutOption bool
	// ResetInputDiscard flushes unread input when a RST arrives, as RFC 9293 §3.10.7.4 has it;
	// by default the reader gets it first, as on Linux.
	ResetInputDiscard bool
}
