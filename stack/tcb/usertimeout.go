package tcb

import (
	"time"

	"ustack/tcpseg"
)

// The user timeout is R2 of RFC 9293 §3.8.3: how long sent data may stay unacknowledged.
const (
	defaultUserTimeout = Time(5 * time.Minute)
	synTimeout         = Time(180 * time.Second) // of a SYN (MUST-23)

	// The peer's wishes are heard between these (L_LIMIT and U_LIMIT of RFC 5482 §3.1).
	leastUserTimeout = Time(100 * time.Second)
	mostUserTimeout  = Time(time.Hour)
)

// userTimeout returns R2; 0: for ever.
func (t *TCB) userTimeout() Time {
	switch u := Time(t.cfg.UserTimeout); {
	case u < 0:
		return 0
	case u > 0:
		return u
	case t.state == SynSent || t.state == SynReceived:
		return synTimeout
	case t.seldom != nil && t.seldom.peerTimeout != 0:
		return adoptTimeout(defaultUserTimeout, t.seldom.peerTimeout.Duration(), t.rtt.timeout())
	}
	return defaultUserTimeout
}

// adoptTimeout is USER_TIMEOUT of RFC 5482 §3.1: the longer of what the two ends advertise, within limits, and never
// below a retransmission time-out.
func adoptTimeout(ours Time, theirs time.Duration, rto Time) Time {
	return max(min(mostUserTimeout, max(ours, Time(theirs), leastUserTimeout)), rto)
}

// takeUserTimeout takes the peer's option. What the user has set stays.
func (t *TCB) takeUserTimeout(u tcpseg.UserTimeout) {
	if u != 0 && t.cfg.UserTimeoutOption {
		t.needSeldom().peerTimeout = u
	}
}

// advertisedTimeout is what our option says; 0: there is none.
func advertisedTimeout(o *Options) tcpseg.UserTimeout {
	switch {
	case !o.UserTimeoutOption:
		return 0
	case o.UserTimeout < 0:
		return tcpseg.ToUserTimeout(1<<63 - 1)
	}
	return tcpseg.ToUserTimeout(orDefault(o.UserTimeout, time.Duration(defaultUserTimeout)))
}

// advertiseTimeout puts our option on the first segment that has room for it after it has changed. It may be lost on
// the way: it is advice.
func (t *TCB) advertiseTimeout(o *Out, n int) {
	if t.untold && n+4 <= t.segmentSize() {
		t.untold = false
		o.Options.UserTimeout = advertisedTimeout(&t.cfg.Options)
	}
}
