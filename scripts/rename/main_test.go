package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRename(t *testing.T) {
	dir := t.TempDir()
	in := map[string]string{
		"go.mod":       "module old\n\ngo 1.26\n",
		"a/a.go":       "package a\n\nimport (\n\t\"example.org/x\"\n\t\"old/b\"\n)\n\nconst agent = \"old/1.0\" // stays\n",
		"b/b.go":       "package b\n",
		"c/go.mod":     "module old/c\n\nrequire (\n\told v0.0.0\n\texample.org/old v1.0.0\n)\n\nreplace old => ../\n",
		"README.md":    "Import it:\n\n\t\"old/b\"\n\nand run old/bin.\n",
		".git/config":  "\"old/b\"\n",
		"script.sh":    "\"old/b\"\n",
		"a/renamed.go": "package a\n\nimport q \"old/b\"\n",
	}
	want := map[string]string{
		"go.mod":       "module example.com/new\n\ngo 1.26\n",
		"a/a.go":       "package a\n\nimport (\n\t\"example.com/new/b\"\n\t\"example.org/x\"\n)\n\nconst agent = \"old/1.0\" // stays\n",
		"b/b.go":       in["b/b.go"],
		"c/go.mod":     "module example.com/new/c\n\nrequire (\n\texample.com/new v0.0.0\n\texample.org/old v1.0.0\n)\n\nreplace example.com/new => ../\n",
		"README.md":    "Import it:\n\n\t\"example.com/new/b\"\n\nand run old/bin.\n",
		".git/config":  in[".git/config"],
		"script.sh":    in["script.sh"],
		"a/renamed.go": "package a\n\nimport q \"example.com/new/b\"\n",
	}
	for name, src := range in {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := rename(dir, "example.com/new"); err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != w {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, w)
		}
	}
}

func TestRenameRefuses(t *testing.T) {
	for _, path := range []string{"", "a b", "/x", "x/", "a//b", "\"x\""} {
		if err := rename(t.TempDir(), path); err == nil {
			t.Errorf("%q was taken for a module path", path)
		}
	}
}
