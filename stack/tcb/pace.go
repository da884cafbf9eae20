package tcb

import "time"

// pace spreads sending over the round trip, so that a window does not arrive at the bottleneck in one burst.
type pace struct {
	next  Time // when the next data may go
	timer Time // when Output must be asked again; 0: nothing waits for that
}

// paceSlack is how much data may go at once, as the time that it takes at the pace: timers are not finer, and a pause
// of that length is made up for.
const paceSlack = Time(time.Millisecond)

// pacing reports whether sending is paced: by switch, or because the controller asks for it.
func (t *TCB) pacing() bool { return t.cfg.Pacing || t.cfg.CC != nil && t.cc.PacingRate() > 0 }

// paceRate returns the pace in octets per second; 0: there is none yet. It is the controller's, or that of cwnd with some
// headroom: without it, cwnd would never be used up.
func (t *TCB) paceRate() int {
	if r := t.cc.PacingRate(); r > 0 {
		return r
	}
	if t.rtt.srtt == 0 {
		return 0
	}
	w := t.cc.Window()
	if w < t.cc.SSThresh() {
		w *= 2 // slow start doubles it in a round trip
	} else {
		w += w / 4
	}
	return int(float64(w) / float64(t.rtt.srtt) * float64(time.Second))
}

// mustPace reports whether data has to wait for its time, and then says so in o.
func (t *TCB) mustPace(now Time, o *Out) bool {
	if t.seldom == nil || t.seldom.pace.next <= now || !t.pacing() {
		return false
	}
	o.Held = HeldPacing
	return true
}

// paceLimit cuts limit, the octets of a super-segment, down to what may go at once: at least two segments.
func (t *TCB) paceLimit(limit int) int {
	if limit == 0 || !t.pacing() {
		return limit
	}
	if r := t.paceRate(); r > 0 {
		limit = min(limit, max(int(float64(r)*paceSlack.Seconds()), 2*t.mss()))
	}
	return limit
}

// paced follows n octets of data that were sent.
func (t *TCB) paced(now Time, n int) {
	if !t.pacing() {
		return
	}
	r := t.paceRate()
	if r == 0 {
		return
	}
	p := &t.needSeldom().pace
	p.next = max(p.next, now-paceSlack) + Time(float64(n)/float64(r)*float64(time.Second))
}

// armPace starts the timer when data waits for its time.
func (t *TCB) armPace(held Held) {
	switch {
	case held == HeldPacing:
		t.seldom.pace.timer = t.seldom.pace.next
	case t.seldom != nil:
		t.seldom.pace.timer = 0
	}
}
