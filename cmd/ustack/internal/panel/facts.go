package panel

import (
	"ustack/stack"
	"ustack/stack/tcb"
)

// connFacts is the answer of /_/conn: the very connection that asked.
type connFacts struct {
	Local   string `json:"local"`
	Remote  string `json:"remote"`
	ID      uint64 `json:"connection,omitempty"` // the web server's number of it, as in /_/wire
	Request int    `json:"request,omitempty"`    // of this request on it
	State   string `json:"state"`
	Phase   string `json:"phase"`
	CC      string `json:"congestion_control"`

	Handshake handshake `json:"handshake"`
	RTT       rtt       `json:"rtt"`
	Windows   windows   `json:"windows"`
	Rates     rates     `json:"rates"`
	Waited    waited    `json:"waited"`
	Since     since     `json:"since"`
	Totals    totals    `json:"totals"`
	Recorded  *recorded `json:"recorded,omitempty"`
}

// handshake is what the SYN and its answer settled.
type handshake struct {
	MSS         int   `json:"mss"` // octets of payload that a segment carries now
	SACK        bool  `json:"sack"`
	Timestamps  bool  `json:"timestamps"`
	WindowScale bool  `json:"window_scale"`
	PeerShift   uint8 `json:"peer_shift"` // the peer's windows are scaled by it
	OwnShift    uint8 `json:"own_shift"`
	ECN         bool  `json:"ecn"`
	FastOpen    bool  `json:"fast_open"`

	RTT           float64 `json:"rtt_ms,omitempty"` // left out if it showed none
	PathMTU       int     `json:"path_mtu"`         // octets, as the three that follow
	AdvertisedMSS int     `json:"advertised_mss"`
	ReceivedMSS   int     `json:"received_mss"`
}

// rtt are round-trip times.
type rtt struct {
	Smoothed float64 `json:"srtt_ms"`
	Variance float64 `json:"rttvar_ms"`
	Least    float64 `json:"min_ms"`
	Timeout  float64 `json:"rto_ms"`
	Receiver float64 `json:"receive_ms,omitempty"` // as the receiver sees it
}

// rates are octets a second.
type rates struct {
	Delivery int `json:"delivery"`
	Pacing   int `json:"pacing,omitempty"` // left out if sending is not paced
}

// waited is the time with something in flight, that in recovery, and what sending waited for and for how long.
type waited struct {
	Busy       float64 `json:"busy_ms"`
	Recovering float64 `json:"recovering_ms"`
	Cwnd       float64 `json:"cwnd_ms"`
	PeerWindow float64 `json:"peer_window_ms"`
	SendBuffer float64 `json:"send_buffer_ms"`
	Nagle      float64 `json:"nagle_ms"`
	Pacing     float64 `json:"pacing_ms"`
}

// since is the time since data was sent and received, and since anything was received; left out: it never was.
type since struct {
	DataSent     *float64 `json:"data_sent_ms,omitempty"`
	DataReceived *float64 `json:"data_received_ms,omitempty"`
	Received     *float64 `json:"received_ms,omitempty"`
}

// windows are octets.
type windows struct {
	Cwnd     int `json:"cwnd"`
	SSThresh int `json:"ssthresh,omitempty"` // left out as long as there is none
	InFlight int `json:"in_flight"`
	Unsent   int `json:"unsent"`
	Peer     int `json:"peer_window"`
	Own      int `json:"own_window"`
}

type totals struct {
	SegmentsIn     uint64 `json:"segments_in"`
	SegmentsOut    uint64 `json:"segments_out"`
	BytesIn        uint64 `json:"bytes_in"`
	BytesOut       uint64 `json:"bytes_out"`
	Retransmits    uint64 `json:"retransmits"`
	FastRecoveries uint64 `json:"fast_recoveries"`
	Timeouts       uint64 `json:"timeouts"`

	BytesAcked         uint64 `json:"bytes_acked"`
	BytesRetransmitted uint64 `json:"bytes_retransmitted"`
	RetransmittedNow   int    `json:"retransmitted_in_flight"` // octets
	DataSegmentsIn     uint32 `json:"data_segments_in"`
	DataSegmentsOut    uint32 `json:"data_segments_out"`
	Undone             uint64 `json:"undone"` // recoveries that were for nothing
	DSACKs             uint64 `json:"dsacks"`
	Reorderings        uint64 `json:"reorderings"`
	OutOfOrder         uint64 `json:"segments_out_of_order"`
	CongestionEchoes   uint64 `json:"congestion_echoes"`
}

func factsOf(i stack.Info) *connFacts {
	return &connFacts{
		Local: i.Local.String(), Remote: i.Remote.String(), State: i.State.String(), Phase: i.Phase.String(), CC: i.CC,
		Handshake: handshake{
			MSS: i.MSS, SACK: i.SACK, Timestamps: i.Timestamps, WindowScale: i.WindowScale, PeerShift: i.SndScale, OwnShift: i.RcvScale,
			ECN: i.ECN, FastOpen: i.FastOpen, RTT: millis(i.HandshakeRTT), PathMTU: i.PathMTU, AdvertisedMSS: i.AdvertisedMSS, ReceivedMSS: i.ReceivedMSS,
		},
		RTT: rtt{millis(i.SRTT), millis(i.RTTVar), millis(i.MinRTT), millis(i.RTO), millis(i.ReceiveRTT)},
		Windows: windows{
			i.Cwnd, threshold(&i.Snapshot), i.InFlight, i.Unsent(), i.SndWnd, i.RcvWnd(),
		},
		Rates: rates{i.DeliveryRate, i.PacingRate},
		Waited: waited{
			Busy: millis(i.Busy), Recovering: millis(i.Recovering), Cwnd: millis(i.CwndLimited), PeerWindow: millis(i.PeerWindowLimited),
			SendBuffer: millis(i.SendBufferLimited), Nagle: millis(i.NagleLimited), Pacing: millis(i.PacingLimited),
		},
		Since: since{ago(i.SinceDataSent), ago(i.SinceDataReceived), ago(i.SinceReceived)},
		Totals: totals{
			i.SegsIn, i.SegsOut, i.BytesIn, i.BytesOut, i.Retransmits, i.FastRecoveries, i.RTOs,
			i.BytesAcked, i.BytesRetransmitted, i.RetransmittedInFlight, i.DataSegsIn, i.DataSegsOut,
			i.Undone, i.DSACKs, i.Reorderings, i.OutOfOrder, i.CongestionEchoes,
		},
	}
}

// ago returns a time in ms; nil: what it counts from has never been.
func ago(t tcb.Time) *float64 {
	if t < 0 {
		return nil
	}
	ms := millis(t)
	return &ms
}
