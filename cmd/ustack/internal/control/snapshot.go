package control

import (
	"time"

	"ustack/stack"
	"ustack/stack/tcb"
)

// snapshot asks src for its connections.
func snapshot(src Source) Conns {
	list := Conns{Time: time.Now().UTC(), Conns: []Conn{}}
	for _, c := range src.Conns() {
		info := c.Info()
		// One that has ended since is in nobody's list any more.
		if info.State != tcb.Closed && info.State != tcb.TimeWaiting {
			list.Conns = append(list.Conns, fromInfo(&info))
		}
	}
	return list
}

// fromInfo puts the state of a connection in the words of the protocol.
func fromInfo(i *stack.Info) Conn {
	c := Conn{
		Local: i.Local, Remote: i.Remote, State: i.State.String(), Phase: i.Phase.String(), CC: i.CC,
		Cwnd: i.Cwnd, MSS: i.MSS, InFlight: i.InFlight, Sacked: i.Sacked, Lost: i.Lost, PeerWindow: i.SndWnd,
		Unsent: i.Unsent(), SendQueue: i.SndQueued,
		RecvQueue: i.RcvQueued, OutOfOrder: i.RcvOutOfOrder, RecvWindow: i.RcvWnd(),
		SRTT: micros(i.SRTT), RTTVar: micros(i.RTTVar), MinRTT: micros(i.MinRTT), RTO: micros(i.RTO),
		BytesSent: i.BytesOut, BytesReceived: i.BytesIn, SegsOut: i.SegsOut, SegsIn: i.SegsIn,
		Retransmits: i.Retransmits, RTOs: i.RTOs, FastRecoveries: i.FastRecoveries,
		SACK: i.SACK, Timestamps: i.Timestamps, ECN: i.ECN,
		WindowScale: i.WindowScale, SendScale: i.SndScale, RecvScale: i.RcvScale,
		Account: accountOf(i),
		Stalled: i.Stalled,
	}
	if i.HasThreshold() {
		c.SSThresh = &i.SSThresh
	}
	if i.SoftError != nil {
		c.SoftError = i.SoftError.Error()
	}
	return c
}

func micros(t tcb.Time) int64 { return time.Duration(t).Microseconds() }

// statsOf asks src for its counters.
func statsOf(src Source) Stats {
	st := src.Stats()
	s := Stats{
		Time: time.Now().UTC(), Conns: st.Conns, HalfOpen: st.HalfOpen, TimeWait: st.TimeWait,
		MemoryUsed: st.MemoryUsed, MemoryBudget: st.MemoryBudget, Counters: st.Counters, Drops: st.Drops,
		Links: []Link{},
	}
	for _, l := range src.Listeners() {
		s.Listeners++
		s.Waiting += l.Waiting
	}
	for _, l := range st.Links {
		s.Links = append(s.Links, Link(l))
	}
	return s
}
