package main

import (
	"bytes"
	"fmt"
	"html"
)

// The chart: a panel for each workload, a bar for each engine, as a file that any browser shows.

const (
	chartWidth  = 980
	panelWidth  = 470
	barHeight   = 15
	labelWidth  = 120
	valueWidth  = 70
	panelHead   = 34
	panelGap    = 20
	chartMargin = 16
)

// colors by engine: grey for limits, blue for the kernel, sand for gVisor, green for us.
var colors = map[string]string{
	rawOn: "#9aa0a6", rawOff: "#c4c7c9", netHTTP: "#7a9ccc", fastHTTP: "#4a76b8",
	gvPlain: "#e3cf9f", gvVirtio: "#cda84f", ownOff: "#8cc79b", ownOn: "#2e8b57", ownOther: "#b0559a",
}

// chart draws the medians.
func (res *result) chart() []byte {
	var panels bytes.Buffer
	x, y, row := chartMargin, chartMargin+40, 0
	for _, w := range res.Workloads {
		if len(res.Medians[w.Name]) == 0 || w.Name == drops {
			continue
		}
		if x+panelWidth > chartWidth {
			x, y, row = chartMargin, y+row+panelGap, 0
		}
		row = max(row, res.panel(&panels, &w, x, y))
		x += panelWidth + chartMargin
	}
	height := y + row + chartMargin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="11">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	text(&b, chartMargin, chartMargin+10, `font-size="15" font-weight="600"`, "ustack beside its rivals")
	text(&b, chartMargin, chartMargin+26, `fill="#666"`, fmt.Sprintf("%s; medians of %d rounds", res.Machine, len(res.Rounds)))
	b.Write(panels.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// panel draws one workload and returns its height.
func (res *result) panel(b *bytes.Buffer, w *workload, x, y int) int {
	title := w.Name + ", " + w.Unit
	if w.less {
		title += " (less is better)"
	}
	text(b, x, y+10, `font-size="12" font-weight="600"`, title)
	text(b, x, y+24, `fill="#666"`, w.What)
	most := 0.0
	for _, v := range res.Medians[w.Name] {
		most = max(most, v)
	}
	at := y + panelHead
	for _, e := range res.Engines {
		v, ok := res.Medians[w.Name][e.Name]
		if !ok {
			continue
		}
		width := 0.0
		if most > 0 {
			width = v / most * (panelWidth - labelWidth - valueWidth)
		}
		text(b, x+labelWidth-6, at+11, `text-anchor="end"`, e.Name)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x+labelWidth, at+1, width, barHeight-3, colors[e.Name])
		text(b, x+labelWidth+int(width)+5, at+11, "", number(v))
		at += barHeight
	}
	return at - y
}

func text(b *bytes.Buffer, x, y int, attrs, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attrs, html.EscapeString(s))
}
