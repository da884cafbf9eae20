package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ustack/cmd/ustack/internal/control"

	tea "charm.land/bubbletea/v2"
)

var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// sample is what a server says so many seconds after the start.
func sample(seconds int, conns ...control.Conn) Sample {
	at := start.Add(time.Duration(seconds) * time.Second)
	return Sample{
		Conns: control.Conns{Time: at, Conns: conns},
		Stats: control.Stats{
			Time: at, Conns: len(conns), HalfOpen: 1, TimeWait: 2, Waiting: 4,
			Drops: map[string]uint64{"tcp-duplicate": uint64(10 * seconds), "listen-backlog-full": 3},
			Links: []control.Link{{RxBytes: uint64(1000 * seconds), TxBytes: uint64(1_000_000 * seconds), QueueDrops: 4}},
		},
	}
}

// conn is a connection of a client by its port.
func conn(port uint16, received, sent uint64) control.Conn {
	return control.Conn{
		Local: netip.MustParseAddrPort("10.90.0.2:80"), Remote: netip.AddrPortFrom(netip.MustParseAddr("10.90.0.1"), port),
		State: "ESTABLISHED", Cwnd: 14_480 + int(sent), SRTT: 12_345, Retransmits: 3,
		BytesReceived: received, BytesSent: sent, SegsIn: received / 100, SegsOut: sent / 100,
	}
}

func TestRates(t *testing.T) {
	var h History
	h.Add(sample(10, conn(1, 1000, 5000), conn(2, 1000, 1000), conn(3, 400, 400)))
	if r := h.Rows[0]; r.In != 0 || r.Out != 0 || h.LinkIn != 0 {
		t.Errorf("rates out of one sample: %+v", r)
	}
	// Two seconds later: port 1 goes on, 2 has gone and come again, 3 has gone, 4 is new.
	h.Add(sample(12, conn(1, 1200, 25_000), conn(2, 600, 200), conn(4, 800, 100)))
	for i, want := range []struct {
		port    uint16
		in, out float64
		cwnds   int
	}{{1, 100, 10_000, 2}, {2, 300, 100, 1}, {4, 400, 50, 1}} {
		if r := h.Rows[i]; r.Remote.Port() != want.port || r.In != want.in || r.Out != want.out || len(r.Cwnds) != want.cwnds {
			t.Errorf("row %d: %+v, want %+v", i, r, want)
		}
	}
	if len(h.Rows) != 3 || len(h.rows) != 3 {
		t.Errorf("%d rows, %d remembered", len(h.Rows), len(h.rows))
	}
	if h.LinkIn != 1000 || h.LinkOut != 1_000_000 {
		t.Errorf("link: in %v, out %v", h.LinkIn, h.LinkOut)
	}
	for _, d := range h.Drops {
		if want := map[string]float64{"tcp-duplicate": 10, "listen-backlog-full": 0}[d.Reason]; d.Rate != want {
			t.Errorf("%+v, want %v a second", d, want)
		}
	}
	for i := range 3 * historyLen {
		h.Add(sample(13+i, conn(1, 1200, 25_000+uint64(i))))
	}
	if r := h.Rows[0]; len(r.Cwnds) != historyLen || r.Cwnds[historyLen-1] != r.Cwnd {
		t.Errorf("%d windows are kept, the last of them %d", len(r.Cwnds), r.Cwnds[len(r.Cwnds)-1])
	}
}

// history is two samples of three connections.
func history() *History {
	var h History
	h.Add(sample(0, conn(30001, 0, 0), conn(30002, 0, 0), conn(30003, 0, 0)))
	third := conn(30003, 0, 0)
	third.Remote = netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:30003")
	third.State = "FIN-WAIT-2"
	h.Add(sample(1, conn(30001, 100, 100_000), conn(30002, 5000, 2_500_000), third))
	return &h
}

func TestDraw(t *testing.T) {
	f := NewFrame()
	f.Height = 24
	page := f.Draw(history())
	lines := strings.Split(page, "\n")
	want := []string{
		"ustack: connections 3 · half-open 1 · TIME-WAIT 2 · to accept 4 · queues hold 0",
		"link in 8.00kb/s · out 8.00Mb/s · lost: 4 in the device's queue, 0 on writing",
		"PEER                   PORT STATE    IN b/s OUT b/s   CWND            SRTT REXMT",
		"10.90.0.1:30002          80 ESTAB     40.0k   20.0M  2.51M ▁█       12.3ms     3",
		"10.90.0.1:30001          80 ESTAB       800    800k   114k ▁█       12.3ms     3",
		"[2001:db8:1111:2222:…    80 FIN-W2        0       0  14.5k █        12.3ms     3",
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("line %d\n%q, want\n%q", i, lines[i], want[i])
		}
	}
	tail := []string{
		"     REFUSED  A SECOND  WHY",
		"          10        10  tcp-duplicate (RFC 9293 §3.10.7.4)",
		"           3         0  listen-backlog-full",
		"q quit  ←→ sort by  r reverse  ↑↓ scroll  space pause",
	}
	for i, got := range lines[len(lines)-len(tail):] {
		if got != tail[i] {
			t.Errorf("%q, want %q", got, tail[i])
		}
	}
}

// TestSizes: no line is longer than the terminal is wide, and no page higher.
func TestSizes(t *testing.T) {
	h := history()
	for i := range 40 {
		h.Rows = append(h.Rows, &Row{Conn: conn(uint16(40_000+i), 1<<40, 1<<50), In: 1e15, Out: 1e15, Cwnds: []int{1, 2, 3}})
	}
	for _, size := range [][2]int{{80, 24}, {80, 10}, {100, 40}, {200, 60}, {81, 25}} {
		for _, ascii := range []bool{false, true} {
			f := NewFrame()
			f.Width, f.Height, f.ASCII = size[0], size[1], ascii
			page := f.Draw(h)
			lines := strings.Split(page, "\n")
			if len(lines) != size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, l := range lines {
				if utf8.RuneCountInString(l) > size[0] {
					t.Errorf("%v: too long: %q", size, l)
				}
				if ascii && len(l) != utf8.RuneCountInString(l) {
					t.Errorf("no ASCII: %q", l)
				}
			}
		}
	}
	f := NewFrame() // not on a terminal
	if got := strings.Count(f.Draw(h), "\n10.90.0.1:"); got != 42 {
		t.Errorf("%d connections on a page without an end, want 42", got)
	}
	if page := f.Draw(new(History)); !strings.Contains(page, "no connections") {
		t.Errorf("%s", page)
	}
}

func ports(rows []*Row) (list []uint16) {
	for _, r := range rows {
		list = append(list, r.Remote.Port())
	}
	return list
}

func TestSorted(t *testing.T) {
	rows := history().Rows
	for _, tt := range []struct {
		by      int
		reverse bool
		want    string
	}{
		{byRate, false, "[30002 30001 30003]"}, {byRate, true, "[30003 30001 30002]"}, {columnPeer, false, "[30001 30002 30003]"},
		{columnState, true, "[30003 30001 30002]"}, {columnCwnd, false, "[30002 30001 30003]"}, {columnSRTT, false, "[30001 30002 30003]"},
	} {
		if got := fmt.Sprint(ports(sorted(rows, tt.by, tt.reverse))); got != tt.want {
			t.Errorf("by %d, reverse %v: %s, want %s", tt.by, tt.reverse, got, tt.want)
		}
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1.00k", 9994: "9.99k", 12_345: "12.3k", 999_600: "1.00M", 4.2e9: "4.20G", 1e12: "1.00T"} {
		if got := short(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
	for us, want := range map[int64]string{0: "-", 50: "0.05ms", 12_345: "12.3ms", 212_000: "212ms", 1_500_000: "1.50s"} {
		if got := millis(us); got != want {
			t.Errorf("%d µs: %s, want %s", us, got, want)
		}
	}
	if got := sparkline([]int{9, 0, 1, 4, 8}, 4, false); got != "▁▁▄█" {
		t.Error(got)
	}
	if got := sparkline([]int{0, 0}, 4, true); got != "__" {
		t.Error(got)
	}
}

// press sends a key to a model.
func press(m *model, key tea.KeyPressMsg) bool {
	_, cmd := m.Update(key)
	return cmd != nil
}

func TestKeys(t *testing.T) {
	m := &model{history: *history(), frame: NewFrame(), interval: time.Second}
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 9})
	for range 20 {
		press(m, tea.KeyPressMsg{Code: tea.KeyRight})
	}
	if m.frame.Sort != columnAgain {
		t.Errorf("sorted by %d", m.frame.Sort)
	}
	for range 20 {
		press(m, tea.KeyPressMsg{Code: tea.KeyLeft})
	}
	press(m, tea.KeyPressMsg{Code: 'r', Text: "r"})
	if m.frame.Sort != byRate || !m.frame.Reverse {
		t.Errorf("sorted by %d, reverse %v", m.frame.Sort, m.frame.Reverse)
	}
	for range 20 {
		press(m, tea.KeyPressMsg{Code: tea.KeyDown})
	}
	page := m.View().Content
	if lines := strings.Split(page, "\n"); len(lines) != 9 || !strings.HasPrefix(lines[3], "10.90.0.1:30001") || m.frame.Offset != 1 {
		t.Errorf("scrolled by %d:\n%s", m.frame.Offset, page)
	}
	press(m, tea.KeyPressMsg{Code: tea.KeySpace, Text: " "})
	m.Update(sampled(sample(9)))
	if len(m.history.Rows) != 3 || !strings.Contains(m.View().Content, "paused") {
		t.Errorf("not paused:\n%s", m.View().Content)
	}
	press(m, tea.KeyPressMsg{Code: tea.KeySpace, Text: " "})
	if _, cmd := m.Update(sampled(sample(9))); cmd == nil || len(m.history.Rows) != 0 {
		t.Error("it does not go on")
	}
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		_, cmd := m.Update(key)
		if cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%v does not end it", key)
		}
	}
}

// TestRun lets bubbletea draw, and ends it: by q, by the server's end, and from outside.
func TestRun(t *testing.T) {
	gone := errors.New("gone")
	for _, end := range []string{"key", "error", "context"} {
		t.Run(end, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			asked := 0
			ask := func(context.Context) (Sample, error) {
				if asked++; asked > 3 && end == "error" {
					return Sample{}, gone
				}
				if asked > 3 && end == "context" {
					cancel()
				}
				return sample(asked, conn(30001, 0, uint64(asked)*1000)), nil
			}
			var out bytes.Buffer
			var in bytes.Buffer
			options := []tea.ProgramOption{tea.WithOutput(&out), tea.WithInput(nil)}
			if end == "key" {
				in.WriteString("q")
				options[1] = tea.WithInput(&in)
			}
			err := Run(ctx, ask, 20*time.Millisecond, NewFrame(), options...)
			if end == "error" != errors.Is(err, gone) || end != "error" && err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestOnce(t *testing.T) {
	n := 0
	ask := func(context.Context) (Sample, error) {
		n++
		return sample(n, conn(30001, 0, uint64(n)*1000)), nil
	}
	page, err := Once(t.Context(), ask, time.Millisecond, NewFrame())
	if err != nil || n != 2 || !strings.Contains(page, "10.90.0.1:30001          80 ESTAB         0   8.00k") || strings.Contains(page, "\x1b") || strings.Contains(page, "quit") {
		t.Errorf("%d samples, %v:\n%s", n, err, page)
	}
}
