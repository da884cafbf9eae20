package stack

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	infoRow  = regexp.MustCompile("(?m)^\\| `([A-Z]\\w*)` \\| ([^|]*) \\|")
	infoName = regexp.MustCompile("`(\\w+)(\\(\\))?`")
)

// TestInfoTable: docs/info.md has a row for each field of Linux's tcp_info, and what stands in it is there.
func TestInfoTable(t *testing.T) {
	text, err := os.ReadFile("../docs/info.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range infoRow.FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, strings.ToLower(strings.ReplaceAll(row[1], "_", "")))
		names := infoName.FindAllStringSubmatch(row[2], -1)
		if len(names) == 0 && row[2] != "–" {
			t.Errorf("%s: %q names nothing", row[1], row[2])
		}
		for _, n := range names {
			checkInfoName(t, n[1], n[2] != "")
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[unix.TCPInfo]()) {
		if name := strings.ToLower(strings.ReplaceAll(f.Name, "_", "")); f.IsExported() && !slices.Contains(rows, name) {
			t.Errorf("no row for %s", f.Name)
		}
	}
}

func checkInfoName(t *testing.T, name string, method bool) {
	t.Helper()
	typ := reflect.TypeFor[*Info]()
	_, found := typ.Elem().FieldByName(name)
	if method {
		_, found = typ.MethodByName(name)
	}
	if !found {
		t.Errorf("an Info has no %s", name)
	}
}
