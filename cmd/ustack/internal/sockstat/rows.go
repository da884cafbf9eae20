package sockstat

import (
	"net/netip"
	"strconv"
	"strings"

	"ustack/cmd/ustack/internal/control"
)

// rows are the lines of a page: who waits, who comes, who is there, who has been.
func (p *Page) rows() []row {
	rows := make([]row, 0, len(p.Listeners)+len(p.HalfOpen)+len(p.Conns)+len(p.TimeWait))
	for i := range p.Listeners {
		rows = append(rows, listenerRow(&p.Listeners[i]))
	}
	for i := range p.HalfOpen {
		h := &p.HalfOpen[i]
		rows = append(rows, recordRow(halfOpen, h.Local, h.Remote, timer("on", h.Remaining, h.Resent)))
	}
	for i := range p.Conns {
		rows = append(rows, rowOf(&p.Conns[i]))
	}
	for i := range p.TimeWait {
		w := &p.TimeWait[i]
		rows = append(rows, recordRow(timeWait, w.Local, w.Remote, timer("timewait", w.Remaining, 0)))
	}
	return rows
}

// listenerRow has in its queues what ss has there: how many wait to be accepted, and how many may.
func listenerRow(l *control.Listener) row {
	r := row{
		state: listening, recvQ: strconv.Itoa(l.Waiting), sendQ: strconv.Itoa(l.Backlog),
		local: l.Local.String(), info: "syncookies:" + l.SynCookies,
	}
	wild := netip.IPv6Unspecified()
	if l.Local.Addr().Is4() {
		wild = netip.IPv4Unspecified()
	}
	r.remote = strings.TrimSuffix(netip.AddrPortFrom(wild, 0).String(), "0") + "*"
	if l.BothFamilies {
		r.local, r.remote = "*:"+strconv.Itoa(int(l.Local.Port())), "*:*"
	}
	if l.HalfOpen > 0 {
		r.info = "half_open:" + strconv.Itoa(l.HalfOpen) + " " + r.info
	}
	return r
}

func recordRow(state string, local, remote netip.AddrPort, info string) row {
	return row{state: StateName(state), recvQ: "0", sendQ: "0", local: local.String(), remote: remote.String(), info: info}
}

// timer writes a timer as ss -o does: its name, when it is due, how often it has been.
func timer(name string, us int64, often int) string {
	return "timer:(" + name + "," + remaining(us) + "," + strconv.Itoa(often) + ")"
}

// remaining writes microseconds as people say them: 350ms, 1.5sec, 59sec, 2min.
func remaining(us int64) string {
	ms := us / 1000
	switch {
	case ms < 1000:
		return strconv.FormatInt(ms, 10) + "ms"
	case ms < 10_000:
		return strconv.FormatFloat(float64(ms/100)/10, 'f', -1, 64) + "sec"
	case ms < 60_000:
		return strconv.FormatInt(ms/1000, 10) + "sec"
	}
	text := strconv.FormatInt(ms/60_000, 10) + "min"
	if s := ms / 1000 % 60; s > 0 {
		text += strconv.FormatInt(s, 10) + "sec"
	}
	return text
}
