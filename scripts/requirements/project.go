package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The documents beside docs/spec. Waivers and decisions are written by hand.
const (
	docWaivers   = "docs/waivers.md"
	docDecisions = "docs/decisions.md"
	docOpen      = "docs/open.md"
	docMatrix    = "docs/requirements.md"
)

// project is all that was read.
type project struct {
	root      string
	rows      []row
	known     map[string]row
	mentions  []mention
	sites     map[string][]site // of each row, in the order of file and line
	waivers   []note
	decisions []note
	open      []note
	fresh     bool // there is no docs/open.md yet: all that nothing covers may go in
}

// note is a row of one of the documents beside docs/spec.
type note struct{ id, text string }

func load(root string) (*project, error) {
	p := &project{root: root, known: map[string]row{}, sites: map[string][]site{}}
	var errs [5]error
	p.rows, errs[0] = readSpec(root)
	p.mentions, errs[1] = collect(root)
	p.waivers, errs[2] = readNotes(root, docWaivers)
	p.decisions, errs[3] = readNotes(root, docDecisions)
	p.open, errs[4] = readNotes(root, docOpen)
	if p.fresh = errors.Is(errs[4], fs.ErrNotExist); p.fresh {
		errs[4] = nil
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, r := range p.rows {
		p.known[r.id] = r
	}
	for _, m := range p.mentions {
		for _, id := range expand(m.id, p.known) {
			p.sites[id] = append(p.sites[id], m.site)
		}
	}
	for _, s := range p.sites {
		slices.SortStableFunc(s, func(a, b site) int {
			return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
		})
	}
	return p, nil
}

// readNotes reads the tables `| id | … |` of a document.
func readNotes(root, doc string) ([]note, error) {
	src, err := os.ReadFile(filepath.Join(root, doc))
	if err != nil {
		return nil, err
	}
	var notes []note
	for _, t := range tables(string(src)) {
		if t.head[0] != "id" {
			continue
		}
		for _, c := range t.rows {
			if len(c) != 2 || c[1] == "" {
				return nil, fmt.Errorf("%s: not an id and a text: %q", doc, c)
			}
			notes = append(notes, note{c[0], c[1]})
		}
	}
	return notes, nil
}

func has(notes []note, id string) bool {
	return slices.ContainsFunc(notes, func(n note) bool { return n.id == id })
}

// The ways a row can be covered, and open.
const (
	tested  = "tested"
	decided = "decided"
	waived  = "waived"
	open    = "open"
)

var statuses = []string{tested, decided, waived, open}

func (p *project) status(id string) string {
	switch {
	case len(p.sites[id]) > 0:
		return tested
	case has(p.decisions, id):
		return decided
	case has(p.waivers, id):
		return waived
	}
	return open
}

// where lists the tests of a row by file, without line numbers, so that it stays the same when a test moves.
func (p *project) where(id string) string {
	var files []string
	tests := map[string][]string{}
	for _, s := range p.sites[id] {
		if !slices.Contains(files, s.file) {
			files = append(files, s.file)
		}
		if !slices.Contains(tests[s.file], s.test) {
			tests[s.file] = append(tests[s.file], s.test)
		}
	}
	for i, f := range files {
		slices.Sort(tests[f])
		files[i] = f + ": " + strings.Join(tests[f], ", ")
	}
	return strings.Join(files, "; ")
}
