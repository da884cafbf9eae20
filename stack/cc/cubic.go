package cc

import "math"

// The constants of RFC 9438 §4.1 and §5.
const (
	cubicBeta = 0.7
	cubicC    = 0.4 // segments per second cubed
	// cubicAlpha makes the Reno-friendly estimate as fast as Reno, for all that β is larger (§4.3).
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
	// slowStartSegments is L of RFC 9406 §4.2: what one ACK may add in slow start without pacing.
	slowStartSegments = 8
)

// Cubic is the congestion control of RFC 9438. The formulas there count
// segments; here every window is in octets, so that a change of the MSS needs
// no conversion but that of the window itself. Most connections have one: it may
// be part of something larger, and then begins with Init.
type Cubic struct {
	cubicState
	reduced bool
	settled bool        // the initial slow start is over
	timeout bool        // slow start follows a time-out
	hystart *hystart    // of the initial slow start; nil: it has not grown yet, or is over
	prior   *cubicState // before the last reduction, for OnSpurious; made by the first one
}

// cubicState is what a reduction changes and OnSpurious restores (RFC 9438 §4.9).
type cubicState struct {
	window
	wMax      float64 // where the plateau lies; 0: not known
	wEst      float64 // what Reno would have reached since the epoch began
	cwndPrior float64 // cwnd at the last reduction
	k         float64 // seconds from the epoch's begin to the plateau
	credit    float64 // growth of less than one octet

	inEpoch bool // a congestion avoidance stage has begun
	// elapsed is how long the epoch has lasted without the times in which the application
	// had too little to send (RFC 9438 §5.8); it counts from ACK to ACK, the last one at lastAck.
	elapsed, lastAck Time
}

// NewCubic makes the controller of RFC 9438.
func NewCubic(p Params) Controller {
	c := new(Cubic)
	c.Init(p)
	return c
}

// Init begins anew.
func (c *Cubic) Init(p Params) {
	*c = Cubic{cubicState: cubicState{window: newWindow(p)}, settled: p.NoHyStart}
}

// Touch reads a word of each of its cache lines: see tcb.TCB.Touch.
func (c *Cubic) Touch() uint64 { return uint64(c.cwnd) ^ uint64(c.lastAck) }

// Name is described at Controller, as are the methods that follow.
func (c *Cubic) Name() string { return "cubic" }

func (c *Cubic) OnAck(a Ack) {
	if a.AppLimited || a.ECE || a.Bytes <= 0 {
		c.lastAck = a.Now
		if c.hystart != nil {
			c.watch(a) // rounds go on
		}
		return
	}
	if c.inSlowStart() {
		c.inEpoch = false
		c.grow(c.slowStartGrowth(a))
		c.cwnd = min(c.cwnd, c.ssthresh)
		return
	}
	c.advance(a.Now)
	c.avoid(a)
}

// slowStartGrowth returns by how many octets an ACK opens the window in slow start. HyStart++ may slow it down, and
// end slow start without a loss (RFC 9406).
func (c *Cubic) slowStartGrowth(a Ack) float64 {
	n := min(a.Bytes, slowStartSegments*c.mss)
	switch {
	case c.timeout: // an ACK may cover what arrived long before: no more than a segment for each (RFC 3465 §2.3)
		return float64(min(n, c.mss))
	case c.settled:
		return float64(n)
	}
	if c.hystart == nil {
		c.hystart = new(hystart)
	}
	switch {
	case c.watch(a):
		return 0
	case c.hystart.cautious:
		return float64(n) / cssDivisor
	}
	return float64(n)
}

// watch looks for the end of the initial slow start, and reports whether this is it.
func (c *Cubic) watch(a Ack) bool {
	if !c.hystart.onAck(a) {
		return false
	}
	c.ssthresh = c.cwnd
	c.settle()
	return true
}

// settle ends the initial slow start.
func (c *Cubic) settle() { c.settled, c.hystart = true, nil }

// advance moves the clock of the epoch, beginning one if there is none.
func (c *Cubic) advance(now Time) {
	if !c.inEpoch {
		c.beginEpoch()
	} else if c.lastAck != 0 {
		c.elapsed += now - c.lastAck
	}
	c.lastAck = now
}

// beginEpoch starts a congestion avoidance stage (RFC 9438 §4.2). Without a
// plateau above cwnd, as after a time-out (§4.8) or a slow start that met no
// loss (§4.10), the curve starts at its own plateau: K = 0.
func (c *Cubic) beginEpoch() {
	c.inEpoch = true
	c.elapsed = 0
	cwnd := float64(c.cwnd)
	c.wEst = cwnd
	if c.wMax <= cwnd {
		c.wMax = cwnd
	}
	if c.cwndPrior == 0 {
		c.cwndPrior = cwnd
	}
	c.k = math.Cbrt((c.wMax - cwnd) / float64(c.mss) / cubicC)
}

// curve is W_cubic(t), equation 1, in octets.
func (c *Cubic) curve(t Time) float64 {
	d := float64(t)/1e9 - c.k
	return cubicC*d*d*d*float64(c.mss) + c.wMax
}

// avoid grows cwnd after an ACK in congestion avoidance (RFC 9438 §4.3 to §4.5).
func (c *Cubic) avoid(a Ack) {
	cwnd := float64(c.cwnd)
	acked := min(float64(a.Bytes), cwnd)

	alpha := cubicAlpha
	if c.wEst >= c.cwndPrior {
		alpha = 1
	}
	c.wEst += alpha * float64(c.mss) * acked / cwnd

	if c.curve(c.elapsed) < c.wEst {
		c.grow(c.wEst - cwnd - c.credit)
		return
	}
	rtt := a.SRTT
	if rtt == 0 {
		rtt = a.RTT
	}
	target := min(max(c.curve(c.elapsed+rtt), cwnd), 1.5*cwnd)
	c.grow((target - cwnd) * acked / cwnd)
}

// grow adds octets to cwnd and keeps the fraction for later.
func (c *Cubic) grow(octets float64) {
	if octets <= 0 {
		return
	}
	c.credit += octets
	whole := int(c.credit)
	c.credit -= float64(whole)
	c.cwnd = min(c.cwnd+whole, MaxWindow)
}

func (c *Cubic) OnLoss(l Loss) { c.decrease(l, 2) }

// OnECN reduces as for a loss, but down to one segment (RFC 9438 §4.6).
func (c *Cubic) OnECN(l Loss) { c.decrease(l, 1) }

func (c *Cubic) decrease(l Loss, floor int) {
	c.save()
	c.timeout = false
	cwnd := float64(c.cwnd)
	if cwnd < c.wMax {
		// Fast convergence: the plateau sinks, so that a new flow finds room (§4.7).
		c.wMax = cwnd * (1 + cubicBeta) / 2
	} else {
		c.wMax = cwnd
	}
	reduced := int(math.Round(float64(l.InFlight) * cubicBeta))
	c.ssthresh = max(reduced, 2*c.mss)
	// A loss never opens the window beyond what recovery needs: see reno.OnLoss.
	least := floor * c.mss
	c.cwnd = min(max(reduced, least), max(c.cwnd, least))
}

func (c *Cubic) OnRTO(l Loss) {
	if !l.Again {
		c.save()
		c.ssthresh = max(int(math.Round(float64(l.InFlight)*cubicBeta)), 2*c.mss)
	}
	c.inEpoch, c.wMax, c.credit = false, 0, 0
	c.cwnd, c.timeout = c.mss, true
}

// save keeps the state for OnSpurious and ends the epoch.
func (c *Cubic) save() {
	if c.prior == nil {
		c.prior = new(cubicState)
	}
	*c.prior, c.reduced = c.cubicState, true
	c.cwndPrior = float64(c.cwnd)
	c.inEpoch, c.credit = false, 0
	c.settle()
}

// OnSpurious restores the state before the last reduction, unless the window
// has outgrown it since (RFC 9438 §4.9.1).
func (c *Cubic) OnSpurious() {
	if !c.reduced {
		return
	}
	c.reduced, c.timeout = false, false
	if c.cwnd < c.prior.cwnd {
		c.cubicState = *c.prior
		c.lastAck = 0
	}
}

func (c *Cubic) OnIdle(Time) {
	c.restart()
	c.settle()
	c.timeout, c.lastAck = false, 0
}

func (c *Cubic) SetMSS(mss int) {
	c.cubicState.rescale(mss)
	if c.reduced {
		c.prior.rescale(mss)
	}
}

func (s *cubicState) rescale(mss int) {
	ratio := s.setMSS(mss)
	s.wMax *= ratio
	s.wEst *= ratio
	s.cwndPrior *= ratio
}
