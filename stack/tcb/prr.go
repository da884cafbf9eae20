package tcb

// prr is proportional rate reduction (RFC 9937): during fast recovery the ACKs clock out what cwnd allows, so that the
// window shrinks evenly over the round trip instead of stopping first and bursting later.
type prr struct {
	flight    int // RecoverFS: octets in flight when recovery began
	delivered int // prr_delivered
	out       int // prr_out
}

// proportional reports whether PRR meters out what is sent.
func (t *TCB) proportional() bool { return t.rec.phase == fastPhase && t.rec.metered }

// beginProportion starts a recovery with so many octets in flight, those included that the ACK which began it delivered.
func (t *TCB) beginProportion(flight int) {
	t.rec.metered = t.sackOK && !t.cfg.NoPRR
	t.rec.quota = 0
	t.needLoss(t.snd.una).prr = prr{flight: max(flight, 1)}
}

// proportion grants what may be sent upon an ACK that delivered so many octets: SndCnt. An ACK is safe if it moved una
// and nothing more was found lost.
func (t *TCB) proportion(delivered int, safe bool) {
	p := &t.loss.prr
	p.delivered += delivered
	pipe, target := t.pipe(), t.cc.Window()
	var n int
	if pipe > target {
		n = (p.delivered*target+p.flight-1)/p.flight - p.out
	} else {
		n = max(p.delivered-p.out, delivered)
		if safe {
			n += t.mss()
		}
		n = min(n, target-pipe)
	}
	if p.out == 0 {
		n = max(n, t.mss()) // the first retransmission always goes
	}
	t.rec.quota = octets32(max(n, 0))
}

// spend takes n octets that are being sent off the grant.
func (t *TCB) spend(n int) {
	if t.proportional() {
		t.rec.quota -= int32(n)
		t.loss.prr.out += n
	}
}

// room returns how many octets congestion control lets out now; it may be negative.
func (t *TCB) room() int {
	if t.proportional() {
		return int(t.rec.quota)
	}
	return t.window() - t.pipe()
}

// window is the controller's, or what a recovery has left of it.
func (t *TCB) window() int {
	if t.loss != nil && t.loss.ramp > 0 {
		return min(t.loss.ramp, t.cc.Window())
	}
	return t.cc.Window()
}

// rampBurst is what may go at once where a recovery ends with little in flight: as much as at the start.
const rampBurst = 10

// beginRamp follows the end of a recovery. If the peer's window or the application held data back in it, cwnd is far above
// what is in flight, and all of that at once would overflow the queue that has just been relieved. So it is reached as in
// slow start (RFC 6582 §3.2 step 3, with a larger first step).
func (t *TCB) beginRamp() {
	if ramp := t.pipe() + rampBurst*t.mss(); ramp < t.cc.Window() {
		t.loss.ramp = ramp
	}
}

// climb follows an ACK that delivered so many octets.
func (t *TCB) climb(delivered int) {
	if t.loss == nil || t.loss.ramp == 0 {
		return
	}
	if t.loss.ramp += delivered; t.loss.ramp >= t.cc.Window() {
		t.loss.ramp = 0
	}
}

// cwnd is the congestion window in force, in octets.
func (t *TCB) cwnd() int {
	if t.proportional() {
		return max(t.pipe()+int(t.rec.quota), 1)
	}
	return t.window()
}
