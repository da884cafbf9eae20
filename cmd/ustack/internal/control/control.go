// Package control lets other processes look into a running `ustack serve`: HTTP over a unix socket, described in
// docs/control.md. Only the user who started the server, and root, may connect. Nothing can be changed through it.
package control

import (
	"iter"
	"net/netip"
	"time"

	"ustack/stack"
)

// Version is the version of the protocol. It changes when a client of the old one would misunderstand the new one; new
// fields and new paths do not change it.
const Version = "1"

// versionHeader carries Version in every answer.
const versionHeader = "Ustack-Control"

// Source is a stack that can be asked. *stack.Stack is one.
type Source interface {
	Conns() []*stack.Conn
	Listeners() []stack.ListenerInfo
	HalfOpens() iter.Seq[stack.HalfOpenInfo]
	TimeWaits() iter.Seq[stack.TimeWaitInfo]
	Stats() stack.Stats
}

// About says who answers.
type About struct {
	Version string `json:"version"`
	Engine  string `json:"engine"`
	Device  string `json:"device"`
	PID     int    `json:"pid"`
}

// Conns are the connections of a stack at a moment.
type Conns struct {
	Time  time.Time `json:"time"`
	Conns []Conn    `json:"conns"`
}

// Conn is a connection at a moment, in octets and microseconds. The fields that an event has as well are named as there
// (docs/trace.md).
type Conn struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	State  string         `json:"state"`
	Phase  string         `json:"phase"`
	CC     string         `json:"cc"`

	Cwnd       int  `json:"cwnd"`
	SSThresh   *int `json:"ssthresh,omitempty"` // nil: there is none yet
	MSS        int  `json:"mss"`
	InFlight   int  `json:"in_flight"`
	Sacked     int  `json:"sacked"`
	Lost       int  `json:"lost"`
	PeerWindow int  `json:"peer_window"`
	Unsent     int  `json:"unsent"`

	SendQueue  int `json:"send_queue"` // in flight and not sent yet
	RecvQueue  int `json:"recv_queue"` // in order and not read yet
	OutOfOrder int `json:"out_of_order"`
	RecvWindow int `json:"recv_window"` // what the peer may still send

	SRTT   int64 `json:"srtt_us"`
	RTTVar int64 `json:"rttvar_us"`
	MinRTT int64 `json:"min_rtt_us"`
	RTO    int64 `json:"rto_us"`

	BytesSent      uint64 `json:"bytes_sent"` // retransmissions included
	BytesReceived  uint64 `json:"bytes_received"`
	SegsOut        uint64 `json:"segs_out"` // a super-segment is one
	SegsIn         uint64 `json:"segs_in"`
	Retransmits    uint64 `json:"retransmits"`
	RTOs           uint64 `json:"rtos"`
	FastRecoveries uint64 `json:"fast_recoveries"`

	SACK        bool  `json:"sack"`
	Timestamps  bool  `json:"timestamps"`
	ECN         bool  `json:"ecn"`
	WindowScale bool  `json:"window_scale"`
	SendScale   uint8 `json:"send_scale"` // of the peer's window
	RecvScale   uint8 `json:"recv_scale"` // of ours

	Account

	Stalled   bool   `json:"stalled,omitempty"`
	SoftError string `json:"soft_error,omitempty"`
}

// Stats are the counters of a stack since it was made, and what it holds at the moment.
type Stats struct {
	Time         time.Time         `json:"time"`
	Conns        int               `json:"conns"`
	HalfOpen     int               `json:"half_open"`
	TimeWait     int               `json:"time_wait"`
	Listeners    int               `json:"listeners"`
	Waiting      int               `json:"waiting"` // connections that nobody has accepted yet
	MemoryUsed   int64             `json:"memory_used"`
	MemoryBudget int64             `json:"memory_budget"`
	Counters     map[string]uint64 `json:"counters"`
	Drops        map[string]uint64 `json:"drops"`
	Links        []Link            `json:"links"`
}

// Link are the counters of a link.
type Link struct {
	RxPackets   uint64 `json:"rx_packets"`
	RxBytes     uint64 `json:"rx_bytes"`
	TxPackets   uint64 `json:"tx_packets"`
	TxBytes     uint64 `json:"tx_bytes"`
	WriteErrors uint64 `json:"write_errors"`
	QueueDrops  uint64 `json:"queue_drops"`
}
