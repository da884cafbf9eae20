// Package top is a page of a running stack that renews itself: its connections with their rates and windows over time.
package top

import (
	"net/netip"
	"time"

	"ustack/cmd/ustack/internal/control"
)

// historyLen is how many samples of a window are kept: more than fit on any line.
const historyLen = 64

// Sample is what a server says at a moment.
type Sample struct {
	Conns control.Conns
	Stats control.Stats
}

// Row is a connection with what its samples say together.
type Row struct {
	control.Conn
	In, Out float64 // octets of data a second
	Cwnds   []int   // oldest first
}

// Drop is a reason for refusals.
type Drop struct {
	Reason string
	Total  uint64
	Rate   float64 // a second
}

// History turns samples into rates.
type History struct {
	last  Sample
	rows  map[ends]*Row
	Rows  []*Row // as in the last sample
	Drops []Drop // by reason, in no order
	// LinkIn and LinkOut are octets a second through the links, headers included.
	LinkIn, LinkOut float64
}

type ends struct{ local, remote netip.AddrPort }

// Last returns the newest sample.
func (h *History) Last() *Sample { return &h.last }

// Add takes the next sample.
func (h *History) Add(s Sample) {
	elapsed := s.Conns.Time.Sub(h.last.Conns.Time)
	first := h.last.Conns.Time.IsZero()
	rows := make(map[ends]*Row, len(s.Conns.Conns))
	h.Rows = h.Rows[:0]
	for _, c := range s.Conns.Conns {
		key := ends{c.Local, c.Remote}
		row := next(h.rows[key], c, elapsed, first)
		rows[key] = row
		h.Rows = append(h.Rows, row)
	}
	h.rows = rows
	h.addStats(&s.Stats, first)
	h.last = s
}

// next is the row of a connection after one more sample. old is nil if there was none before: unless that sample is the
// first of all, the connection is younger than the sample before, and everything has happened since.
func next(old *Row, c control.Conn, elapsed time.Duration, first bool) *Row {
	row := &Row{Conn: c}
	if old != nil && old.SegsIn <= c.SegsIn && old.SegsOut <= c.SegsOut { // else the ports have been used again
		row.In = rate(old.BytesReceived, c.BytesReceived, elapsed)
		row.Out = rate(old.BytesSent, c.BytesSent, elapsed)
		row.Cwnds = old.Cwnds
	} else if !first {
		row.In = rate(0, c.BytesReceived, elapsed)
		row.Out = rate(0, c.BytesSent, elapsed)
	}
	if len(row.Cwnds) == historyLen {
		row.Cwnds = row.Cwnds[1:]
	}
	row.Cwnds = append(row.Cwnds, c.Cwnd)
	return row
}

func (h *History) addStats(s *control.Stats, first bool) {
	elapsed := s.Time.Sub(h.last.Stats.Time)
	h.Drops = h.Drops[:0]
	for reason, total := range s.Drops {
		d := Drop{Reason: reason, Total: total}
		if !first {
			d.Rate = rate(h.last.Stats.Drops[reason], total, elapsed)
		}
		h.Drops = append(h.Drops, d)
	}
	if first {
		return
	}
	oldIn, oldOut := linkOctets(&h.last.Stats)
	newIn, newOut := linkOctets(s)
	h.LinkIn, h.LinkOut = rate(oldIn, newIn, elapsed), rate(oldOut, newOut, elapsed)
}

func linkOctets(s *control.Stats) (in, out uint64) {
	for _, l := range s.Links {
		in += l.RxBytes
		out += l.TxBytes
	}
	return in, out
}

// rate is how fast a counter grows, a second.
func rate(from, to uint64, elapsed time.Duration) float64 {
	if to <= from || elapsed <= 0 {
		return 0
	}
	return float64(to-from) / elapsed.Seconds()
}
