package tcb

import "ustack/tcpseg"

// maxSynAcks is how often a SYN,ACK is sent again before the half-open connection is forgotten.
const maxSynAcks = 5

// HalfOpen is a passive open in SYN-RECEIVED: no buffers, at most 256 octets.
type HalfOpen struct {
	c          *Config
	sentAt     Time
	due        Time // retransmission
	rtt        Time // SYN,ACK to its ACK; 0: not known
	iss, irs   tcpseg.Seq
	rstSeq     tcpseg.Seq
	rstEcho    uint32
	tsOffset   uint32
	tsRecent   uint32
	challenged uint32 // since when challenges are counted
	mss        uint16 // of the peer's SYN, as what follows
	timeout    tcpseg.UserTimeout
	peerWindow uint16
	scale      uint8
	offers     offers
	owed       owed
	resent     uint8
	challenges uint8
}

// offers are the options of the peer's SYN that it did send.
type offers uint8

const (
	offersScale offers = 1 << iota
	offersSACK
	offersTimestamps
	offersECN
	offersFastOpen
)

// owed is what a HalfOpen has to send.
type owed uint8

const (
	oweNothing owed = iota
	oweSynAck
	oweReply     // an ACK, of CauseReply
	oweChallenge // of CauseChallenge
	oweReset
	oweStampedReset
)

// HalfOpenResult is what a HalfOpen makes of a segment.
type HalfOpenResult uint8

const (
	HalfOpenDrop     HalfOpenResult = iota // refused
	HalfOpenReply                          // Output has something to send: SYN,ACK again, an ACK or a RST
	HalfOpenComplete                       // the handshake is complete: Accept(Handshake), then Input this segment
	HalfOpenDead                           // reset: forget it
)

// Passive starts a HalfOpen from a SYN that came to a listener. Output then has the SYN,ACK. c is
// kept and must not change while the HalfOpen lives; Accept gets the same.
func Passive(now Time, c *Config, syn *tcpseg.Segment, iss tcpseg.Seq, tsOffset uint32) HalfOpen {
	h := HalfOpen{c: c, owed: oweSynAck, iss: iss, irs: syn.Seq, tsOffset: tsOffset, tsRecent: syn.Options.TSVal,
		mss: syn.Options.MSS, timeout: syn.Options.UserTimeout, scale: syn.Options.Scale, peerWindow: syn.Window}
	for _, o := range [...]struct {
		sent bool
		bit  offers
	}{{syn.Options.HasScale, offersScale}, {syn.Options.SACKPermitted, offersSACK}, {syn.Options.HasTimestamps, offersTimestamps},
		{syn.Flags&ecnAsk == ecnAsk, offersECN}, {syn.Options.FastOpen.Present, offersFastOpen}} {
		if o.sent {
			h.offers |= o.bit
		}
	}
	return h
}

func (h *HalfOpen) has(o offers) bool { return h.offers&o != 0 }

func (h *HalfOpen) rcvNxt() tcpseg.Seq { return h.irs.Add(1) }

// window is what our SYN,ACK advertises.
func (h *HalfOpen) window() int { return synWindow(&h.c.Options) }

// WantsCookie reports whether the peer's SYN had a Fast Open option: without a good cookie, or room for another such
// connection, the SYN,ACK may bring one (RFC 7413 §4.2).
func (h *HalfOpen) WantsCookie() bool { return h.has(offersFastOpen) }

func (h *HalfOpen) ecn() bool { return h.has(offersECN) && h.c.ECN }

func (h *HalfOpen) timestamps() bool { return h.has(offersTimestamps) && !h.c.NoTimestamps }

// Input takes a segment of the flow (RFC 9293 §3.10.7.4, column SYN-RECEIVED). Data and FIN are not
// looked at: they come again to the TCB that Accept makes.
func (h *HalfOpen) Input(now Time, seg *tcpseg.Segment) (HalfOpenResult, Drop) {
	off := seg.Seq.Sub(h.rcvNxt())
	if seg.Flags.Has(tcpseg.RST) {
		switch {
		case off == 0:
			return HalfOpenDead, DropNone
		case off > 0 && off < h.window():
			return h.answer(now, oweChallenge, DropResetChallenge)
		}
		return HalfOpenDrop, DropResetOutside
	}
	if seg.Flags.Has(tcpseg.SYN) {
		if off == -1 && !seg.Flags.Has(tcpseg.ACK) { // the peer's SYN again: our SYN,ACK was lost
			return h.owe(oweSynAck), DropDuplicate
		}
		return h.answer(now, oweChallenge, DropSYN)
	}
	if h.timestamps() {
		if !seg.Options.HasTimestamps {
			return HalfOpenDrop, DropNoTimestamp
		}
		if int32(seg.Options.TSVal-h.tsRecent) < 0 {
			return h.answer(now, oweReply, DropPAWS)
		}
	}
	if n := seg.Len(); off < 0 && off+n <= 0 || off > h.window() || n > 0 && off == h.window() {
		return h.answer(now, oweReply, DropSequence)
	}
	if !seg.Flags.Has(tcpseg.ACK) {
		return HalfOpenDrop, DropNoACK
	}
	if seg.Ack != h.iss.Add(1) {
		h.rstSeq, h.rstEcho = seg.Ack, seg.Options.TSVal
		if seg.Options.HasTimestamps {
			return h.owe(oweStampedReset), DropBadACK
		}
		return h.owe(oweReset), DropBadACK
	}
	if h.resent == 0 && h.sentAt != 0 {
		h.rtt = max(now-h.sentAt, 1)
	}
	return HalfOpenComplete, DropNone
}

func (h *HalfOpen) owe(o owed) HalfOpenResult {
	h.owed = o
	return HalfOpenReply
}

// answer owes an ACK, as often as the rate of challenges allows.
func (h *HalfOpen) answer(now Time, o owed, d Drop) (HalfOpenResult, Drop) {
	if !allowChallenge(now, &h.challenged, &h.challenges) {
		return HalfOpenDrop, d
	}
	return h.owe(o), d
}

// Output fills o with what is to be sent, once for each reason; false: nothing.
func (h *HalfOpen) Output(now Time, o *Out) bool {
	o.clear()
	o.Held = HeldHandshake
	rcv := h.rcvNxt()
	switch h.owed {
	case oweSynAck:
		h.synAck(now, o)
	case oweReply, oweChallenge:
		o.Header = tcpseg.Header{Seq: h.iss.Add(1), Ack: rcv, Flags: tcpseg.ACK, Window: uint16(h.window())}
		h.stamp(now, &o.Options)
		o.Cause = CauseReply
		if h.owed == oweChallenge {
			o.Cause = CauseChallenge
		}
	case oweReset, oweStampedReset:
		o.Header = tcpseg.Header{Seq: h.rstSeq, Flags: tcpseg.RST}
		o.Options.HasTimestamps, o.Options.TSEcr = h.owed == oweStampedReset, h.rstEcho
		o.Cause = CauseReset
	default:
		return false
	}
	h.owed = oweNothing
	return true
}

func (h *HalfOpen) synAck(now Time, o *Out) {
	c := h.c
	opt := synOptions(&c.Options, ourMSS(c), ourScale(&c.Options))
	answerOptions(&opt, opt.SACKPermitted && h.has(offersSACK), h.timestamps(), h.has(offersScale), h.tsRecent)
	h.stamp(now, &opt)
	o.Header = tcpseg.Header{Seq: h.iss, Ack: h.rcvNxt(), Flags: tcpseg.SYN | tcpseg.ACK, Window: uint16(h.window()), Options: opt}
	if h.ecn() {
		o.Flags |= tcpseg.ECE
	}
	o.Cause = CauseSYN
	if h.sentAt != 0 {
		o.Cause = CauseSYNAgain
	}
	h.due = now + initialRTO<<h.resent // from the last sending on, whatever it was for (6298-08)
	h.sentAt = now
}

func (h *HalfOpen) stamp(now Time, o *tcpseg.Options) {
	if h.timestamps() {
		o.HasTimestamps = true
		o.TSVal, o.TSEcr = tsClock(now)+h.tsOffset, h.tsRecent
	}
}

// Expire runs the retransmission timer; false: given up, forget it silently (4987-06).
func (h *HalfOpen) Expire(now Time) bool {
	if h.due == 0 || now < h.due {
		return true
	}
	if h.resent >= maxSynAcks {
		return false
	}
	h.resent++
	h.due = 0 // until it has gone
	h.owed = oweSynAck
	return true
}

// Deadline returns when Expire is due.
func (h *HalfOpen) Deadline() Time { return h.due }

// Handshake returns what Accept needs.
func (h *HalfOpen) Handshake() Handshake {
	return Handshake{ISS: h.iss, IRS: h.irs, PeerWindow: h.peerWindow, TSOffset: h.tsOffset, TSRecent: h.tsRecent,
		RTT: h.rtt, Resent: int(h.resent), ECN: h.ecn(),
		Peer: tcpseg.Options{MSS: h.mss, UserTimeout: h.timeout, HasScale: h.has(offersScale), Scale: h.scale, SACKPermitted: h.has(offersSACK),
			HasTimestamps: h.has(offersTimestamps), TSVal: h.tsRecent}}
}

// Refuse fills o with the RST for a segment that belongs to no connection (RFC 9293 §3.10.7.1), which echoes the
// timestamp of that segment (RFC 7323 §3.2); false: none may be sent.
func Refuse(seg *tcpseg.Segment, o *Out) bool {
	if seg.Flags.Has(tcpseg.RST) {
		return false
	}
	o.clear()
	o.Cause = CauseReset
	if seg.Flags.Has(tcpseg.ACK) {
		o.Header = tcpseg.Header{Seq: seg.Ack, Flags: tcpseg.RST}
	} else {
		o.Header = tcpseg.Header{Ack: seg.Seq.Add(seg.Len()), Flags: tcpseg.RST | tcpseg.ACK}
	}
	o.Options.HasTimestamps, o.Options.TSEcr = seg.Options.HasTimestamps, seg.Options.TSVal
	return true
}
