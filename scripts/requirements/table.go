package main

import "strings"

// table is a table of a markdown file, its cells trimmed.
type table struct {
	section string // the heading it stands under
	head    []string
	rows    [][]string
}

// tables returns the tables of a document in order.
func tables(src string) []table {
	var all []table
	section, inside := "", false
	for line := range strings.Lines(src) {
		line = strings.TrimSpace(line)
		if title := strings.TrimLeft(line, "#"); title != line {
			section = strings.TrimSpace(title)
		}
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		switch c := cells(line); {
		case !inside:
			all = append(all, table{section: section, head: c})
		case !isRule(c):
			t := &all[len(all)-1]
			t.rows = append(t.rows, c)
		}
		inside = true
	}
	return all
}

// cells splits a line at the bars that no backslash escapes. The escape stays: cells are only ever written to tables again.
func cells(line string) []string {
	const escaped = "\x00"
	line = strings.ReplaceAll(line, `\|`, escaped)
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	c := strings.Split(line, "|")
	for i := range c {
		c[i] = strings.ReplaceAll(strings.TrimSpace(c[i]), escaped, `\|`)
	}
	return c
}

// isRule tells whether a row is the line of dashes below the head.
func isRule(c []string) bool { return strings.Trim(strings.Join(c, ""), "-: ") == "" }
