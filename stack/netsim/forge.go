package netsim

import (
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// forge throws segments at a connection that its peer has never sent, as somebody
// who does not see the traffic might, and as the network does with old duplicates.
// None of them may change anything: each is outside of what RFC 9293 §3.10.7.4 and
// RFC 5961 let through.
func (c *Conn) forge() {
	s := c.host.sim
	for range c.end.Forged {
		s.After(s.span(2*Second), func() {
			switch {
			case c.gone:
			case c.state == tcb.SynSent:
				h, payload := s.forgedAnswer(c.watch.iss)
				c.host.throw(c.flow, c, h, payload)
			case c.watch.opened && c.watch.started:
				h, payload := c.forged()
				c.host.throw(c.flow, c, h, payload)
			}
		})
	}
}

// forge does the same to a half-open connection.
func (w *halfOpen) forge() {
	s := w.host.sim
	for range w.endpoint.Forged {
		s.After(s.span(Second), func() {
			if !w.gone {
				h, payload := w.forged()
				w.host.throw(w.flow, w, h, payload)
			}
		})
	}
}

// throw has a forged segment arrive. It is meant for its victim as it is now, a *Conn or a *halfOpen.
func (h *Host) throw(f flow, victim any, hdr tcpseg.Header, payload []byte) {
	hdr.SrcPort, hdr.DstPort = f.remote, f.local
	b := append(hdr.AppendTo(nil), payload...)
	seal(f.peer, h, b)
	h.receive(packet{from: f.peer, b: b, forged: true, victim: victim})
}

// forgedAnswer makes up what SYN-SENT must not take for the answer to its SYN (5961-04, ST-SS1 to ST-SS9).
func (s *Sim) forgedAnswer(iss tcpseg.Seq) (tcpseg.Header, []byte) {
	h := tcpseg.Header{Seq: tcpseg.Seq(s.rng.Uint32()), Ack: iss.Add(pick(s, 0, -1, 2, 1<<20)), Window: 1000}
	h.Flags = pick(s, tcpseg.RST, tcpseg.RST|tcpseg.ACK, tcpseg.ACK, tcpseg.SYN|tcpseg.ACK, tcpseg.FIN, tcpseg.FIN|tcpseg.ACK, 0)
	return h, sequence[:s.rng.IntN(20)]
}

// forged makes up a segment that a half-open connection must not take for its third ACK.
func (w *halfOpen) forged() (tcpseg.Header, []byte) {
	s := w.host.sim
	nxt := w.watch.irs + 1
	stamps := w.watch.weStamp && w.watch.peerStamps
	h := tcpseg.Header{Seq: nxt, Ack: w.watch.iss + 1, Flags: tcpseg.ACK, Window: 1000}
	h.Options.HasTimestamps, h.Options.TSVal = stamps, w.watch.peerTSVal
	beyond := nxt.Add(1<<17 + s.rng.IntN(1<<20))
	switch s.rng.IntN(5) {
	case 0: // a RST that is not at RCV.NXT (ST-SR2, ST-SR5)
		h.Flags, h.Seq = tcpseg.RST, pick(s, nxt+1, nxt-1, beyond)
	case 1: // another SYN (ST-SR6)
		h.Flags, h.Seq = tcpseg.SYN, pick(s, nxt, nxt+1, beyond)
	case 2: // an ACK of something else (ST-SR10)
		h.Ack = pick(s, w.watch.iss, beyond)
	case 3: // outside the window, or without ACK (ST-SR1, ST-SR8)
		h.Seq = beyond
		h.Flags = pick(s, tcpseg.ACK, tcpseg.FIN, 0)
	case 4: // too old, or without the timestamp agreed on
		if !stamps {
			h.Seq = beyond
			break
		}
		h.Options.HasTimestamps = s.chance(0.5)
		h.Options.TSVal -= 1 + s.rng.Uint32N(1<<30)
	}
	return h, sequence[:s.rng.IntN(20)]
}

// forged makes up a segment from what the connection expects.
func (c *Conn) forged() (tcpseg.Header, []byte) {
	s := c.host.sim
	c.tcb.Snapshot(&c.snap)
	nxt, edge := c.snap.RcvNxt, tcpseg.Max(c.snap.RcvAdv, c.watch.edge)
	beyond := edge.Add(1 + s.rng.IntN(1<<20))
	behind := nxt.Add(-100 - s.rng.IntN(1<<20))
	h := tcpseg.Header{Seq: nxt, Ack: c.snap.Una, Flags: tcpseg.ACK, Window: uint16(s.rng.Uint32())}
	h.Options.HasTimestamps, h.Options.TSVal = c.snap.Timestamps, c.watch.peerTSVal
	var payload []byte
	switch s.rng.IntN(6) {
	case 0: // a RST that is not at RCV.NXT (5961-01, 5961-03)
		h.Flags = pick(s, tcpseg.RST, tcpseg.RST|tcpseg.ACK)
		h.Seq = pick(s, nxt+1, nxt-1, edge-1, beyond, behind)
		if h.Seq == nxt {
			h.Seq = beyond
		}
	case 1: // a SYN anywhere (5961-05)
		h.Flags = pick(s, tcpseg.SYN, tcpseg.SYN|tcpseg.ACK)
		h.Seq = pick(s, nxt, nxt+1, c.watch.irs+1, beyond, behind)
	case 2: // data outside the window
		h.Seq = pick(s, beyond, behind)
		payload = sequence[:1+s.rng.IntN(99)]
		if s.chance(0.3) {
			h.Flags |= tcpseg.FIN
		}
	case 3: // an ACK of what was never sent (5961-06)
		h.Ack = c.snap.Nxt.Add(1 + s.rng.IntN(1<<20))
	case 4: // neither ACK nor RST nor SYN
		h.Flags = pick(s, 0, tcpseg.FIN, tcpseg.PSH)
		payload = sequence[:s.rng.IntN(99)]
	case 5: // a timestamp from the past (7323-14), or none at all
		if !c.snap.Timestamps {
			h.Seq = behind
			break
		}
		h.Options.HasTimestamps = s.chance(0.5)
		h.Options.TSVal -= 1 + s.rng.Uint32N(1<<30)
		payload = sequence[:s.rng.IntN(99)]
	}
	return h, payload
}
