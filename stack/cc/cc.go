// Package cc is congestion control: what a Controller is told and what it answers.
// A Controller is pure: it is told facts with their time and returns a window;
// it never edits its owner.
package cc

// Time is a moment in nanoseconds since an epoch of the owner's choice. It never
// goes back; 0 is "never" where a deadline is meant.
type Time int64

// Seconds returns t in seconds.
func (t Time) Seconds() float64 { return float64(t) / 1e9 }

// Ack tells of an ACK that moved SND.UNA outside fast recovery.
type Ack struct {
	Now        Time
	Bytes      int   // octets newly acknowledged, cumulatively
	InFlight   int   // octets in flight before this ACK
	Delivered  int64 // octets delivered over the whole connection
	RTT        Time  // sample of this ACK; 0: none
	SRTT       Time  // smoothed round-trip time; 0: not known yet
	MinRTT     Time  // smallest RTT seen; 0: none yet
	RoundStart bool  // first ACK of a new round trip
	AppLimited bool  // cwnd did not limit sending in this round: the window must not grow (RFC 9438 §5.8)
	ECE        bool  // it echoes a mark: the window must not grow (RFC 3168 §6.1.2)
}

// Loss tells of a congestion signal.
type Loss struct {
	Now      Time
	InFlight int  // FlightSize in octets when it was noticed (RFC 5681 §3.1)
	Lost     int  // octets held for lost
	Again    bool // OnRTO only: the same segment timed out before (RFC 5681 §3.1: keep ssthresh)
}

// Params are what a Controller is made with.
type Params struct {
	MSS           int  // octets of a full-sized segment's payload, at least 1
	InitialWindow int  // in segments; 10 by default (RFC 6928)
	NoHyStart     bool // slow start ends by a loss only

	// Window and SSThresh, in octets, are what a controller goes on from that takes a connection over; Window 0: it is a
	// new one, and begins with InitialWindow.
	Window, SSThresh int
}

// InitialWindowBytes is min(n·MSS, max(2·MSS, n·1460)), the rule of RFC 6928 §2 with n
// segments for its ten.
func (p Params) InitialWindowBytes() int {
	return min(p.InitialWindow*p.MSS, max(2*p.MSS, p.InitialWindow*1460))
}

// Controller decides how much may be in flight. One connection owns it and
// calls it from one goroutine at a time. Windows and thresholds are in octets.
type Controller interface {
	OnAck(Ack)
	// OnLoss reports a loss found by fast retransmit: once per recovery episode.
	OnLoss(Loss)
	// OnECN reports a congestion echo: once per window.
	OnECN(Loss)
	// OnRTO reports a retransmission time-out.
	OnRTO(Loss)
	// OnSpurious takes back the last reduction: the loss was none.
	OnSpurious()
	// OnIdle reports that sending starts again after more than one RTO of silence (RFC 5681 §4.1).
	OnIdle(now Time)
	// SetMSS follows a change of the segment size.
	SetMSS(mss int)
	// Window returns cwnd, at least one MSS.
	Window() int
	// SSThresh returns the slow-start threshold.
	SSThresh() int
	// PacingRate returns octets per second; 0: unpaced.
	PacingRate() int
	// Name is the name used by flags: "cubic".
	Name() string
}

// New makes a Controller.
type New func(Params) Controller
