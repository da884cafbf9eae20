package tcb

import "time"

// Account is what a connection has done since it began, and how long it has waited for what. Together with a Snapshot it
// is what Linux tells in tcp_info. Times are in nanoseconds, the others in octets where nothing else is said.
type Account struct {
	HandshakeRTT Time // 0: it showed none, for the SYN was sent again, or was answered with a cookie

	BytesAcked              uint64 // of BytesOut, without what was sent again
	BytesRetransmitted      uint64
	RetransmittedInFlight   int    // octets in flight that were sent again, without those acknowledged selectively
	DataSegsIn, DataSegsOut uint32 // segments with text, a super-segment being one; modulo 2³² (RFC 4898, tcpEStatsPerfDataSegsIn and -Out)
	SynTimeouts             int    // of our SYN or SYN,ACK
	Backoff                 int    // how often the time-out was doubled since the last sample
	Undone                  uint64 // recoveries that were for nothing (RFC 4015)
	DSACKs                  uint64 // segments that tell of data the peer had twice (RFC 2883)
	Reorderings             uint64 // ACKs that tell of segments the network has reordered (RFC 8985 §6.2 step 2)
	OutOfOrder              uint64 // segments that came beyond a hole
	CongestionEchoes        uint64 // ACKs with ECE, where the ends agreed on ECN (RFC 3168)

	// Since the events; below 0: there was none.
	SinceDataSent, SinceDataReceived, SinceReceived Time

	DeliveryRate int // octets per second over the last round trip at whose end data waited to be sent; 0: there was none
	PacingRate   int // octets per second; 0: sending is not paced

	// Busy is the time with something in flight or waiting, Recovering that of loss recovery. The others are the time that data waited
	// for what is named, or, for SendBuffer, that its writer waited while all that was queued was in flight.
	Busy, Recovering                                  Time
	CwndLimited, PeerWindowLimited, SendBufferLimited Time
	NagleLimited, PacingLimited                       Time

	SendMSS         int  // octets of payload and options that a segment may carry
	AdvertisedMSS   int  // what our SYN offered
	ReceivedMSS     int  // the peer's full-sized segment, as far as seen
	DelayedACK      Time // how long an ACK may wait; below 0: not at all
	ReceiveRTT      Time // the round-trip time as the receiver sees it; 0: not known
	ReceiveSpace    int  // what the receive window may grow to now
	KeepAliveProbes int  // unanswered
	WindowProbes    int  // in a row
	FastOpen        bool // the handshake carried the Fast Open option (RFC 7413)
}

// Account fills a. now is the time, as for Input.
func (t *TCB) Account(now Time, a *Account) {
	n := t.lossCounters()
	*a = Account{
		HandshakeRTT: Time(t.snd.opening) * Time(time.Microsecond),
		BytesAcked:   t.bytesAcked(), BytesRetransmitted: n.octets, RetransmittedInFlight: t.runs.resentOctets(),
		DataSegsIn: t.stats.dataIn, DataSegsOut: t.stats.dataOut,
		SynTimeouts: int(t.synTimeouts), Backoff: int(t.rtt.backoff),
		Undone: uint64(n.undos), DSACKs: uint64(n.dsacks), CongestionEchoes: uint64(n.echoes),
		SinceDataSent: since(now, t.snd.lastSent), SinceDataReceived: t.sinceData(now), SinceReceived: since(now, t.heard),
		DeliveryRate: int(t.rate),
		Busy:         t.busy(now), Recovering: n.recovering,
		SendMSS: int(t.snd.mss), AdvertisedMSS: int(t.rcv.mss), ReceivedMSS: int(t.rcv.segSize), DelayedACK: t.delayedACK(),
		ReceiveRTT: Time(t.rcv.tuneRTT) * Time(time.Microsecond), ReceiveSpace: int(t.rcv.size),
		WindowProbes: int(t.persistBackoff),
	}
	if t.pacing() {
		a.PacingRate = t.paceRate()
	}
	if n.since != 0 && t.state != Closed {
		a.Recovering += now - n.since
	}
	if t.loss != nil {
		a.Reorderings = uint64(t.loss.rack.reorderings)
	}
	if s := t.seldom; s != nil {
		w := s.waited
		w.until(now, t.waits)
		a.Busy += w.alone
		a.CwndLimited, a.PeerWindowLimited, a.SendBufferLimited = w.spent[waitCwnd], w.spent[waitPeer], w.spent[waitBuffer]
		a.NagleLimited, a.PacingLimited = w.spent[waitNagle], w.spent[waitPace]
		a.OutOfOrder = uint64(s.ahead)
		a.KeepAliveProbes, a.FastOpen = int(s.keepProbes), s.fastOpen.Present
	}
}

// since returns the time since a moment; -1: it never came.
func since(now, at Time) Time {
	if at == 0 {
		return -1
	}
	return now - at
}

// sinceData returns the time since text came, to the millisecond, modulo seven weeks; -1: none has.
func (t *TCB) sinceData(now Time) Time {
	if t.stats.bytesIn == 0 {
		return -1
	}
	return Time(tsClock(now)-t.stats.heardData) * granularity
}

// bytesAcked returns how much of what was sent is acknowledged.
func (t *TCB) bytesAcked() uint64 {
	flying := t.inFlight()
	if flying > 0 && (t.snd.fin || !t.synchronized() && t.snd.una == t.snd.iss) {
		flying-- // a FIN or SYN is no octet
	}
	return t.stats.bytesOut - t.lossCounters().octets - uint64(flying)
}

// countText counts a segment that goes out, if it has text.
func (t *TCB) countText(n int) {
	if n > 0 {
		t.stats.dataOut++
		t.stats.bytesOut += uint64(n)
	}
}

// busy returns how long something was in flight.
func (t *TCB) busy(now Time) Time {
	if t.inFlight() == 0 || !t.synchronized() {
		return t.stats.busy
	}
	return t.stats.busy + now - t.snd.progress
}

// beginBusy follows the begin of sending. If data has been waiting for it, no time was idle since everything in flight was
// acknowledged.
func (t *TCB) beginBusy(now Time) {
	if t.waits != waitNone && t.waits&waitAlone == 0 {
		t.stats.busy += now - t.snd.progress
	}
	t.snd.progress = now
}

// lossCounters count what loss recovery does.
type lossCounters struct {
	rexmits, rtos, recoveries, undos, dsacks uint32
	echoes                                   uint32
	octets                                   uint64 // of text, in rexmits
	recovering                               Time   // spent in recovery, up to since
	since                                    Time   // when it entered the present one; 0: there is none
}

// lossCounters returns them; they are zero before anything was lost.
func (t *TCB) lossCounters() lossCounters {
	if t.loss == nil {
		return lossCounters{}
	}
	return t.loss.counts
}

// A wait is what holds sending back.
type wait uint8

const (
	waitNone   wait = iota
	waitCwnd        // the congestion window
	waitPeer        // the peer's window
	waitBuffer      // a writer waits for room in the send queue, all of which is in flight
	waitNagle
	waitPace
	numWaits

	waitAlone wait = 1 << 7 // beside one of these: nothing is in flight
)

// waited is the time spent waiting.
type waited struct {
	since Time // when the present wait began
	spent [numWaits]Time
	alone Time // of all that, with nothing in flight
}

// until counts the wait w up to now.
func (s *waited) until(now Time, w wait) {
	if w != waitNone {
		s.spent[w&^waitAlone] += now - s.since
	}
	if w&waitAlone != 0 {
		s.alone += now - s.since
	}
	s.since = now
}

// account follows the end of a flush, which was held. As a rule nothing waits and nothing ever has, and there is nothing to
// note.
func (t *TCB) account(now Time, held Held) {
	if held != HeldIdle || t.waits != waitNone || t.snd.want || t.loss != nil {
		t.noteWait(now, held)
	}
}

// noteWait notes what sending waits for from now on, and whether that is in a recovery.
func (t *TCB) noteWait(now Time, held Held) {
	w := t.waitFor(held)
	if w != waitNone && t.inFlight() == 0 {
		w |= waitAlone
	}
	if w != t.waits {
		t.needSeldom().waited.until(now, t.waits)
		t.waits = w
	}
	if t.loss != nil {
		t.loss.counts.recovery(now, t.rec.phase != open)
	}
}

// waitFor returns what a flush that was held makes sending wait for.
func (t *TCB) waitFor(held Held) wait {
	switch held {
	case HeldCwnd:
		return waitCwnd
	case HeldPeerWindow, HeldSWS:
		return waitPeer
	case HeldNagle:
		return waitNagle
	case HeldPacing:
		return waitPace
	case HeldIdle:
		if t.snd.want && t.inFlight() > 0 {
			return waitBuffer
		}
	}
	return waitNone
}

// recovery notes whether there is a recovery now.
func (n *lossCounters) recovery(now Time, on bool) {
	switch {
	case on && n.since == 0:
		n.since = now
	case !on && n.since != 0:
		n.recovering += now - n.since
		n.since = 0
	}
}

// rated measures the rate of delivery by an ACK: what has been delivered since the latest of what it brings news of was
// sent. A sender with too little to send shows less than the path can do.
func (t *TCB) rated(now Time, d *delivery) {
	if t.waits != waitNone && d.octets > 0 && d.sent != 0 && now > d.sent {
		t.rate = float32(t.snd.delivered-d.base) / float32(now-d.sent) * float32(time.Second)
	}
}
