package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// elsewhere are the prefixes of tables that are not in docs/spec: tests may name their rows, nobody counts them yet. Any other
// prefix without a table is a slip of the pen.
var elsewhere = strings.Fields("V4R V4S V6R V6S I4 I6 CK OPT4 RE4 FR6 UDP TUN TSO VW P2P IF MEM W")

// A waiver is for what will not be done although the table asks for it. There must be few, and of the MUSTs of RFC 9293 only
// source routing can be among them.
const maxWaivers = 12

var waivable = []string{"MUST-51", "MUST-52", "MUST-53"}

// faults returns what is wrong with the mentions and the documents, but for staleness.
func (p *project) faults() []string {
	var f []string
	f = append(f, p.mentionFaults()...)
	f = append(f, p.waiverFaults()...)
	f = append(f, p.decisionFaults()...)
	return append(f, p.openFaults()...)
}

func (p *project) mentionFaults() []string {
	own := map[string]bool{}
	for _, r := range p.rows {
		own[prefix(r.id)] = true
	}
	var f []string
	for _, m := range p.mentions {
		at := fmt.Sprintf("%s:%d: %s: ", m.file, m.line, m.id)
		pre := prefix(m.id)
		switch {
		case !own[pre] && slices.Contains(elsewhere, pre):
		case len(expand(m.id, p.known)) == 0:
			f = append(f, at+"no table in docs/spec has such a row")
		case m.test == "":
			f = append(f, at+"neither in a test nor before one")
		}
	}
	return f
}

func (p *project) waiverFaults() []string {
	f := p.noteFaults(docWaivers, p.waivers)
	if len(p.waivers) > maxWaivers {
		f = append(f, fmt.Sprintf("%s: %d waivers, more than %d", docWaivers, len(p.waivers), maxWaivers))
	}
	for _, n := range p.waivers {
		switch {
		case prefix(n.id) == "MUST" && !slices.Contains(waivable, n.id):
			f = append(f, docWaivers+": "+n.id+": a MUST of RFC 9293 is not waived")
		case has(p.decisions, n.id):
			f = append(f, docWaivers+": "+n.id+": is in "+docDecisions+" too")
		case p.status(n.id) == tested:
			f = append(f, docWaivers+": "+n.id+": needs no waiver, it is tested")
		}
	}
	return f
}

func (p *project) decisionFaults() []string {
	f := p.noteFaults(docDecisions, p.decisions)
	for _, n := range p.decisions {
		if r, ok := p.known[n.id]; ok && !decidable(r) {
			f = append(f, docDecisions+": "+n.id+": is to be tested, not decided: "+r.plan)
		}
	}
	return f
}

var (
	// reviewed matches the code D of a test plan: `D`, `D: API docs`, `A; D`, but not `3 D-SACKs`.
	reviewed = regexp.MustCompile(`(^|[;,+] ?)D($|[ :;,(])`)
	// notDone matches a plan that says that there is nothing to test.
	notDone = regexp.MustCompile(`^no($| )|not (implemented|used)`)
)

// decidable tells whether a row asks for a decision or leaves one, rather than for a test.
func decidable(r row) bool {
	optional := slices.Contains([]string{"MAY", "OPT", "P"}, prefix(r.id)) || strings.HasPrefix(r.text, "(O)")
	return optional || reviewed.MatchString(r.plan) || notDone.MatchString(r.plan)
}

// openFaults is the ratchet: a row that loses its test fails until somebody adds it to docs/open.md by hand, in plain view of
// whoever reviews that; a row that gains one fails until it is taken out.
func (p *project) openFaults() []string {
	f := p.noteFaults(docOpen, p.open)
	for _, r := range p.rows {
		switch listed := has(p.open, r.id); {
		case listed && p.status(r.id) != open:
			f = append(f, docOpen+": "+r.id+": is "+p.status(r.id)+": take it out (make requirements)")
		case !listed && p.status(r.id) == open:
			f = append(f, r.id+": neither tested, decided nor waived, and not in "+docOpen+": "+r.text)
		}
	}
	return f
}

// noteFaults finds ids that do not exist or stand there twice.
func (p *project) noteFaults(doc string, notes []note) []string {
	var f []string
	for i, n := range notes {
		if _, ok := p.known[n.id]; !ok {
			f = append(f, doc+": "+n.id+": no table in docs/spec has such a row")
		}
		if has(notes[:i], n.id) {
			f = append(f, doc+": "+n.id+": stands there twice")
		}
	}
	return f
}
