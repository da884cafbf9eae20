package tcb

import (
	"math"
	"time"
)

// A timer is one of the moments a connection waits for.
type timer int

const (
	rexmit   timer = iota // retransmission of the oldest segment in flight (RFC 6298)
	early                 // before it: a tail loss probe, or the end of the reordering window (RFC 8985)
	persist               // probe of a window that lets nothing through (RFC 9293 §3.8.6.1)
	delack                // delayed ACK (RFC 9293 §3.8.6.3)
	keepidle              // keep-alive (RFC 9293 §3.8.4)
	linger                // FIN-WAIT-2 of a connection that nobody holds any more, and 2MSL
	numTimers
)

const (
	r1              = 3 // retransmissions until EventStalled (SHLD-10)
	maxPersist      = Time(60 * time.Second)
	finWait2Timeout = Time(60 * time.Second)
)

// Deadline returns when Expire must be called next; 0: never.
func (t *TCB) Deadline() Time {
	var d Time
	for _, at := range t.timers {
		if at != 0 && (d == 0 || at < d) {
			d = at
		}
	}
	if s := t.seldom; s != nil && s.pace.timer != 0 && (d == 0 || s.pace.timer < d) {
		d = s.pace.timer
	}
	return d
}

// Expire runs the timers that are due.
func (t *TCB) Expire(now Time) Events {
	if s := t.seldom; s != nil && s.pace.timer <= now {
		s.pace.timer = 0 // Output goes on
	}
	if t.due(delack, now) {
		t.ack.now, t.ack.cause = true, CauseDelayedACK
	}
	if t.due(early, now) {
		t.ecn &^= ecnPaused
		if t.rec.reordering {
			t.expireReordering(now)
		} else {
			t.expireProbe(now) // it comes before a time-out of the same moment, and puts it off
		}
	}
	if t.due(rexmit, now) {
		t.expireRexmit(now)
	}
	if t.due(persist, now) {
		t.expirePersist(now)
	}
	if t.due(keepidle, now) {
		t.expireKeepAlive(now)
	}
	if t.due(linger, now) {
		t.die(endOrderly)
	}
	return t.takeEvents()
}

// stopTimers follows the end of a connection that sends and receives.
func (t *TCB) stopTimers() {
	t.timers = [numTimers]Time{}
	t.armPace(HeldIdle)
}

// due reports whether a timer has run out, and stops it.
func (t *TCB) due(i timer, now Time) bool {
	if t.timers[i] == 0 || now < t.timers[i] {
		return false
	}
	t.timers[i] = 0
	return true
}

// armRexmit starts the retransmission timer, not beyond the moment at which R2 ends the connection.
func (t *TCB) armRexmit(now Time) {
	at := now + t.rtt.timeout()
	if r2 := t.userTimeout(); r2 != 0 && t.state != SynSent && t.state != SynReceived {
		at = max(min(at, t.snd.progress+r2), now+1)
	}
	t.timers[rexmit] = at
}

// expireRexmit answers a retransmission time-out (RFC 6298 §5.4–5.7).
func (t *TCB) expireRexmit(now Time) {
	if r2 := t.userTimeout(); r2 != 0 && now-t.snd.progress >= r2 {
		t.die(endTimeout)
		return
	}
	if t.synchronized() {
		t.onRTO(now)
		t.suspectBlackHole(now)
	} else {
		if t.early && t.synTimeouts >= maxSynAcks {
			t.die(endTimeout)
			return
		}
		t.runs.markAll()
		t.synTimeouts = min(t.synTimeouts, math.MaxUint8-1) + 1
	}
	t.rtt.backoff = min(t.rtt.backoff, 254) + 1
	if t.rtt.backoff == r1 {
		t.events |= EventStalled
	}
	t.armRexmit(now)
}

// expirePersist sends a probe, or what fits into a window too small for a full segment.
func (t *TCB) expirePersist(now Time) {
	if r2 := t.userTimeout(); r2 != 0 && now-max(t.heard, t.needSeldom().persistSince) >= r2 {
		t.die(endTimeout) // nobody answers; a peer that does may keep its window shut for ever (MUST-37)
		return
	}
	t.snd.probe = true
	t.persistBackoff = min(t.persistBackoff, 254) + 1
}

// armPersist starts the persist timer (SHLD-29, SHLD-30).
func (t *TCB) armPersist(now Time) {
	if t.persistBackoff == 0 {
		t.needSeldom().persistSince = now
	}
	wait := min(t.rtt.rto<<min(t.persistBackoff, 16), maxPersist)
	if r2 := t.userTimeout(); r2 != 0 { // a peer that answers must be asked in time to say so
		wait = min(wait, max(r2/3, t.rtt.rto))
	}
	t.timers[persist] = now + wait
}

// stopPersist ends probing. The time spent before a shut window does not count towards R2.
func (t *TCB) stopPersist(now Time) {
	t.timers[persist], t.persistBackoff = 0, 0
	t.stats.busy = t.busy(now)
	t.snd.progress = now
}

func (t *TCB) keepAliveIdle() Time {
	return orDefault(Time(t.cfg.KeepAliveIdle), Time(2*time.Hour)) // MUST-28
}

func (t *TCB) keepAliveInterval() Time {
	return orDefault(Time(t.cfg.KeepAliveInterval), Time(75*time.Second))
}

// hear notes that the peer is there.
func (t *TCB) hear(now Time) {
	t.heard = now
	if t.seldom != nil {
		t.seldom.keepProbes = 0
	}
}

// armKeepAlive follows a change of the switch or of the state.
func (t *TCB) armKeepAlive(now Time) {
	t.timers[keepidle] = 0
	if t.cfg.KeepAlive && t.synchronized() && t.state != TimeWaiting {
		at := max(t.heard+t.keepAliveIdle(), now+1)
		if s := t.seldom; s != nil && s.keepProbes > 0 {
			at = max(at, s.keepProbed+t.keepAliveInterval())
		}
		t.timers[keepidle] = at
	}
}

// expireKeepAlive probes a peer that has been silent for the interval while nothing is in
// flight (MUST-26), and gives up after so many unanswered probes (MUST-29).
func (t *TCB) expireKeepAlive(now Time) {
	if !t.cfg.KeepAlive || !t.synchronized() || t.state == TimeWaiting {
		return
	}
	if t.runs.n > 0 {
		t.timers[keepidle] = now + t.keepAliveIdle()
		return
	}
	if idle := t.heard + t.keepAliveIdle(); now < idle {
		t.timers[keepidle] = idle
		return
	}
	s := t.needSeldom()
	if int(s.keepProbes) >= orDefault(t.cfg.KeepAliveCount, 9) {
		t.die(endTimeout)
		return
	}
	s.keepProbes++
	s.keepProbed = now
	t.ack.keepAlive = true
	t.timers[keepidle] = now + t.keepAliveInterval()
}

// orDefault returns v, or def where v was left at zero.
func orDefault[T int | Time | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
