package tcb

import "strconv"

// Reasons why a segment was refused.
const (
	DropNone           Drop = iota
	DropClosed              // no connection (RFC 9293 §3.10.7.1)
	DropNotListening        // a listener takes only a SYN (§3.10.7.2)
	DropSequence            // outside the receive window (§3.10.7.4, first check)
	DropPAWS                // older than what has been seen (RFC 7323 §5)
	DropNoTimestamp         // timestamps were agreed on and are missing (RFC 7323 §3.2)
	DropResetOutside        // RST outside the window (RFC 5961 §3)
	DropResetChallenge      // RST inside the window but not at its edge (RFC 5961 §3)
	DropSYN                 // SYN on a synchronized connection (RFC 5961 §4)
	DropNoACK               // ACK bit off
	DropBadACK              // acknowledges what was never sent, or long ago (RFC 5961 §5)
	DropDuplicate           // all of it had arrived before
	DropZeroWindow          // data against a closed window
	DropOutOfOrderFull      // too many holes to keep track of
	DropMemory              // no buffer to hold it
	DropAfterClose          // data for a reader that has gone (SHLD-3)
	DropAfterFIN            // data beyond the peer's FIN
	DropTimeWait            // nothing to do for TIME-WAIT
	DropSynSent             // no use in SYN-SENT
	DropReset               // a RST that is ignored, in SYN-SENT for want of an ACK (§3.10.7.3), or in TIME-WAIT (RFC 1337)
)

var dropNames = [...]string{"none", "closed", "not-listening", "sequence", "paws", "no-timestamp",
	"reset-outside-window", "reset-challenged", "syn-challenged", "no-ack", "bad-ack", "duplicate", "zero-window",
	"out-of-order-full", "memory", "after-close", "after-fin", "time-wait", "syn-sent", "reset"}

// NumDrops is how many reasons there are: counters are kept in arrays of this size.
const NumDrops = len(dropNames)

func (d Drop) String() string { return name(dropNames[:], int(d)) }

// Causes of a segment.
const (
	CauseNone           Cause = iota
	CauseSYN                  // opening, or the answer to a SYN
	CauseSYNAgain             // the same again: no answer came, or the peer has not heard it
	CauseCookie               // the answer to a SYN of which nothing is kept (RFC 4987 §3.6)
	CauseData                 // new data
	CauseFastRetransmit       // held for lost by duplicate ACKs or SACK (RFC 5681 §3.2, RFC 6675)
	CauseTailProbe            // tail loss probe that sends the last segment again (RFC 8985 §7)
	CauseTailNew              // tail loss probe with new data (RFC 8985 §7.3)
	CauseRTO                  // retransmission time-out (RFC 6298)
	CauseReopened             // sent again after a closed window opened
	CausePathMTU              // sent again because it was larger than the path takes (RFC 1191)
	CauseMTUProbe             // one larger segment of data, to see whether the path takes it (RFC 4821)
	CauseProbe                // zero-window probe (RFC 9293 §3.8.6.1)
	CauseOverride             // a window that stays small is used, after the override time-out (RFC 9293 §3.8.6.2.1)
	CauseKeepAlive            // keep-alive probe (RFC 9293 §3.8.4)
	CauseFIN                  // end of our data
	CauseACK                  // ACK due: enough segments came, or one that must not wait
	CauseDelayedACK           // the delayed-ACK timer ran out
	CauseDupACK               // out-of-order data (RFC 5681 §3.2)
	CauseWindowUpdate         // the reader made room
	CauseUrgent               // urgent data is announced (RFC 9293 §3.8.5)
	CauseReply                // an unacceptable segment is answered (RFC 9293 §3.10.7.4)
	CauseChallenge            // a SYN, RST or ACK that may be forged is answered (RFC 5961)
	CauseReset                // RST
)

var causeNames = [...]string{"none", "syn", "syn-again", "syn-cookie", "data", "fast-retransmit", "tail-loss-probe", "tail-loss-probe-new", "rto", "window-reopened", "path-mtu", "mtu-probe", "window-probe",
	"override", "keep-alive", "fin", "ack", "delayed-ack", "duplicate-ack", "window-update", "urgent", "reply-ack", "challenge-ack", "reset"}

func (c Cause) String() string { return name(causeNames[:], int(c)) }

// Resends reports whether a segment of this cause carries what was sent before.
func (c Cause) Resends() bool {
	switch c {
	case CauseSYNAgain, CauseFastRetransmit, CauseTailProbe, CauseRTO, CauseReopened, CausePathMTU:
		return true
	}
	return false
}

// What Output waits for.
const (
	HeldIdle       Held = iota // nothing to send
	HeldCwnd                   // the congestion window is full
	HeldPeerWindow             // the peer's window is full
	HeldNagle                  // a small segment waits for an ACK
	HeldSWS                    // the peer's window is too small to be worth a segment (RFC 9293 §3.8.6.2.1)
	HeldHandshake              // not synchronized yet
	HeldPacing                 // its time has not come
	HeldMTUProbe               // the congestion window has no room for a probe of the path
)

var heldNames = [...]string{"idle", "cwnd", "peer-window", "nagle", "sws", "handshake", "pacing", "mtu-probe"}

func (h Held) String() string { return name(heldNames[:], int(h)) }

var stateNames = [...]string{"CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
	"CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"}

// String returns RFC 9293's name of the state.
func (s State) String() string { return name(stateNames[:], int(s)) }

// Phases of sending.
const (
	SlowStart Phase = iota
	CongestionAvoidance
	FastRecovery // from fast retransmit until everything sent before it is acknowledged
	LossRecovery // the same after a retransmission time-out
)

var phaseNames = [...]string{"slow-start", "congestion-avoidance", "fast-recovery", "loss-recovery"}

func (p Phase) String() string { return name(phaseNames[:], int(p)) }

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}
