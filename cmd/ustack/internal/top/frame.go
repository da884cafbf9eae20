package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ustack/stack/trace"
)

// Style makes a text look like something.
type Style func(string) string

// Styles are how parts of a frame look; nil: plain.
type Styles struct{ Title, Head, Sorted, Bad, Dim Style }

func (s Style) on(text string) string {
	if s == nil {
		return text
	}
	return s(text)
}

// Frame is a page: what is shown, and how.
type Frame struct {
	Width, Height int // 0: 80, and as high as it gets
	ASCII         bool
	Styles        Styles
	Sort          int // a column, or byRate
	Reverse       bool
	Offset        int // rows that are scrolled out of sight
	Note          string
	widths        []int
}

// NewFrame is a frame with the busiest connections first.
func NewFrame() Frame { return Frame{Sort: byRate} }

const (
	defaultWidth = 80
	// maxDrops is how many reasons a page has room for.
	maxDrops = 5
)

// Draw returns the page.
func (f *Frame) Draw(h *History) string {
	if f.Width <= 0 {
		f.Width = defaultWidth
	}
	f.measure()
	drops := f.drops(h)
	lines := append(f.summary(h), f.head())
	room := len(h.Rows)
	if f.Height > 0 {
		room = max(f.Height-len(lines)-len(drops)-1, 1)
	}
	lines = append(lines, f.table(h, room)...)
	for f.Height > 0 && len(lines)+len(drops)+1 < f.Height {
		lines = append(lines, "")
	}
	lines = append(lines, drops...)
	if f.Height > 0 {
		lines = append(lines, f.Styles.Dim.on(f.cut(f.keys())))
		lines = lines[:min(len(lines), f.Height)]
	}
	return strings.Join(lines, "\n")
}

// measure gives each column its width: what the terminal has to spare goes to the names of states, then half each to
// addresses and to the history of the window.
func (f *Frame) measure() {
	f.widths = make([]int, len(columns))
	spare := f.Width - (len(columns) - 1)
	for i, c := range columns {
		f.widths[i] = c.width
		spare -= c.width
	}
	give := func(column, most int) {
		n := max(min(spare, most), 0)
		f.widths[column] += n
		spare -= n
	}
	give(columnState, len("FIN-WAIT-1")-columns[columnState].width)
	give(columnPeer, min(spare/2, len("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")-columns[columnPeer].width))
	give(columnWindow, historyLen-columns[columnWindow].width)
}

func (f *Frame) summary(h *History) []string {
	s := &h.last.Stats
	dot := " · "
	if f.ASCII {
		dot = ", "
	}
	first := strings.Join([]string{
		fmt.Sprintf("ustack: connections %d", s.Conns), fmt.Sprintf("half-open %d", s.HalfOpen),
		fmt.Sprintf("TIME-WAIT %d", s.TimeWait), fmt.Sprintf("to accept %d", s.Waiting), "queues hold " + short(float64(s.MemoryUsed)),
	}, dot)
	second := strings.Join([]string{
		"link in " + short(h.LinkIn*8) + "b/s", "out " + short(h.LinkOut*8) + "b/s", f.lost(h),
	}, dot)
	return []string{f.Styles.Title.on(f.cut(first)), f.cut(second)}
}

// lost is what the links have lost.
func (f *Frame) lost(h *History) string {
	var queue, writes uint64
	for _, l := range h.last.Stats.Links {
		queue += l.QueueDrops
		writes += l.WriteErrors
	}
	return fmt.Sprintf("lost: %d in the device's queue, %d on writing", queue, writes)
}

func (f *Frame) head() string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		title := c.title
		if i == columnWindow {
			title = ""
		}
		cell := fit(title, f.widths[i], c.right, f.ASCII)
		if i == f.Sort {
			cells[i] = f.Styles.Sorted.on(cell)
		} else {
			cells[i] = f.Styles.Head.on(cell)
		}
	}
	return strings.TrimRight(strings.Join(cells, " "), " ")
}

// table is the rows that there is room for.
func (f *Frame) table(h *History, room int) []string {
	if len(h.Rows) == 0 {
		return []string{f.Styles.Dim.on("no connections")}
	}
	rows := sorted(h.Rows, f.Sort, f.Reverse)
	f.Offset = max(min(f.Offset, len(rows)-room), 0)
	rows = rows[f.Offset:]
	var lines []string
	for _, r := range rows[:min(len(rows), room)] {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = fit(c.text(r, f), f.widths[i], c.right, f.ASCII)
			if i == columnAgain && r.Retransmits > 0 {
				cells[i] = f.Styles.Bad.on(cells[i])
			}
		}
		lines = append(lines, strings.TrimRight(strings.Join(cells, " "), " "))
	}
	return lines
}

// drops is the refusals by reason, the most frequent first.
func (f *Frame) drops(h *History) []string {
	if len(h.Drops) == 0 {
		return nil
	}
	list := slices.Clone(h.Drops)
	slices.SortFunc(list, func(a, b Drop) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Reason, b.Reason))
	})
	lines := []string{f.Styles.Head.on(fit("REFUSED", 12, true, f.ASCII) + fit("A SECOND", 10, true, f.ASCII) + "  WHY")}
	for i, d := range list {
		if i == maxDrops && f.Height > 0 {
			break
		}
		why := d.Reason
		if s := trace.Section(d.Reason); s != "" && !f.ASCII {
			why += " (" + s + ")"
		}
		lines = append(lines, f.cut(fit(number(int(d.Total)), 12, true, f.ASCII)+fit(short(d.Rate), 10, true, f.ASCII)+"  "+why))
	}
	return lines
}

func (f *Frame) keys() string {
	if f.Note != "" {
		return f.Note
	}
	if f.ASCII {
		return "q quit  left/right sort by  r reverse  up/down scroll  space pause"
	}
	return "q quit  ←→ sort by  r reverse  ↑↓ scroll  space pause"
}

// cut makes a line no longer than the frame is wide.
func (f *Frame) cut(line string) string {
	return strings.TrimRight(fit(line, f.Width, false, f.ASCII), " ")
}
