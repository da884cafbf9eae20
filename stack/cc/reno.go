package cc

// reno is the congestion control of RFC 5681 with byte counting. What happens
// inside a recovery episode belongs to the connection.
type reno struct {
	window
	acked int // octets acknowledged towards the next MSS of congestion avoidance

	// The state before the last reduction, for OnSpurious.
	prior   window
	reduced bool
}

// NewReno makes the controller of RFC 5681.
func NewReno(p Params) Controller { return &reno{window: newWindow(p)} }

func (r *reno) Name() string { return "reno" }

func (r *reno) OnAck(a Ack) {
	if a.AppLimited || a.ECE || a.Bytes <= 0 {
		return
	}
	if r.inSlowStart() {
		r.slowStart(a.Bytes, r.mss)
		return
	}
	// One MSS for each whole window acknowledged (RFC 5681 §3.1, the recommended way), and
	// never two for one ACK.
	r.acked = min(r.acked+a.Bytes, 2*r.cwnd-1)
	if r.acked >= r.cwnd {
		r.acked -= r.cwnd
		r.cwnd = min(r.cwnd+r.mss, MaxWindow)
	}
}

func (r *reno) OnLoss(l Loss) {
	r.reduce(l)
	// Limited transmit may have put more in flight than cwnd, and after a time-out cwnd is
	// one MSS: a loss never opens the window beyond what recovery needs.
	r.cwnd = min(r.ssthresh, max(r.cwnd, 2*r.mss))
}

func (r *reno) OnECN(l Loss) { r.OnLoss(l) }

func (r *reno) OnRTO(l Loss) {
	if !l.Again {
		r.reduce(l)
	}
	r.acked = 0
	r.cwnd = r.mss
}

// reduce is equation 4 of RFC 5681 §3.1.
func (r *reno) reduce(l Loss) {
	r.prior, r.reduced = r.window, true
	r.acked = 0
	r.ssthresh = max(l.InFlight/2, 2*r.mss)
}

func (r *reno) OnSpurious() {
	if !r.reduced {
		return
	}
	r.reduced = false
	r.ssthresh = r.prior.ssthresh
	r.cwnd = max(r.cwnd, r.prior.cwnd)
}

func (r *reno) OnIdle(Time) {
	r.restart()
	r.acked = 0
}

func (r *reno) SetMSS(mss int) {
	r.acked = scale(r.acked, r.setMSS(mss))
	if r.reduced {
		r.prior.setMSS(mss)
	}
}
