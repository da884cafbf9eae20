package control

import (
	"ustack/stack"
	"ustack/stack/tcb"
)

// Account is what a connection has done since it began, and how long it has waited for what: what a Conn has
// of a tcb.Account, under its names.
type Account struct {
	HandshakeRTT int64 `json:"handshake_rtt_us,omitempty"` // 0: it showed none
	PathMTU      int   `json:"path_mtu"`

	BytesAcked            uint64 `json:"bytes_acked"`
	BytesRetransmitted    uint64 `json:"bytes_retransmitted"`
	RetransmittedInFlight int    `json:"retransmitted_in_flight"` // octets
	DataSegsOut           uint32 `json:"data_segs_out"`           // with text; a super-segment is one
	DataSegsIn            uint32 `json:"data_segs_in"`
	SynTimeouts           int    `json:"syn_timeouts,omitempty"`
	Backoff               int    `json:"backoff,omitempty"` // time-outs since the last round-trip time
	Undone                uint64 `json:"undone"`            // recoveries that were for nothing
	DSACKs                uint64 `json:"dsacks"`
	Reorderings           uint64 `json:"reorderings"`
	SegsOutOfOrder        uint64 `json:"segs_out_of_order"`
	CongestionEchoes      uint64 `json:"congestion_echoes"`

	// Since the events, in µs; below 0: there was none.
	SinceDataSent     int64 `json:"since_data_sent_us"`
	SinceDataReceived int64 `json:"since_data_received_us"`
	SinceReceived     int64 `json:"since_received_us"`

	DeliveryRate int `json:"delivery_rate"`         // octets a second
	PacingRate   int `json:"pacing_rate,omitempty"` // 0: not paced

	Busy              int64 `json:"busy_us"`
	Recovering        int64 `json:"recovering_us"`
	CwndLimited       int64 `json:"cwnd_limited_us"`
	PeerWindowLimited int64 `json:"peer_window_limited_us"`
	SendBufferLimited int64 `json:"send_buffer_limited_us"`
	NagleLimited      int64 `json:"nagle_limited_us"`
	PacingLimited     int64 `json:"pacing_limited_us"`

	AdvertisedMSS   int   `json:"advertised_mss"`
	ReceivedMSS     int   `json:"received_mss"`
	DelayedACK      int64 `json:"delayed_ack_us"` // below 0: an ACK is never delayed
	ReceiveRTT      int64 `json:"receive_rtt_us,omitempty"`
	ReceiveSpace    int   `json:"receive_space"`
	WindowProbes    int   `json:"window_probes,omitempty"`
	KeepAliveProbes int   `json:"keep_alive_probes,omitempty"`
	FastOpen        bool  `json:"fast_open"`
}

// accountOf puts an account in the words of the protocol.
func accountOf(i *stack.Info) Account {
	return Account{
		HandshakeRTT: micros(i.HandshakeRTT), PathMTU: i.PathMTU,
		BytesAcked: i.BytesAcked, BytesRetransmitted: i.BytesRetransmitted,
		RetransmittedInFlight: i.RetransmittedInFlight, DataSegsOut: i.DataSegsOut, DataSegsIn: i.DataSegsIn, SynTimeouts: i.SynTimeouts, Backoff: i.Backoff,
		Undone: i.Undone, DSACKs: i.DSACKs, Reorderings: i.Reorderings, SegsOutOfOrder: i.OutOfOrder, CongestionEchoes: i.CongestionEchoes,
		SinceDataSent: sinceMicros(i.SinceDataSent), SinceDataReceived: sinceMicros(i.SinceDataReceived), SinceReceived: sinceMicros(i.SinceReceived),
		DeliveryRate: i.DeliveryRate, PacingRate: i.PacingRate,
		Busy: micros(i.Busy), Recovering: micros(i.Recovering), CwndLimited: micros(i.CwndLimited), PeerWindowLimited: micros(i.PeerWindowLimited),
		SendBufferLimited: micros(i.SendBufferLimited), NagleLimited: micros(i.NagleLimited), PacingLimited: micros(i.PacingLimited),
		AdvertisedMSS: i.AdvertisedMSS, ReceivedMSS: i.ReceivedMSS, DelayedACK: sinceMicros(i.DelayedACK), ReceiveRTT: micros(i.ReceiveRTT),
		ReceiveSpace: i.ReceiveSpace, WindowProbes: i.WindowProbes, KeepAliveProbes: i.KeepAliveProbes, FastOpen: i.FastOpen,
	}
}

// sinceMicros is micros of a time that may be below 0: -1 then, which rounding would lose.
func sinceMicros(t tcb.Time) int64 {
	if t < 0 {
		return -1
	}
	return micros(t)
}
