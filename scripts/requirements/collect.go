package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// site is a place that names a requirement: a test, a helper of tests, or a packet script.
type site struct {
	file string // below the root, with slashes
	line int
	test string
}

// mention is one id at one place.
type mention struct {
	id string
	site
}

// collect finds the mentions in the tests of all modules and in the packet scripts below root.
func collect(root string) ([]mention, error) {
	var all []mention
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		read := reader(path)
		if d.IsDir() || read == nil {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		more, err := read(filepath.ToSlash(rel), string(src))
		all = append(all, more...)
		return err
	})
	return all, err
}

func reader(path string) func(name, src string) ([]mention, error) {
	switch {
	case strings.HasSuffix(path, "_test.go"):
		return goMentions
	case strings.HasSuffix(path, ".pkt"):
		return scriptMentions
	}
	return nil
}

// goMentions reads the comments of a test file: only what the compiler takes for a comment counts, not a string.
func goMentions(name, src string) ([]mention, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []mention
	for _, group := range file.Comments {
		var list idList
		for _, c := range group.List {
			for _, id := range list.next(strings.TrimPrefix(c.Text, "//")) {
				all = append(all, mention{id, site{name, fset.Position(c.Pos()).Line, owner(file, c.Pos())}})
			}
		}
	}
	return all, nil
}

// owner is the function, a test or a helper of tests, around or below a comment or, for a comment between functions, the test that
// follows.
func owner(file *ast.File, at token.Pos) string {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.End() < at || isBenchmark(f) {
			continue
		}
		if f.Pos() <= at || f.Doc != nil && f.Doc.Pos() <= at || isTest.MatchString(f.Name.Name) {
			return f.Name.Name
		}
	}
	return ""
}

var isTest = regexp.MustCompile(`^(Test|Fuzz|Example)`)

// isBenchmark finds what does not fail when a requirement is broken.
func isBenchmark(f *ast.FuncDecl) bool { return strings.HasPrefix(f.Name.Name, "Benchmark") }

// scriptMentions reads a file of packet scripts. Each begins with a line `== name`.
func scriptMentions(name, src string) ([]mention, error) {
	var all []mention
	var list idList
	script, n := "", 0
	for line := range strings.Lines(src) {
		n++
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "== "); ok {
			script = strings.TrimSpace(title)
		}
		text, ok := strings.CutPrefix(line, "#")
		if !ok {
			list = idList{}
			continue
		}
		for _, id := range list.next(text) {
			all = append(all, mention{id, site{name, n, script}})
		}
	}
	return all, nil
}

// idList reads `req: ID, ID …` from the lines of one comment. A list goes on in the next line when nothing follows it in its own.
type idList struct{ open bool }

var listStart = regexp.MustCompile(`(^|[^A-Za-z])req:`)

func (l *idList) next(line string) []string {
	if at := listStart.FindStringIndex(line); at != nil {
		line, l.open = line[at[1]:], true
	}
	words := strings.Fields(line)
	if l.open = l.open && len(words) > 0; !l.open {
		return nil
	}
	var ids []string
	for _, word := range words {
		id := strings.TrimRight(word, ",.;:)")
		if !anID.MatchString(id) {
			l.open = false
			break
		}
		ids = append(ids, id)
		if word != id && word != id+"," {
			l.open = false
			break
		}
	}
	return ids
}
