package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// layer is one floor of the house and what it may rest on.
type layer struct {
	// path is relative to the module; a layer also covers the packages below it that no
	// longer path names.
	path string
	// below lists the layers whose packages may be imported. A layer may always import itself.
	below []string
	// pure forbids goroutines, locks, clocks, sockets and files: the functional core.
	pure bool
	// stdOnly forbids other modules, directly or through what is imported.
	stdOnly bool
}

// house is the plan: imports point down only.
var house = []layer{
	{path: "tcpseg", pure: true, stdOnly: true},
	{path: "ippkt", pure: true, stdOnly: true},
	{path: "stack/cc", pure: true, stdOnly: true},
	{path: "stack/tcb", below: []string{"tcpseg", "stack/cc"}, pure: true, stdOnly: true},
	{path: "stack/link", below: []string{"tcpseg", "ippkt"}, stdOnly: true},
	{path: "stack/link/tun", below: []string{"stack/link", "stack/internal/nstest"}},
	{path: "stack/trace", below: []string{"tcpseg", "ippkt", "stack/cc", "stack/tcb", "stack/link"}, stdOnly: true},
	{path: "stack/trace/pcapng", below: []string{"stack/trace", "stack/link", "stack/tcb", "tcpseg", "ippkt"}},
	{path: "stack/netsim", below: []string{"tcpseg", "ippkt", "stack/cc", "stack/tcb"}, stdOnly: true},
	{path: "stack/internal"},
	{path: "stack", below: []string{"tcpseg", "ippkt", "stack/cc", "stack/tcb", "stack/link", "stack/trace", "stack/internal"}, stdOnly: true},
	{path: "httpserver", stdOnly: true},
	{path: "cmd/ustack", below: []string{
		"httpserver", "stack", "stack/cc", "stack/tcb", "stack/link", "stack/link/tun", "stack/trace",
		"stack/trace/pcapng", "tcpseg", "ippkt",
	}},
	{path: "scripts", below: []string{
		"cmd/ustack", "httpserver", "stack", "stack/cc", "stack/tcb", "stack/link", "stack/link/tun",
		"stack/netsim", "stack/trace", "stack/trace/pcapng", "tcpseg", "ippkt",
	}},
}

// banned are the packages, with everything below them, that have no place in the pure core.
var banned = []string{"sync", "os", "net", "log", "syscall", "context", "testing"}

// allowed are exceptions from banned: net/netip is a value type, not a socket.
var allowed = []string{"net/netip"}

// clock are the names of package time that read or wait for a clock.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// pkg is what `go list` tells about a package.
type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Deps       []string
	Module     *struct {
		Path string
		Main bool
	}
}

// goList runs `go list -json` with args in dir.
func goList(dir string, args ...string) ([]pkg, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Standard,GoFiles,CgoFiles,Imports,Deps,Module"}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs, nil
		}
		if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
}

// check holds the module in dir against the house and returns what breaks it.
func check(dir string) ([]string, error) {
	all, err := goList(dir, "-deps", "./...")
	if err != nil {
		return nil, err
	}
	own, err := goList(dir, "./...")
	if err != nil {
		return nil, err
	}
	c := checker{byPath: map[string]pkg{}}
	for _, p := range all {
		c.byPath[p.ImportPath] = p
	}
	if len(own) > 0 && own[0].Module != nil {
		c.module = own[0].Module.Path
	}
	for _, p := range own {
		if err := c.pkg(p); err != nil {
			return nil, err
		}
	}
	return c.faults, nil
}

type checker struct {
	module string
	byPath map[string]pkg
	faults []string
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// rel returns an import path relative to the module, and whether it belongs to the module.
func (c *checker) rel(path string) (string, bool) {
	return strings.CutPrefix(path, c.module+"/")
}

func (c *checker) pkg(p pkg) error {
	rel, _ := c.rel(p.ImportPath)
	l := find(rel)
	if l == nil {
		c.fault("%s stands in no layer of the house", rel)
		return nil
	}
	c.edges(rel, l, p.Imports)
	if l.stdOnly {
		c.foreign(rel, p.Deps)
	}
	if !l.pure {
		return nil
	}
	if len(p.CgoFiles) > 0 {
		c.fault("%s uses cgo", rel)
	}
	for _, name := range p.GoFiles {
		faults, err := impure(filepath.Join(p.Dir, name), nil)
		if err != nil {
			return err
		}
		for _, f := range faults {
			c.fault("%s/%s", rel, f)
		}
	}
	return nil
}

// edges reports imports of the module's own packages that point up or sideways.
func (c *checker) edges(from string, l *layer, imports []string) {
	for _, path := range imports {
		to, ours := c.rel(path)
		if !ours {
			continue
		}
		target := find(to)
		if target != nil && (target == l || slices.Contains(l.below, target.path)) {
			continue
		}
		c.fault("%s imports %s, which is not below it", from, to)
	}
}

// foreign reports dependencies that are neither the standard library nor ours.
func (c *checker) foreign(from string, deps []string) {
	for _, path := range deps {
		if _, ours := c.rel(path); ours || c.byPath[path].Standard || path == "C" {
			continue
		}
		c.fault("%s depends on %s: the standard library and our own only", from, path)
	}
}

// find returns the layer of a package: the one with the longest path that covers it.
func find(rel string) *layer {
	var best *layer
	for i := range house {
		l := &house[i]
		if under(rel, l.path) && (best == nil || len(l.path) > len(best.path)) {
			best = l
		}
	}
	return best
}

func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// impure returns what in a source file has no place in the pure core. src is as for parser.ParseFile.
func impure(name string, src any) ([]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var faults []string
	fault := func(n ast.Node, format string, args ...any) {
		at := fset.Position(n.Pos())
		faults = append(faults, fmt.Sprintf("%s:%d: %s", filepath.Base(at.Filename), at.Line, fmt.Sprintf(format, args...)))
	}
	timeName := ""
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if isBanned(path) {
			fault(spec, "imports %s", path)
		}
		if path == "time" {
			timeName = "time"
			if spec.Name != nil {
				timeName = spec.Name.Name
			}
			if timeName == "." {
				fault(spec, "dot-imports time")
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			fault(n, "starts a goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && timeName != "" && x.Name == timeName && slices.Contains(clock, n.Sel.Name) {
				fault(n, "uses time.%s", n.Sel.Name)
			}
		}
		return true
	})
	return faults, nil
}

func isBanned(path string) bool {
	if slices.Contains(allowed, path) {
		return false
	}
	return slices.ContainsFunc(banned, func(b string) bool { return under(path, b) })
}
