package panel

import (
	"bytes"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ustack/httpserver"
	"ustack/stack"
)

// connFacts is the answer of /_/conn: the very connection that asked.
type connFacts struct {
	Local   string `json:"local"`
	Remote  string `json:"remote"`
	ID      uint64 `json:"connection,omitempty"` // the web server's number of it, as in /_/wire
	Request int    `json:"request,omitempty"`    // of this request on it
	State   string `json:"state"`
	Phase   string `json:"phase"`
	CC      string `json:"congestion_control"`

	Handshake handshake `json:"handshake"`
	RTT       rtt       `json:"rtt"`
	Windows   windows   `json:"windows"`
	Totals    totals    `json:"totals"`
	Recorded  *recorded `json:"recorded,omitempty"`
}

// handshake is what the SYN and its answer settled.
type handshake struct {
	MSS         int   `json:"mss"` // octets of payload that a segment carries now
	SACK        bool  `json:"sack"`
	Timestamps  bool  `json:"timestamps"`
	WindowScale bool  `json:"window_scale"`
	PeerShift   uint8 `json:"peer_shift"` // the peer's windows are scaled by it
	OwnShift    uint8 `json:"own_shift"`
	ECN         bool  `json:"ecn"`
}

// rtt are round-trip times.
type rtt struct {
	Smoothed float64 `json:"srtt_ms"`
	Variance float64 `json:"rttvar_ms"`
	Least    float64 `json:"min_ms"`
	Timeout  float64 `json:"rto_ms"`
}

// windows are octets.
type windows struct {
	Cwnd     int `json:"cwnd"`
	SSThresh int `json:"ssthresh,omitempty"` // left out as long as there is none
	InFlight int `json:"in_flight"`
	Unsent   int `json:"unsent"`
	Peer     int `json:"peer_window"`
	Own      int `json:"own_window"`
}

type totals struct {
	SegmentsIn     uint64 `json:"segments_in"`
	SegmentsOut    uint64 `json:"segments_out"`
	BytesIn        uint64 `json:"bytes_in"`
	BytesOut       uint64 `json:"bytes_out"`
	Retransmits    uint64 `json:"retransmits"`
	FastRecoveries uint64 `json:"fast_recoveries"`
	Timeouts       uint64 `json:"timeouts"`
}

// recorded is what has been seen of the connection since it first asked for /_/conn.
type recorded struct {
	Since   string            `json:"since"`
	Causes  map[string]uint64 `json:"causes"` // of the segments that were sent
	Held    map[string]uint64 `json:"held"`   // what it waited for when it stopped sending
	Drops   map[string]uint64 `json:"drops"`
	Samples []sample          `json:"rtt_samples"`
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
		if c.RemoteAddrPort() == f.remote && c.Info().Local == f.local {
			return c
		}
	}
	return nil
}

func factsOf(i stack.Info) *connFacts {
	return &connFacts{
		Local: i.Local.String(), Remote: i.Remote.String(), State: i.State.String(), Phase: i.Phase.String(), CC: i.CC,
		Handshake: handshake{i.MSS, i.SACK, i.Timestamps, i.WindowScale, i.SndScale, i.RcvScale, i.ECN},
		RTT:       rtt{millis(i.SRTT), millis(i.RTTVar), millis(i.MinRTT), millis(i.RTO)},
		Windows: windows{
			i.Cwnd, threshold(&i.Snapshot), i.InFlight, i.Unsent(), i.SndWnd, i.RcvWnd(),
		},
		Totals: totals{i.SegsIn, i.SegsOut, i.BytesIn, i.BytesOut, i.Retransmits, i.FastRecoveries, i.RTOs},
	}
}

func (r *recorder) facts() *recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &recorded{
		Since:  r.since.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		Causes: maps.Clone(r.causes), Held: maps.Clone(r.held), Drops: maps.Clone(r.drops),
		Samples: slices.Clone(r.samples), Packets: len(r.packets), Lost: r.lost, Capture: capturePath,
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

var connTemplate = template.Must(template.New("conn.html").Funcs(template.FuncMap{"curve": curve, "ms": shortMillis}).ParseFS(assets, "assets/conn.html"))

// shortMillis returns a time in ms with three or four digits that count.
func shortMillis(ms float64) string {
	digits := 2
	if ms >= 100 {
		digits = 1
	}
	return strconv.FormatFloat(ms, 'f', digits, 64)
}

// curve returns the points of a line through round-trip times, for a picture of 100 by 30.
func curve(list []sample) string {
	if len(list) < 2 {
		return ""
	}
	first, last, most := list[0].At, list[len(list)-1].At, 0.0
	for _, s := range list {
		most = max(most, s.SRTT)
	}
	var b strings.Builder
	for _, s := range list {
		x, y := 100*(s.At-first)/max(last-first, 1e-9), 29-28*s.SRTT/max(most, 1e-9)
		b.WriteString(strconv.FormatFloat(x, 'f', 2, 64) + "," + strconv.FormatFloat(y, 'f', 2, 64) + " ")
	}
	return b.String()
}
