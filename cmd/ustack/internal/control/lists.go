package control

import (
	"bufio"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/netip"
	"time"

	"ustack/stack"
)

// Listeners are the listeners of a stack at a moment.
type Listeners struct {
	Time      time.Time  `json:"time"`
	Listeners []Listener `json:"listeners"`
}

// Listener is one of them. The address that it listens on is all of the stack's if it is unspecified.
type Listener struct {
	Local        netip.AddrPort `json:"local"`
	BothFamilies bool           `json:"both_families,omitempty"` // of Local [::]: it stands for 0.0.0.0 as well
	Waiting      int            `json:"waiting"`                 // connections that nobody has accepted yet
	HalfOpen     int            `json:"half_open"`
	Backlog      int            `json:"backlog"`     // the most of either
	SynCookies   string         `json:"syn_cookies"` // auto, always, off
}

// HalfOpens are the connections to listeners whose handshake is not complete.
type HalfOpens struct {
	Time     time.Time  `json:"time"`
	HalfOpen []HalfOpen `json:"half_open"`
}

// HalfOpen is one of them.
type HalfOpen struct {
	Local     netip.AddrPort `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	Resent    int            `json:"resent"`       // SYN,ACKs that were sent again
	Remaining int64          `json:"remaining_us"` // until the next one, or the end
}

// TimeWaits are the connections in TIME-WAIT.
type TimeWaits struct {
	Time     time.Time  `json:"time"`
	TimeWait []TimeWait `json:"time_wait"`
}

// TimeWait is one of them.
type TimeWait struct {
	Local     netip.AddrPort `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	Remaining int64          `json:"remaining_us"` // until it is forgotten
}

// Listeners asks for the listeners.
func (c *Client) Listeners(ctx context.Context) (Listeners, error) {
	return ask[Listeners](ctx, c, "/listeners")
}

// HalfOpens asks for the connections whose handshake is not complete.
func (c *Client) HalfOpens(ctx context.Context) (HalfOpens, error) {
	return ask[HalfOpens](ctx, c, "/half-open")
}

// TimeWaits asks for the connections in TIME-WAIT.
func (c *Client) TimeWaits(ctx context.Context) (TimeWaits, error) {
	return ask[TimeWaits](ctx, c, "/time-wait")
}

var cookieWords = map[stack.SynCookies]string{
	stack.SynCookiesAuto: "auto", stack.SynCookiesAlways: "always", stack.SynCookiesOff: "off",
}

func listenersOf(src Source) Listeners {
	all := Listeners{Time: time.Now().UTC(), Listeners: []Listener{}}
	for _, l := range src.Listeners() {
		all.Listeners = append(all.Listeners, Listener{l.Addr, l.BothFamilies, l.Waiting, l.HalfOpen, l.Backlog, cookieWords[l.SynCookies]})
	}
	return all
}

// halfOpens answers with them.
func (s *Server) halfOpens(w http.ResponseWriter, _ *http.Request) {
	if !s.silent(w) {
		answerList(w, "half_open", s.cfg.Source.HalfOpens(), func(i stack.HalfOpenInfo) any {
			return HalfOpen{i.Local, i.Remote, i.Resent, i.Remaining.Microseconds()}
		})
	}
}

// timeWaits answers with them.
func (s *Server) timeWaits(w http.ResponseWriter, _ *http.Request) {
	if !s.silent(w) {
		answerList(w, "time_wait", s.cfg.Source.TimeWaits(), func(i stack.TimeWaitInfo) any {
			return TimeWait{i.Local, i.Remote, i.Remaining.Microseconds()}
		})
	}
}

// answerList answers with an object of the time and of a list by that name, which is written as it is gone through: it
// may be long.
func answerList[I any](w http.ResponseWriter, name string, all iter.Seq[I], record func(I) any) {
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriter(w) // keeps the first error: who has gone needs no answer
	out.WriteString(`{"time":"` + time.Now().UTC().Format(time.RFC3339Nano) + `","` + name + `":[`)
	comma := false
	for i := range all {
		line, err := json.Marshal(record(i))
		if err != nil {
			return // as never with records; half an object tells that something is wrong
		}
		if comma {
			out.WriteByte(',')
		}
		comma = true
		if _, err := out.Write(line); err != nil {
			return
		}
	}
	out.WriteString("]}\n")
	out.Flush()
}
