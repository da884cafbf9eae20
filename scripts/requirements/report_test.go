package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, root, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The first run takes all that is open; from then on rows only leave the list.
func TestOpenNeverGrows(t *testing.T) {
	root := tree(t, nil)
	p := mustLoad(t, root)
	if len(p.stale()) != 2 {
		t.Errorf("stale: %q, want both documents", p.stale())
	}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	if p = mustLoad(t, root); len(p.faults())+len(p.stale()) != 0 {
		t.Errorf("after writing: %q %q", p.faults(), p.stale())
	}
	if got := read(t, root, docOpen); !strings.Contains(got, "1 of 7") || !strings.HasSuffix(got, "|---|---|\n| 7323-01 | scale |\n") {
		t.Errorf("the list is\n%s", got)
	}
	name := filepath.Join(root, "a/a_test.go")
	if err := os.WriteFile(name, []byte("package a\n\n// req: MX-a 7323-01\nfunc TestA() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := mustLoad(t, root).write(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, root, docOpen); strings.Contains(got, "7323-01") || strings.Contains(got, "MUST-1 ") {
		t.Errorf("the list is\n%s", got)
	}
	if f := mustLoad(t, root).faults(); len(f) != 1 || !strings.HasPrefix(f[0], "MUST-1: neither tested") {
		t.Errorf("faults %q", f)
	}
}

// The matrix names tests and files and no lines: it is the same after a test has moved.
func TestMatrixIsSteady(t *testing.T) {
	p := mustLoad(t, tree(t, map[string]string{"a/b_test.go": "package a\n\n// req: MUST-1\nfunc TestZ() {}\n\nfunc TestB() { // req: MUST-1\n}\n"}))
	matrix := p.matrix()
	for _, line := range []string{
		"7 rows, 4 tested, 1 decided, 1 waived, 1 open.",
		"| 1. Labels | 4 | 1 | 1 | 1 | 1 |",
		`| MUST-1 | one \| bar | tested | a/a_test.go: TestA; a/b_test.go: TestB, TestZ |`,
		"| 7323-01 | scale | open |  |",
		"| MX-bF1 | RST, F1: – | tested | a/s.pkt: reset |",
	} {
		if !strings.Contains(matrix, line+"\n") {
			t.Errorf("no line %q in\n%s", line, matrix)
		}
	}
	moved := mustLoad(t, tree(t, map[string]string{"a/b_test.go": "package a\n\nfunc TestB() { // req: MUST-1\n}\n\n// req: MUST-1\nfunc TestZ() {}\n"}))
	if moved.matrix() != matrix {
		t.Error("the matrix changes with the order of tests")
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	mustLoad(t, tree(t, nil)).print(&b)
	for _, line := range []string{
		"MUST-1       tested  a/a_test.go:3 TestA",
		"MX-bF1       tested  a/s.pkt:2 reset",
		"1. Labels: 4 rows, 1 tested, 1 decided, 1 waived, 1 open",
		"all: 7 rows, 4 tested, 1 decided, 1 waived, 1 open",
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
}
