package panel

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"ustack/stack"
	"ustack/stack/tcb"
	"ustack/stack/trace"
)

// A flow names a connection by its ends.
type flow struct{ local, remote netip.AddrPort }

// String is how the page knows a connection.
func (f flow) String() string { return f.remote.String() + ">" + f.local.String() }

// flowOf returns the connection that brought a request.
func flowOf(r *http.Request) (f flow) {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		f.local = unmap(a.AddrPort())
	}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		f.remote = unmap(a)
	}
	return f
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// table is what the stack consists of at the moment.
type table struct {
	Now      int64 `json:"now"` // ms since the stream began
	Conns    []row `json:"conns"`
	More     int   `json:"more"` // connections that found no place in Conns
	HalfOpen int   `json:"half_open"`
	TimeWait int   `json:"time_wait"`
	Waiting  int   `json:"waiting"` // to be accepted

	PacketsIn    uint64            `json:"packets_in"`
	SegmentsOut  uint64            `json:"segments_out"`
	Sent         map[string]uint64 `json:"sent"`
	Resent       uint64            `json:"resent"` // of Sent, what was sent before
	Drops        map[string]uint64 `json:"drops"`
	Sections     map[string]string `json:"sections"` // what asks for those drops
	QueueDrops   uint64            `json:"queue_drops"`
	MemoryUsed   int64             `json:"memory_used"`
	MemoryBudget int64             `json:"memory_budget"`
}

// row is one connection. Sizes are octets.
type row struct {
	ID          string `json:"id"`
	Local       string `json:"local"`
	Remote      string `json:"remote"`
	Own         bool   `json:"own,omitempty"` // it carries a stream like this one
	State       string `json:"state"`
	Phase       string `json:"phase"`
	Cwnd        int    `json:"cwnd"`
	SSThresh    int    `json:"ssthresh,omitempty"` // 0: none yet
	InFlight    int    `json:"in_flight"`
	PeerWindow  int    `json:"peer_window"`
	Unsent      int    `json:"unsent"`
	SRTT        int64  `json:"srtt_us"`
	RTO         int64  `json:"rto_us"`
	Retransmits uint64 `json:"retransmits"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
}

// maxRows is how many connections are listed, the busiest first.
const maxRows = 100

// table looks at the stack.
func (p *Panel) table() *table {
	st := p.stack.Stats()
	t := &table{
		Conns:    []row{},
		HalfOpen: st.HalfOpen, TimeWait: st.TimeWait,
		PacketsIn: st.Counters["packets-in"], SegmentsOut: st.Counters["tcp-segments-out"], Sent: st.Sent, Resent: st.Resent(),
		Drops: st.Drops, Sections: sections(st.Drops), MemoryUsed: st.MemoryUsed, MemoryBudget: st.MemoryBudget,
	}
	for _, l := range p.stack.Listeners() {
		t.Waiting += l.Waiting
	}
	for _, l := range st.Links {
		t.QueueDrops += l.QueueDrops
	}
	for _, c := range p.stack.Conns() {
		i := c.Info()
		if i.State == tcb.Closed || i.State == tcb.TimeWaiting {
			continue // it has ended since, and its events say so
		}
		r := rowOf(&i)
		r.Own = p.carries(flow{i.Local, i.Remote})
		t.Conns = append(t.Conns, r)
	}
	slices.SortFunc(t.Conns, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.BytesOut+b.BytesIn, a.BytesOut+a.BytesIn), cmp.Compare(a.ID, b.ID))
	})
	if len(t.Conns) > maxRows {
		t.More = len(t.Conns) - maxRows
		t.Conns = t.Conns[:maxRows]
	}
	return t
}

// sections returns what asks for the drops that have one.
func sections(drops map[string]uint64) map[string]string {
	m := make(map[string]string, len(drops))
	for name := range drops {
		if s := trace.Section(name); s != "" {
			m[name] = s
		}
	}
	return m
}

func rowOf(i *stack.Info) row {
	f := flow{i.Local, i.Remote}
	return row{
		ID: f.String(), Local: i.Local.String(), Remote: i.Remote.String(),
		State: i.State.String(), Phase: i.Phase.String(),
		Cwnd: i.Cwnd, SSThresh: threshold(&i.Snapshot), InFlight: i.InFlight, PeerWindow: i.SndWnd,
		Unsent: i.Unsent(), SRTT: int64(i.SRTT / 1000), RTO: int64(i.RTO / 1000),
		Retransmits: i.Retransmits, BytesIn: i.BytesIn, BytesOut: i.BytesOut,
	}
}

// threshold returns ssthresh, 0 as long as there is none.
func threshold(s *tcb.Snapshot) int {
	if !s.HasThreshold() {
		return 0
	}
	return s.SSThresh
}
