// Package archtest holds the import graph against the plan of the house: imports point down only,
// the core is pure, and whoever embeds the stack pulls in nothing but the standard library.
package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// moduleRoot is the directory of go.mod, seen from this package.
const moduleRoot = "../.."

func TestHouse(t *testing.T) {
	readSources(t)
	faults, err := check(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// readSources reads every source file, so that the test cache, which cannot see what `go list` reads,
// runs this test again when one changes.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEmbedding asks the question an embedder asks, in the embedder's own words.
func TestEmbedding(t *testing.T) {
	for _, dir := range []string{"./stack", "./httpserver"} {
		pkgs, err := goList(moduleRoot, "-deps", dir)
		if err != nil {
			t.Fatal(err)
		}
		own := pkgs[len(pkgs)-1].Module.Path
		for _, p := range pkgs {
			if !p.Standard && (p.Module == nil || p.Module.Path != own) {
				t.Errorf("go list -deps %s holds %s", dir, p.ImportPath)
			}
		}
	}
}

// TestDependenciesDocumented wants a row in docs/dependencies.md for each module that is used, tests included.
func TestDependenciesDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := goList(moduleRoot, "-deps", "-test", "./...")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, p := range pkgs {
		if p.Module != nil && !p.Module.Main && !strings.Contains(string(doc), "| `"+p.Module.Path+"` |") {
			missing[p.Module.Path] = true
		}
	}
	for path := range missing {
		t.Errorf("docs/dependencies.md has no row for %s", path)
	}
}

func TestImpure(t *testing.T) {
	tests := []struct {
		name, src string
		want      []string
	}{
		{"clean", `package p; import ("net/netip"; "time"; "errors"); var _ netip.Addr; var d = time.Second; var e = errors.New("")`, nil},
		{"sync", `package p; import "sync"; var m sync.Mutex`, []string{"imports sync"}},
		{"atomic", `package p; import "sync/atomic"; var m atomic.Int32`, []string{"imports sync/atomic"}},
		{"os", `package p; import "os"; var e = os.Args`, []string{"imports os"}},
		{"net", `package p; import "net"; var c net.Conn`, []string{"imports net"}},
		{"http", `package p; import _ "net/http"`, []string{"imports net/http"}},
		{"now", `package p; import "time"; var d = time.Now()`, []string{"uses time.Now"}},
		{"renamed", `package p; import clk "time"; func f() { clk.Sleep(1) }`, []string{"uses time.Sleep"}},
		{"value", `package p; import "time"; var f = time.AfterFunc`, []string{"uses time.AfterFunc"}},
		{"dot", `package p; import . "time"; var d = Now()`, []string{"dot-imports time"}},
		{"go", `package p; func f() { go f() }`, []string{"starts a goroutine"}},
		{"a field named Now is no clock", `package p; type t struct{ Now int }; func f(time t) int { return time.Now }`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := impure("x.go", tt.src)
			if err != nil {
				t.Fatal(err)
			}
			expectFaults(t, got, tt.want)
		})
	}
}

// TestCheck builds houses with one crack each and expects it to be found.
func TestCheck(t *testing.T) {
	clean := map[string]string{
		"go.mod":              "module m\n\ngo 1.26\n\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ./third_party\n",
		"third_party/go.mod":  "module example.com/dep\n",
		"third_party/dep.go":  "package dep\n",
		"tcpseg/a.go":         "package tcpseg\n",
		"ippkt/a.go":          "package ippkt\n",
		"stack/tcb/a.go":      "package tcb\nimport _ \"m/tcpseg\"\n",
		"stack/a.go":          "package stack\nimport (\n_ \"m/stack/tcb\"\n_ \"sync\"\n)\n",
		"stack/link/a.go":     "package link\n",
		"stack/link/tun/a.go": "package tun\nimport (\n_ \"m/stack/link\"\n_ \"example.com/dep\"\n)\n",
		"httpserver/a.go":     "package httpserver\n",
		"cmd/ustack/a.go":     "package main\nimport (\n_ \"m/stack\"\n_ \"m/stack/link/tun\"\n_ \"m/httpserver\"\n)\nfunc main() {}\n",
	}
	tests := []struct {
		name, file, src string
		want            []string
	}{
		{"clean", "", "", nil},
		{"upward", "stack/tcb/b.go", "package tcb\nimport _ \"m/ippkt\"\n", []string{"stack/tcb imports ippkt"}},
		{"codecs apart", "tcpseg/b.go", "package tcpseg\nimport _ \"m/ippkt\"\n", []string{"tcpseg imports ippkt"}},
		{"httpserver knows no stack", "httpserver/b.go", "package httpserver\nimport _ \"m/stack\"\n", []string{"httpserver imports stack"}},
		{"httpserver has no dependency", "httpserver/b.go", "package httpserver\nimport _ \"example.com/dep\"\n", []string{"httpserver depends on example.com/dep"}},
		{"embedding pulls in a device", "stack/b.go", "package stack\nimport _ \"m/stack/link/tun\"\n",
			[]string{"stack imports stack/link/tun", "stack depends on example.com/dep"}},
		{"lock in the core", "stack/tcb/b.go", "package tcb\nimport _ \"sync\"\n", []string{"stack/tcb/b.go:2: imports sync"}},
		{"tests may do what they need", "stack/tcb/b_test.go", "package tcb\nimport _ \"sync\"\n", nil},
		{"no layer", "util/a.go", "package util\n", []string{"util stands in no layer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, src := range clean {
				write(t, filepath.Join(dir, name), src)
			}
			if tt.file != "" {
				write(t, filepath.Join(dir, tt.file), tt.src)
			}
			got, err := check(dir)
			if err != nil {
				t.Fatal(err)
			}
			expectFaults(t, got, tt.want)
		})
	}
}

func write(t *testing.T, name, src string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
}

// expectFaults compares faults with a substring of each that is expected.
func expectFaults(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d faults %q, want %d %q", len(got), got, len(want), want)
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) }) {
			t.Errorf("no fault with %q in %q", w, got)
		}
	}
}
