package panel

import (
	"bytes"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"ustack/httpserver"
	"ustack/stack"
)

// recorded is what has been seen of the connection since it first asked for /_/conn.
type recorded struct {
	Since   string            `json:"since"`
	Causes  map[string]uint64 `json:"causes"` // of the segments that were sent
	Held    map[string]uint64 `json:"held"`   // what it waited for when it stopped sending
	Drops   map[string]uint64 `json:"drops"`
	Samples []sample          `json:"rtt_samples"`
	Changes []change          `json:"changes"` // of state and phase
	Packets int               `json:"packets"` // in the capture
	Asked   []exchange        `json:"exchanges"`
	Lost    uint64            `json:"lost"` // events of all connections that came too fast
	Capture string            `json:"capture"`
}

const capturePath = "/_/conn/capture"

// conn answers with the connection that asks, and begins to record it.
func (p *Panel) conn(w http.ResponseWriter, r *http.Request) {
	f := flowOf(r)
	c := p.find(f)
	if c == nil {
		http.Error(w, "this connection is not one of the stack's", http.StatusNotFound)
		return
	}
	facts := factsOf(c.Info())
	if info, ok := r.Context().Value(httpserver.ConnInfoKey).(httpserver.ConnInfo); ok {
		facts.ID, facts.Request = info.ID, info.Requests
	}
	if rec := p.recorder(f, true); rec != nil {
		facts.Recorded = rec.facts()
	}
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		connTemplate.Execute(w, facts)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(facts)
}

// find returns the connection of f; nil: it is none of the stack's.
func (p *Panel) find(f flow) *stack.Conn {
	for _, c := range p.stack.Conns() {
		if c.RemoteAddrPort() == f.remote && c.LocalAddrPort() == f.local {
			return c
		}
	}
	return nil
}

func (r *recorder) facts() *recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &recorded{
		Since:  r.since.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		Causes: maps.Clone(r.causes), Held: maps.Clone(r.held), Drops: maps.Clone(r.drops),
		Samples: r.samples.Slice(), Changes: r.changes.Slice(), Packets: r.packets.Len(), Lost: r.lost, Capture: capturePath,
		Asked: append([]exchange{}, r.asked.list...),
	}
}

// connCapture answers with the last packets of the connection that asks.
func (p *Panel) connCapture(w http.ResponseWriter, r *http.Request) {
	f := flowOf(r)
	rec := p.recorder(f, false)
	if rec == nil {
		http.Error(w, "nothing is recorded of this connection: ask for /_/conn on it, do something, then ask for this", http.StatusNotFound)
		return
	}
	var file bytes.Buffer
	if err := rec.capture(&file, "the connection "+f.remote.String()+" to "+f.local.String()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-pcapng")
	h.Set("Content-Disposition", `attachment; filename="ustack-`+strconv.Itoa(int(f.remote.Port()))+`.pcapng"`)
	h.Set("Content-Length", strconv.Itoa(file.Len()))
	w.Write(file.Bytes())
}

var connTemplate = template.Must(template.New("conn.html").Funcs(template.FuncMap{"lines": linesOf, "ms": shortMillis}).ParseFS(assets, "assets/conn.html"))

// shortMillis returns a time in ms with three or four digits that count.
func shortMillis(ms float64) string {
	digits := 2
	if ms >= 100 {
		digits = 1
	}
	return strconv.FormatFloat(ms, 'f', digits, 64)
}

// lines are two lines through round-trip times, as they were measured and smoothed, for a picture of 100 by 30.
type lines struct{ RTT, SRTT string }

func linesOf(list []sample) (l lines) {
	if len(list) < 2 {
		return l
	}
	most := 0.0
	for _, s := range list {
		most = max(most, s.RTT, s.SRTT)
	}
	return lines{
		curve(list, most, func(s sample) float64 { return s.RTT }),
		curve(list, most, func(s sample) float64 { return s.SRTT }),
	}
}

// curve returns the points of a line, whose highest possible one is most.
func curve(list []sample, most float64, of func(sample) float64) string {
	first, last := list[0].At, list[len(list)-1].At
	var b strings.Builder
	for _, s := range list {
		x, y := 100*(s.At-first)/max(last-first, 1e-9), 29-28*of(s)/max(most, 1e-9)
		b.WriteString(strconv.FormatFloat(x, 'f', 2, 64) + "," + strconv.FormatFloat(y, 'f', 2, 64) + " ")
	}
	return b.String()
}
