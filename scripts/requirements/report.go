package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// tally counts the rows of a section, or all, by status.
type tally map[string]int

func (t tally) total() (n int) {
	for _, c := range t {
		n += c
	}
	return n
}

func (t tally) String() string {
	s := fmt.Sprintf("%d rows", t.total())
	for _, k := range statuses {
		if t[k] > 0 {
			s += fmt.Sprintf(", %d %s", t[k], k)
		}
	}
	return s
}

// section is what stands below one heading.
type section struct {
	title string
	rows  []row
	tally tally
}

func (p *project) sections() (all []section, total tally) {
	total = tally{}
	for _, r := range p.rows {
		if len(all) == 0 || all[len(all)-1].title != r.section {
			all = append(all, section{title: r.section, tally: tally{}})
		}
		s := &all[len(all)-1]
		s.rows = append(s.rows, r)
		s.tally[p.status(r.id)]++
		total[p.status(r.id)]++
	}
	return all, total
}

// print writes a line for each row, with the first place that covers it, and the sums.
func (p *project) print(w io.Writer) {
	sections, total := p.sections()
	for _, s := range sections {
		for _, r := range s.rows {
			fmt.Fprintf(w, "%-12s %-7s %s\n", r.id, p.status(r.id), p.first(r.id))
		}
	}
	fmt.Fprintln(w)
	for _, s := range sections {
		fmt.Fprintf(w, "%s: %s\n", s.title, s.tally)
	}
	fmt.Fprintf(w, "\nall: %s\n", total)
}

func (p *project) first(id string) string {
	switch s := p.sites[id]; len(s) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s:%d %s", s[0].file, s[0].line, s[0].test)
	default:
		return fmt.Sprintf("%s:%d %s, and %d more", s[0].file, s[0].line, s[0].test, len(s)-1)
	}
}

// matrix is the text of docs/requirements.md.
func (p *project) matrix() string {
	sections, total := p.sections()
	var b strings.Builder
	fmt.Fprintf(&b, "# Requirements and their tests\n\nWritten by `make requirements` from the tables in [docs/spec](spec), the tests that "+
		"name a row\n(`// req: MUST-58`), [decisions](decisions.md) and [waivers](waivers.md). [What is open](open.md).\n\n%s.\n\n", total)
	b.WriteString("| section | rows | tested | decided | waived | open |\n|---|---|---|---|---|---|\n")
	for _, s := range sections {
		fmt.Fprintf(&b, "| %s | %d |", s.title, s.tally.total())
		for _, k := range statuses {
			fmt.Fprintf(&b, " %d |", s.tally[k])
		}
		b.WriteString("\n")
	}
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| id | requirement | status | tests |\n|---|---|---|---|\n", s.title)
		for _, r := range s.rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.id, r.text, p.status(r.id), p.where(r.id))
		}
	}
	return b.String()
}

// openList is the text of docs/open.md: what stood there and is open still. It never grows by itself.
func (p *project) openList() string {
	var list strings.Builder
	n := 0
	for _, r := range p.rows {
		if p.status(r.id) == open && (p.fresh || has(p.open, r.id)) {
			n++
			fmt.Fprintf(&list, "| %s | %s |\n", r.id, r.text)
		}
	}
	return fmt.Sprintf("# Open requirements\n\nRows of [docs/spec](spec) that no test, decision or waiver covers yet: %d of %d. "+
		"`make requirements` takes out what\nis covered meanwhile and never adds a row: who breaks or removes a test has to write it "+
		"here.\n\n| id | text |\n|---|---|\n%s", n, len(p.rows), list.String())
}

func (p *project) write() error {
	for name, text := range map[string]string{docMatrix: p.matrix(), docOpen: p.openList()} {
		if err := os.WriteFile(filepath.Join(p.root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stale names the written documents that say something else than write would.
func (p *project) stale() []string {
	var f []string
	for name, text := range map[string]string{docMatrix: p.matrix(), docOpen: p.openList()} {
		if have, err := os.ReadFile(filepath.Join(p.root, name)); err != nil || string(have) != text {
			f = append(f, name+" is stale: make requirements")
		}
	}
	return f
}
