package top

import (
	"cmp"
	"slices"
)

// column is one of the table's, and a way to sort it.
type column struct {
	title string
	width int  // at least
	right bool // numbers stand right
	order func(a, b *Row) int
	text  func(r *Row, f *Frame) string
}

// more puts the larger number first.
func more[T cmp.Ordered](of func(*Row) T) func(a, b *Row) int {
	return func(a, b *Row) int { return cmp.Compare(of(b), of(a)) }
}

// columnOut and the others that a frame treats in their own way.
const (
	columnPeer = iota
	columnPort
	columnState
	columnIn
	columnOut
	columnCwnd
	columnWindow
	columnSRTT
	columnAgain
)

var columns = []column{
	columnPeer: {"PEER", 21, false, func(a, b *Row) int { return a.Remote.Compare(b.Remote) },
		func(r *Row, _ *Frame) string { return r.Remote.String() }},
	columnPort: {"PORT", 5, true, func(a, b *Row) int { return cmp.Compare(a.Local.Port(), b.Local.Port()) },
		func(r *Row, _ *Frame) string { return number(int(r.Local.Port())) }},
	columnState: {"STATE", 6, false, func(a, b *Row) int { return cmp.Compare(a.State, b.State) },
		func(r *Row, f *Frame) string { return state(r, f.widths[columnState]) }},
	columnIn: {"IN b/s", 7, true, more(func(r *Row) float64 { return r.In }),
		func(r *Row, _ *Frame) string { return short(r.In * 8) }},
	columnOut: {"OUT b/s", 7, true, more(func(r *Row) float64 { return r.Out }),
		func(r *Row, _ *Frame) string { return short(r.Out * 8) }},
	columnCwnd: {"CWND", 6, true, more(func(r *Row) int { return r.Cwnd }),
		func(r *Row, _ *Frame) string { return short(float64(r.Cwnd)) }},
	columnWindow: {"…", 8, false, more(func(r *Row) int { return r.InFlight }),
		func(r *Row, f *Frame) string { return sparkline(r.Cwnds, f.widths[columnWindow], f.ASCII) }},
	columnSRTT: {"SRTT", 6, true, more(func(r *Row) int64 { return r.SRTT }),
		func(r *Row, _ *Frame) string { return millis(r.SRTT) }},
	columnAgain: {"REXMT", 5, true, more(func(r *Row) uint64 { return r.Retransmits }),
		func(r *Row, _ *Frame) string { return number(int(r.Retransmits)) }},
}

// byRate is the order of who has asked for none: the busiest first.
const byRate = -1

// sorted returns the rows in the order of a column.
func sorted(rows []*Row, by int, reverse bool) []*Row {
	order := more(func(r *Row) float64 { return r.In + r.Out })
	if by != byRate {
		order = columns[by].order
	}
	list := slices.Clone(rows)
	slices.SortStableFunc(list, func(a, b *Row) int {
		n := order(a, b)
		if n == 0 {
			return a.Remote.Compare(b.Remote)
		}
		if reverse {
			return -n
		}
		return n
	})
	return list
}
