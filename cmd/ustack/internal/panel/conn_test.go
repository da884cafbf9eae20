package panel

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ustack/stack/link"

	"github.com/gopacket/gopacket/pcapgo"
)

// oneConnection is a client whose requests travel on one connection.
func (w *world) oneConnection() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: w.client.DialContext, MaxConnsPerHost: 1}}
}

// fetch returns an answer and its content.
func fetch(t *testing.T, c *http.Client, path, accept string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequest("GET", "http://192.0.2.1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", accept)
	r, err := c.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

// TestConn asks on one connection: what it is like, for much data that gets lost in part, what that was like, and for its
// packets.
func TestConn(t *testing.T) {
	w := newWorld(t, link.Spec{Out: link.Faults{Loss: 2, Delay: time.Millisecond}, Seed: 5})
	c := w.oneConnection()
	if r, _ := fetch(t, c, capturePath, "*/*"); r.StatusCode != http.StatusNotFound || w.tracers.Load() != 0 {
		t.Errorf("a capture before a recording: %s, %d tracers", r.Status, w.tracers.Load())
	}
	facts := func() (f connFacts) {
		_, text := fetch(t, c, "/_/conn", "*/*")
		if err := json.Unmarshal([]byte(text), &f); err != nil || f.Recorded == nil {
			t.Fatalf("%v in %s", err, text)
		}
		return f
	}
	first := facts()
	if first.Local != "192.0.2.1:80" || first.State != "ESTABLISHED" || !first.Handshake.SACK || !first.Handshake.Timestamps || first.Handshake.MSS != 1448 || first.Request != 2 {
		t.Errorf("%+v", first)
	}
	fetch(t, c, "/large", "*/*")
	second := facts()
	r := second.Recorded
	if second.Remote != first.Remote || second.Request != 4 || second.Totals.BytesOut < 1<<20 || second.RTT.Smoothed <= 0.9 {
		t.Errorf("%+v", second)
	}
	checkAccount(t, &second)
	if r.Causes["data"] < 100 || r.Causes["fast-retransmit"] == 0 || len(r.Held) == 0 || r.Packets < 500 {
		t.Errorf("recorded: %+v", r)
	}
	checkSamples(t, r)
	answer, capture := fetch(t, c, capturePath, "*/*")
	if d := answer.Header.Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="ustack-`) {
		t.Errorf("%q", d)
	}
	checkCapture(t, capture)
	answer, page := fetch(t, c, "/_/conn", "text/html,*/*")
	if answer.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page, "<polyline class=\"thin\" points=\"0.00,") || strings.Count(page, "<polyline") != 2 || !strings.Contains(page, "fast-retransmit") ||
		!strings.Contains(page, "<td class=\"num\">1460; ") || !strings.Contains(page, "What it has waited for") {
		t.Error(page)
	}

	c.CloseIdleConnections()
	for range 500 {
		if w.tracers.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the recording goes on without its connection")
}

// checkAccount expects what must be so after a download of a megabyte that loses some.
func checkAccount(t *testing.T, f *connFacts) {
	t.Helper()
	h, n, w := f.Handshake, f.Totals, f.Waited
	if h.RTT < 0.9 || h.PathMTU != 1500 || h.AdvertisedMSS != 1460 || h.FastOpen {
		t.Errorf("%+v", h)
	}
	if n.BytesAcked < 1<<20 || n.BytesRetransmitted < 1448 || n.BytesAcked+n.BytesRetransmitted+uint64(f.Windows.InFlight) != n.BytesOut || n.OutOfOrder != 0 {
		t.Errorf("%+v, %d in flight", n, f.Windows.InFlight)
	}
	if w.Cwnd <= 0 || w.Recovering <= 0 || w.Busy < w.Recovering || w.Nagle != 0 || w.Pacing != 0 || f.Rates.Delivery < 100_000 || f.Rates.Pacing != 0 {
		t.Errorf("%+v, %+v", w, f.Rates)
	}
	if s := f.Since; s.DataSent == nil || s.DataReceived == nil || s.Received == nil || *s.Received > *s.DataReceived+1 {
		t.Errorf("%+v", s)
	}
}

// checkSamples expects round-trip times as they were measured, of which the smoothed ones are made, and the change to
// recovery.
func checkSamples(t *testing.T, r *recorded) {
	t.Helper()
	if len(r.Samples) < 5 {
		t.Fatalf("%d samples", len(r.Samples))
	}
	for i, s := range r.Samples {
		if s.RTT < 0.9 || s.SRTT < 0.9 {
			t.Errorf("sample %d: %+v", i, s)
		}
		if i > 0 { // RFC 6298 §2.3: an eighth of what is new, or less where there are many samples in a round trip
			before := r.Samples[i-1]
			if low, high := min(before.SRTT, s.RTT), max(before.SRTT, s.RTT); s.SRTT < low-0.002 || s.SRTT > high+0.002 || s.At < before.At {
				t.Errorf("sample %d: %+v after %+v", i, s, before)
			}
		}
	}
	for _, c := range r.Changes {
		if c.State != "ESTABLISHED" {
			t.Errorf("%+v", c)
		}
		if c.Phase == "fast-recovery" {
			return
		}
	}
	t.Errorf("no recovery in %+v", r.Changes)
}

// checkCapture reads the packets, and expects them to be those of a download with losses.
func checkCapture(t *testing.T, file string) {
	t.Helper()
	r, err := pcapgo.NewNgReader(strings.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	packets, again := 0, 0
	for {
		data, info, options, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(options.Comments) != 1 || data[0]>>4 != 4 || len(data) > keptOctets || info.Length < len(data) {
			t.Fatalf("%d octets of %d, comments %q", len(data), info.Length, options.Comments)
		}
		packets++
		if strings.HasPrefix(options.Comments[0], "fast retransmit") {
			again++
		}
	}
	if packets < 500 || packets > keptPackets || again == 0 {
		t.Errorf("%d packets, %d sent again", packets, again)
	}
}

// TestConnElsewhere: a connection that is not the stack's has no facts.
func TestConnElsewhere(t *testing.T) {
	w := newWorld(t, link.Spec{})
	p := New(w.client, nil)
	rec := httptest.NewRecorder()
	p.conn(rec, httptest.NewRequest("GET", "/_/conn", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("status %d", rec.Code)
	}
}
