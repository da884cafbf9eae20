package sockstat

import (
	"cmp"
	"context"
	"slices"
	"time"

	"ustack/cmd/ustack/internal/control"
)

// Page is what a filter has picked at a moment. Lists that it takes nothing of are nil.
type Page struct {
	Time      time.Time          `json:"time"`
	Listeners []control.Listener `json:"listeners,omitzero"`
	HalfOpen  []control.HalfOpen `json:"half_open,omitzero"`
	Conns     []control.Conn     `json:"conns,omitzero"`
	TimeWait  []control.TimeWait `json:"time_wait,omitzero"`
}

// Server is who knows: *control.Client is one.
type Server interface {
	Listeners(context.Context) (control.Listeners, error)
	HalfOpens(context.Context) (control.HalfOpens, error)
	Conns(context.Context) (control.Conns, error)
	TimeWaits(context.Context) (control.TimeWaits, error)
}

// connStates are those that a connection may be in, rather than a listener or a record.
var connStates = []string{"SYN-SENT", halfOpen, "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK"}

// Look asks a server for what f takes, and for nothing else: some lists are long.
func Look(ctx context.Context, s Server, f *Filter) (*Page, error) {
	p := &Page{Time: time.Now().UTC()}
	if f.states(listening) {
		all, err := s.Listeners(ctx)
		if err != nil {
			return nil, err
		}
		p.Listeners = pick(f, all.Listeners, func(l *control.Listener) Socket {
			return Socket{State: listening, Local: l.Local, BothFamilies: l.BothFamilies}
		})
	}
	if f.states(halfOpen) {
		all, err := s.HalfOpens(ctx)
		if err != nil {
			return nil, err
		}
		p.HalfOpen = pick(f, all.HalfOpen, func(h *control.HalfOpen) Socket { return Socket{State: halfOpen, Local: h.Local, Remote: h.Remote} })
	}
	if slices.ContainsFunc(connStates, f.states) {
		all, err := s.Conns(ctx)
		if err != nil {
			return nil, err
		}
		p.Conns = pick(f, all.Conns, func(c *control.Conn) Socket { return Socket{State: c.State, Local: c.Local, Remote: c.Remote} })
	}
	if f.states(timeWait) {
		all, err := s.TimeWaits(ctx)
		if err != nil {
			return nil, err
		}
		p.TimeWait = pick(f, all.TimeWait, func(w *control.TimeWait) Socket { return Socket{State: timeWait, Local: w.Local, Remote: w.Remote} })
	}
	return p, nil
}

// pick returns what f takes of a list, in the order of addresses and ports.
func pick[T any](f *Filter, list []T, socket func(*T) Socket) []T {
	list = slices.DeleteFunc(list, func(x T) bool {
		s := socket(&x)
		return !f.takes(&s)
	})
	slices.SortFunc(list, func(a, b T) int {
		x, y := socket(&a), socket(&b)
		return cmp.Or(x.Local.Compare(y.Local), x.Remote.Compare(y.Remote))
	})
	return list
}
