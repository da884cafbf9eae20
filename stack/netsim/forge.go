package netsim

import "ustack/tcpseg"

// forge throws segments at a connection that its peer has never sent, as somebody
// who does not see the traffic might, and as the network does with old duplicates.
// None of them may change anything: each is outside of what RFC 9293 §3.10.7.4 and
// RFC 5961 let through.
func (c *Conn) forge() {
	s := c.host.sim
	for range c.end.Forged {
		s.After(s.span(2*Second), func() {
			if !c.gone && c.watch.opened && c.watch.started {
				c.throw(c.forged())
			}
		})
	}
}

func (c *Conn) throw(h tcpseg.Header, payload []byte) {
	h.SrcPort, h.DstPort = c.flow.remote, c.flow.local
	b := append(h.AppendTo(nil), payload...)
	seal(c.flow.peer, c.host, b)
	c.host.receive(packet{from: c.flow.peer, b: b, forged: true})
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
