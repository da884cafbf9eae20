package top

import (
	"slices"
	"strconv"
	"strings"

	"ustack/cmd/ustack/internal/control"
	"ustack/cmd/ustack/internal/sockstat"
)

// shortStates are names for narrow terminals.
var shortStates = map[string]string{
	"ESTABLISHED": "ESTAB", "SYN-SENT": "SYN-S", "SYN-RECEIVED": "SYN-R", "FIN-WAIT-1": "FIN-W1", "FIN-WAIT-2": "FIN-W2",
	"CLOSE-WAIT": "CLO-W", "CLOSING": "CLOSNG", "LAST-ACK": "LASTAK",
}

func state(r *Row, width int) string {
	name := sockstat.StateName(r.Conn.State)
	if s, ok := shortStates[r.State]; ok && len(name) > width {
		name = s
	}
	return control.Printable(name)
}

func number(n int) string { return strconv.Itoa(n) }

// short writes a number with three digits and a unit.
func short(n float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if n >= unit.size*0.9995 {
			return digits(n/unit.size) + unit.name
		}
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// digits writes a number below a thousand with three digits.
func digits(n float64) string {
	switch {
	case n < 9.995:
		return strconv.FormatFloat(n, 'f', 2, 64)
	case n < 99.95:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// millis writes a time in milliseconds, or seconds.
func millis(us int64) string {
	switch {
	case us == 0:
		return "-"
	case us < 999_500:
		return digits(float64(us)/1000) + "ms"
	}
	return digits(float64(us)/1e6) + "s"
}

var (
	blocks = []rune("▁▂▃▄▅▆▇█")
	ramp   = []rune("_.-=+*%#") // where there are no blocks
)

// sparkline draws the last values, as many as there is room for: the highest block is the largest of them.
func sparkline(values []int, width int, ascii bool) string {
	steps := blocks
	if ascii {
		steps = ramp
	}
	if len(values) > width {
		values = values[len(values)-width:]
	}
	if len(values) == 0 {
		return ""
	}
	top := max(slices.Max(values), 1)
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(steps[max(v, 0)*(len(steps)-1)/top])
	}
	return b.String()
}

// fit makes s width wide, by blanks or by cutting.
func fit(s string, width int, right, ascii bool) string {
	runes := []rune(s)
	switch n := len(runes); {
	case n > width && width > 0:
		more := '…'
		if ascii {
			more = '~'
		}
		return string(runes[:width-1]) + string(more)
	case right:
		return strings.Repeat(" ", width-n) + s
	default:
		return s + strings.Repeat(" ", width-n)
	}
}
