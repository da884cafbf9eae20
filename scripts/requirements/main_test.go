package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRequirements holds this tree against its tables.
func TestRequirements(t *testing.T) {
	p, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(p.faults(), p.stale()...) {
		t.Error(f)
	}
	if _, total := p.sections(); total.total() < 680 || total[tested] < 600 {
		t.Errorf("%s: much has got lost", total)
	}
}

// A small tree in which every row is accounted for.
var sound = map[string]string{
	"docs/spec/tcp.md": `# Spec

## 1. Labels

| ID | Requirement | Test |
|---|---|---|
| MUST-1 | one \| bar | W |
| MUST-51 | source route | D |
| MAY-1 | perhaps | W |
| 7323-01 | scale | W: 14 |

## 2. States

| | Event | ES | F1 |
|---|---|---|---|
| a | oow | A | A |
| b | RST | n/a | – |
`,
	docWaivers:     "# Waivers\n\n| id | reason |\n|---|---|\n| MUST-51 | filtered |\n",
	docDecisions:   "# Decisions\n\n| id | decision |\n|---|---|\n| MAY-1 | no |\n",
	"a/a_test.go":  "package a\n\n// req: MUST-1\nfunc TestA() {}\n\n// req: MX-a, TSO-01\nfunc TestStates() {}\n",
	"a/s.pkt":      "== reset\n# req: MX-bF1\n",
	"b/go.mod":     "module b\n",
	".x/x_test.go": "package x\n\n// req: MUST-99\nfunc TestX() {}\n",
}

// tree writes the sound tree with some files changed; "" takes one away.
func tree(t *testing.T, changes map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, files := range []map[string]string{sound, changes} {
		for name, text := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if text == "" {
				os.Remove(path)
			}
		}
	}
	return root
}

func mustLoad(t *testing.T, root string) *project {
	t.Helper()
	p, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// openDocOf is a docs/open.md with these rows.
func openDocOf(ids ...string) string {
	s := "| id | text |\n|---|---|\n"
	for _, id := range ids {
		s += "| " + id + " | … |\n"
	}
	return s
}

func TestFaults(t *testing.T) {
	decisions := func(rows string) map[string]string {
		return map[string]string{docDecisions: sound[docDecisions] + rows, docOpen: openDocOf("7323-01")}
	}
	waivers := func(rows string) map[string]string {
		return map[string]string{docWaivers: sound[docWaivers] + rows, docOpen: openDocOf("7323-01")}
	}
	source := func(text string) map[string]string {
		return map[string]string{"c/c_test.go": "package c\n\n" + text, docOpen: openDocOf("7323-01")}
	}
	open := func(ids ...string) map[string]string { return map[string]string{docOpen: openDocOf(ids...)} }
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    []string // a part of each fault
	}{
		{"sound", open("7323-01"), nil},
		{"forgotten", open(), []string{"7323-01: neither tested"}},
		{"covered meanwhile", open("7323-01", "MUST-1"), []string{"MUST-1: is tested"}},
		{"decided meanwhile", open("7323-01", "MAY-1"), []string{"MAY-1: is decided"}},
		{"open twice", open("7323-01", "7323-01"), []string{"stands there twice"}},
		{"open and unknown", open("7323-01", "MUST-9"), []string{"docs/open.md: MUST-9: no table"}},
		{"no such row", source("// req: MUST-9\nfunc TestC() {}\n"), []string{"c/c_test.go:3: MUST-9: no table"}},
		{"no such state", source("// req: MX-bES\nfunc TestC() {}\n"), []string{"MX-bES: no table"}},
		{"a slip of the pen", source("// req: MUTS-1\nfunc TestC() {}\n"), []string{"MUTS-1: no table"}},
		{"another table's", source("// req: TSO-99 V4R-9\nfunc TestC() {}\n"), nil},
		{"a benchmark", source("// req: MUST-1\nfunc BenchmarkC() {}\n"), []string{"neither in a test nor before one"}},
		{"a MUST is waived", waivers("| MUST-1 | no time |\n"), []string{"MUST-1: a MUST of RFC 9293 is not waived"}},
		{"a tested row is waived", waivers("| MX-aES | no time |\n"), []string{"MX-aES: needs no waiver"}},
		{"waived and decided", waivers("| MAY-1 | no |\n"), []string{"MAY-1: is in docs/decisions.md too"}},
		{"too many waivers", waivers(strings.Repeat("| MX-aES | no |\n", 12)), append(slices.Repeat([]string{"needs no waiver"}, 12),
			append(slices.Repeat([]string{"stands there twice"}, 11), "13 waivers")...)},
		{"decided where a test is due", decisions("| MUST-1 | not done |\n"), []string{"MUST-1: is to be tested, not decided"}},
		{"a decision about nothing", decisions("| MAY-9 | not done |\n"), []string{"docs/decisions.md: MAY-9: no table"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mustLoad(t, tree(t, tt.changes)).faults()
			if len(got) != len(tt.want) {
				t.Fatalf("got %d faults, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for _, w := range tt.want {
				if !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) }) {
					t.Errorf("no fault with %q in %q", w, got)
				}
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	head := "| ID | Requirement | Test |\n|---|---|---|\n"
	for name, changes := range map[string]map[string]string{
		"the same id twice":    {"docs/spec/more.md": head + "| MUST-1 | again | W |\n"},
		"no id":                {"docs/spec/more.md": head + "| must 1 | again | W |\n"},
		"a cell too few":       {"docs/spec/more.md": head + "| MUST-7 | again |\n"},
		"a short matrix row":   {"docs/spec/more.md": "| | Event | ES |\n|---|---|---|\n| c | x |\n"},
		"no reason":            {docWaivers: sound[docWaivers] + "| MAY-1 | |\n"},
		"no decisions":         {docDecisions: ""},
		"a test that is no Go": {"c/c_test.go": "func\n"},
	} {
		if _, err := load(tree(t, changes)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
