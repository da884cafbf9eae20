package client

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Look is how a waterfall is drawn.
type Look struct {
	Width int  // columns [80]
	ASCII bool // only that: for terminals without UTF-8
	Color bool
}

// phase is what a request is doing in a cell of its bar.
type phase int

const (
	away phase = iota
	connecting
	waiting
	receiving
)

var (
	blocks  = [...]string{away: " ", connecting: "░", waiting: "▒", receiving: "█"}
	letters = [...]string{away: " ", connecting: "c", waiting: "-", receiving: "#"}
	colors  = [...]string{connecting: "\x1b[33m", waiting: "\x1b[36m", receiving: "\x1b[32m"}
)

const (
	colorOff   = "\x1b[0m"
	minBar     = 16
	maxName    = 24
	rowFormat  = "%-*s %7s %6s %8s "
	rowNumbers = 1 + 7 + 1 + 6 + 1 + 8 + 1 // columns of rowFormat behind the name
)

// chart is a waterfall in the making.
type chart struct {
	Look
	w         io.Writer
	names     []string
	name, bar int           // columns
	span      time.Duration // that the bars stand for
}

// WriteWaterfall draws when each request connected, waited and received: a row a request, the
// first 60 and all that failed, then the summary of WriteTable.
func WriteWaterfall(w io.Writer, report *Report, look Look) {
	var b strings.Builder
	newChart(&b, report, look).draw(report.Results)
	writeSummary(&b, report)
	text := b.String()
	if look.ASCII {
		text = strings.NewReplacer("µ", "u", "…", "...").Replace(text)
	}
	io.WriteString(w, text)
}

func newChart(w io.Writer, report *Report, look Look) *chart {
	if look.Width <= 0 {
		look.Width = 80
	}
	c := &chart{Look: look, w: w, span: max(report.Elapsed, 1), names: shortNames(report.Results)}
	for _, n := range c.names {
		c.name = max(c.name, utf8.RuneCountInString(n))
	}
	c.name = min(c.name, maxName, max(look.Width-rowNumbers-minBar, 8))
	c.bar = max(look.Width-rowNumbers-c.name, minBar)
	return c
}

func (c *chart) draw(results []Result) {
	scale := short(c.span)
	dots := strings.Repeat(" ", max(c.bar-1-utf8.RuneCountInString(scale), 1))
	fmt.Fprintf(c.w, rowFormat+"0%s%s\n", c.name, "", "conn.no", "status", "total", dots, scale)
	hidden := eachRow(results, func(i int, r *Result) {
		on := "-"
		if r.Connection != 0 {
			on = fmt.Sprintf("%d.%d", r.Connection, r.Request)
		}
		row := fmt.Sprintf(rowFormat, c.name, c.tail(c.names[i]), on, dash(r.Status), short(r.Total)) + c.cells(r)
		fmt.Fprintln(c.w, strings.TrimRight(row, " "))
	})
	writeHidden(c.w, hidden)
	fmt.Fprintf(c.w, "%s connecting  %s waiting for the answer  %s receiving it\n",
		c.cell(connecting, 1), c.cell(waiting, 1), c.cell(receiving, 1))
}

// cells is the bar of r, drawn run by run.
func (c *chart) cells(r *Result) string {
	var b strings.Builder
	last, n := away, 0
	for _, p := range c.phases(r) {
		if p != last {
			b.WriteString(c.cell(last, n))
			last, n = p, 0
		}
		n++
	}
	b.WriteString(c.cell(last, n))
	return b.String()
}

func (c *chart) cell(p phase, n int) string {
	symbols := blocks[:]
	if c.ASCII {
		symbols = letters[:]
	}
	s := strings.Repeat(symbols[p], n)
	if c.Color && p != away && n > 0 {
		return colors[p] + s + colorOff
	}
	return s
}

// phases says for each cell of the bar what r does at the cell's middle. A request that is
// shorter than a cell has one all the same.
func (c *chart) phases(r *Result) []phase {
	cells := make([]phase, c.bar)
	if r.Connection == 0 && r.Total == 0 {
		return cells // never started
	}
	drawn := false
	for i := range cells {
		at := c.span * time.Duration(2*i+1) / time.Duration(2*c.bar)
		cells[i] = r.phaseAt(at)
		drawn = drawn || cells[i] != away
	}
	if !drawn {
		i := min(int(r.Start*time.Duration(c.bar)/c.span), c.bar-1)
		cells[i] = r.longestPhase()
	}
	return cells
}

// times are the lengths of the phases.
func (r *Result) times() (connect, wait, receive time.Duration) {
	switch {
	case r.Connection == 0: // it got no connection
		return r.Total, 0, 0
	case r.FirstByte == 0: // it waited to the end
		return r.Connect, max(r.Total-r.Connect, 0), 0
	}
	return r.Connect, r.FirstByte, max(r.Total-r.Connect-r.FirstByte, 0)
}

func (r *Result) phaseAt(t time.Duration) phase {
	connect, wait, receive := r.times()
	switch t -= r.Start; {
	case t < 0 || t >= connect+wait+receive:
		return away
	case t < connect:
		return connecting
	case t < connect+wait:
		return waiting
	}
	return receiving
}

func (r *Result) longestPhase() phase {
	connect, wait, receive := r.times()
	switch max(connect, wait, receive) {
	case receive:
		return receiving
	case wait:
		return waiting
	}
	return connecting
}

// shortNames are the URLs without what they all begin with, up to a slash.
func shortNames(results []Result) []string {
	names := make([]string, len(results))
	for i := range results {
		names[i] = results[i].URL
	}
	if len(names) == 0 {
		return names
	}
	common := names[0]
	for _, n := range names {
		for !strings.HasPrefix(n, common) {
			common = common[:len(common)-1]
		}
	}
	cut := strings.LastIndexByte(common, '/')
	if cut < len("http://") {
		cut = len("http://") - 1
	}
	for i := range names {
		if short := names[i][cut+1:]; short != "" {
			names[i] = short
		} else {
			names[i] = "/"
		}
	}
	return names
}

// tail is the end of a name that is too long: where those of objects differ.
func (c *chart) tail(name string) string {
	runes := []rune(name)
	if len(runes) <= c.name {
		return name
	}
	cut := "…"
	if c.ASCII {
		cut = "~"
	}
	return cut + string(runes[len(runes)-c.name+1:])
}
