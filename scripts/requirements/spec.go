package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// row is one requirement.
type row struct {
	id, text, plan, section string
}

// anID is what an id looks like: MUST-58, 5681-07, ST-CL1, TUN-R01, 9112-C.2.2, 9112-6.1a, MX-a, MX-aES.
var anID = regexp.MustCompile(`^(MX-[a-z][A-Z0-9]*|[A-Z0-9]+-[A-Z]{0,2}[0-9.]*[0-9][a-z]?)$`)

func prefix(id string) string { return id[:strings.IndexByte(id, '-')] }

// readSpec returns the rows of every table in docs/spec.
func readSpec(root string) ([]row, error) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "spec", "*.md"))
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		more, err := parseSpec(string(src))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		rows = append(rows, more...)
	}
	return rows, unique(rows)
}

func unique(rows []row) error {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.id] {
			return fmt.Errorf("two rows are called %s", r.id)
		}
		seen[r.id] = true
	}
	return nil
}

// parseSpec knows the tables that hold requirements by their heads; others explain.
func parseSpec(src string) ([]row, error) {
	var rows []row
	for _, t := range tables(src) {
		var more []row
		var err error
		switch {
		case t.head[0] == "ID" || t.head[0] == "#":
			more, err = t.list()
		case len(t.head) > 2 && t.head[0] == "" && t.head[1] == "Event":
			more, err = t.matrix()
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// list reads rows of id, text and test plan. In the state tables the third column is the result, in the table of conflicts
// the proposal, in those of HTTP what the server does: without it the text says too little.
func (t table) list() ([]row, error) {
	var rows []row
	for _, c := range t.rows {
		if len(c) != 3 || !anID.MatchString(c[0]) {
			return nil, fmt.Errorf("%s: no requirement: %q", t.section, c)
		}
		text := c[1]
		if t.head[2] != "Test" {
			text += ": " + c[2]
		}
		rows = append(rows, row{c[0], text, c[2], t.section})
	}
	return rows, nil
}

// matrix makes a requirement MX-<row><state> of each cell of segment × state that can occur.
func (t table) matrix() ([]row, error) {
	var rows []row
	for _, c := range t.rows {
		if len(c) != len(t.head) || len(c[0]) != 1 {
			return nil, fmt.Errorf("%s: %d cells below a head of %d: %q", t.section, len(c), len(t.head), c)
		}
		for i, state := range t.head[2:] {
			result := c[i+2]
			if result != "n/a" {
				rows = append(rows, row{"MX-" + c[0] + state, c[1] + ", " + state + ": " + result, result, t.section})
			}
		}
	}
	return rows, nil
}

// expand gives the rows that an id in a comment names: itself, or for a row of the matrix all its states.
func expand(id string, known map[string]row) []string {
	if _, ok := known[id]; ok {
		return []string{id}
	}
	var states []string
	if strings.HasPrefix(id, "MX-") && len(id) == len("MX-a") {
		for k := range known {
			if strings.HasPrefix(k, id) {
				states = append(states, k)
			}
		}
	}
	return states
}
