package httpserver

import (
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var (
	testName   = regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	goReleases = regexp.MustCompile(`What Go (\d+\.\d+\.\d+)'s tests`)
)

// namesIn returns what of the files' contents name finds, and where last.
func namesIn(t *testing.T, name *regexp.Regexp, files ...string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			found[m[1]] = file
		}
	}
	return found
}

// A behaviour is a row of the table of net/http's own tests.
type behaviour struct {
	what, theirs, here, ours string
}

func behaviours(t *testing.T) (doc string, rows []behaviour) {
	b, err := os.ReadFile("../docs/httpserver.md")
	if err != nil {
		t.Fatal(err)
	}
	rest, table, ok := strings.Cut(string(b), "\n## net/http's own tests\n")
	if !ok {
		t.Fatal("the document has no table of net/http's own tests")
	}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| What |") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 {
			t.Fatalf("%d cells in %q", len(cells), line)
		}
		row := behaviour{cells[0], cells[1], strings.TrimSpace(cells[2]), cells[3]}
		rows = append(rows, row)
		rest += row.ours
	}
	return rest, rows
}

// TestBehaviourTable: every test that docs/httpserver.md names is there, and every test of net/http's server is in its
// table, where "same" names a test of ours.
func TestBehaviourTable(t *testing.T) {
	doc, rows := behaviours(t)
	var files []string
	for _, dir := range []string{".", "files", "../cmd/ustack", "../cmd/ustack/internal/client"} {
		some, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		files = append(files, some...)
	}
	ours := namesIn(t, testFunc, files...)
	for _, m := range testName.FindAllStringSubmatch(doc, -1) {
		if ours[m[1]] == "" {
			t.Errorf("no test is called %s", m[1])
		}
	}
	theirs := make(map[string]bool)
	for _, row := range rows {
		names := testName.FindAllStringSubmatch(row.theirs, -1)
		for _, m := range names {
			if theirs[m[1]] {
				t.Errorf("%s has two rows", m[1])
			}
			theirs[m[1]] = true
		}
		kind, why, _ := strings.Cut(row.here, ":")
		same := kind == "same" || strings.HasPrefix(kind, "same;") || strings.HasPrefix(kind, "same,")
		switch {
		case len(names) == 0:
			t.Errorf("%q names no test of net/http's", row.what)
		case !same && (kind != "differs" && kind != "n/a" || why == ""):
			t.Errorf("%q: neither same, nor differs or n/a with a reason: %q", row.what, row.here)
		case kind != "n/a" && !testName.MatchString(row.ours):
			t.Errorf("%q is shown by no test", row.what)
		}
	}
	compareWithGo(t, theirs)
}

// compareWithGo holds the table against the sources of net/http's tests, if they are here.
func compareWithGo(t *testing.T, listed map[string]bool) {
	dir := filepath.Join(build.Default.GOROOT, "src", "net", "http")
	var files []string
	for _, name := range []string{"serve_test.go", "responsecontroller_test.go", "transfer_test.go"} {
		file := filepath.Join(dir, name)
		files = append(files, file)
		if _, err := os.Stat(file); err != nil {
			t.Skipf("THE TABLE IS NOT COMPARED WITH GO'S TESTS: their sources are not installed: %v", err)
		}
	}
	report := t.Errorf
	b, err := os.ReadFile("../docs/httpserver.md")
	if err != nil {
		t.Fatal(err)
	}
	if m := goReleases.FindStringSubmatch(string(b)); m == nil {
		t.Error("the document does not say which release of Go it is about")
	} else if "go"+m[1] != runtime.Version() {
		t.Logf("the table is about Go %s, this is %s: what differs is only told", m[1], runtime.Version())
		report = t.Logf
	}
	actual := namesIn(t, testFunc, files...)
	for name, file := range actual {
		if !listed[name] && filepath.Base(file) != "transfer_test.go" { // most of it is about clients
			report("%s of %s is not in the table", name, filepath.Base(file))
		}
	}
	for name := range listed {
		if actual[name] == "" {
			report("%s is no test of net/http's", name)
		}
	}
}
