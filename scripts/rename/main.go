// Command rename gives the module another path: in go.mod and those of nested modules, in every import, and in the code blocks of
// the documents. It is what `make rename MODULE=…` runs.
//
//	go run ./scripts/rename example.com/you/ustack
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./scripts/rename MODULE")
		os.Exit(2)
	}
	if err := rename(".", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
}

var (
	moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)\s*$`)
	// modulePath is what `go mod init` would take, without the finer points.
	modulePath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9._~-]+)*$`)
)

// rename rewrites the module in dir to the path to.
func rename(dir, to string) error {
	if !modulePath.MatchString(to) {
		return fmt.Errorf("%q is not a module path", to)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	m := moduleLine.FindSubmatch(mod)
	if m == nil {
		return fmt.Errorf("go.mod has no module line")
	}
	from := string(m[1])
	if from == to {
		return nil
	}
	if err := rewriteTree(dir, from, to); err != nil {
		return err
	}
	cmd := exec.Command("go", "mod", "edit", "-module", to)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	return cmd.Run()
}

func rewriteTree(dir, from, to string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		switch filepath.Ext(path) {
		case ".mod": // of a nested module, which requires and replaces ours; go.mod itself is edited last
			if filepath.Dir(path) != filepath.Clean(dir) {
				return rewriteFile(path, func(src []byte) ([]byte, error) { return rewriteMod(src, from, to), nil })
			}
		case ".go":
			return rewriteFile(path, func(src []byte) ([]byte, error) { return rewriteGo(path, src, from, to) })
		case ".md":
			return rewriteFile(path, func(src []byte) ([]byte, error) { return rewriteDoc(src, from, to), nil })
		}
		return nil
	})
}

func rewriteFile(path string, f func([]byte) ([]byte, error)) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out, err := f(src)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bytes.Equal(src, out) {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, out, info.Mode().Perm())
}

// rewriteGo changes the import specs of a source file and nothing else, then lets gofmt sort them.
func rewriteGo(name string, src []byte, from, to string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var out []byte
	last := 0
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		rest, ours := strings.CutPrefix(path, from+"/")
		if !ours {
			continue
		}
		at := fset.Position(spec.Path.Pos()).Offset
		out = append(out, src[last:at]...)
		out = strconv.AppendQuote(out, to+"/"+rest)
		last = at + len(spec.Path.Value)
	}
	if last == 0 {
		return src, nil
	}
	return format.Source(append(out, src[last:]...))
}

// rewriteMod changes the path of the module, and of what lies below it, in another module's go.mod.
func rewriteMod(src []byte, from, to string) []byte {
	path := regexp.MustCompile(`(?m)(^|\s)` + regexp.QuoteMeta(from) + `([/\s])`)
	return path.ReplaceAll(src, []byte("${1}"+to+"${2}"))
}

// rewriteDoc changes the import lines in the code blocks of a document.
func rewriteDoc(src []byte, from, to string) []byte {
	line := regexp.MustCompile(`(?m)^(\s*(?:import\s+)?")` + regexp.QuoteMeta(from) + `/`)
	return line.ReplaceAll(src, []byte("${1}"+to+"/"))
}
