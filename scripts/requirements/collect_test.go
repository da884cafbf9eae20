package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// written lists mentions as line, test and id.
func written(list []mention) (out []string) {
	for _, m := range list {
		out = append(out, fmt.Sprintf("%d %s %s", m.line, m.test, m.id))
	}
	return out
}

func expectMentions(t *testing.T, got []mention, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if w := strings.Split(want, "; "); !slices.Equal(written(got), w) {
		t.Errorf("got  %q\nwant %q", written(got), w)
	}
}

func TestGoMentions(t *testing.T) {
	src := `package p // req: MUST-1

// A comment that ends with its list. req: MUST-2, MUST-3
func TestA(t *testing.T) {
	x() // req: MUST-4 (and why)
	y("// req: MUST-5")
}

// table has rows of its own.
var table = []string{
	"a", // req: MUST-6
}

// help checks what others did (req: MUST-7,
// MUST-8). It is called by some.
func help() {}

// req: 7323-01 MX-aES
// ST-F11
//
// SHLD-1 is not in the list.
func TestB(t *testing.T) { // req: see the table
}

// req: MUST-9
func BenchmarkC(b *testing.B) {}
`
	got, err := goMentions("p_test.go", src)
	expectMentions(t, got, err, "1 TestA MUST-1; 3 TestA MUST-2; 3 TestA MUST-3; 5 TestA MUST-4; 11 TestB MUST-6; 14 help MUST-7; "+
		"15 help MUST-8; 18 TestB 7323-01; 18 TestB MX-aES; 19 TestB ST-F11; 25  MUST-9")
}

func TestScriptMentions(t *testing.T) {
	src := `# req: MUST-1
== simultaneous open
# req: MUST-10, ST-SS7 ST-SR7
# U-15
< S 0:0(0)      # req: MUST-2
== close
# A crossing FIN. req: ST-CG1
`
	got, err := scriptMentions("s.pkt", src)
	expectMentions(t, got, err, "1  MUST-1; 3 simultaneous open MUST-10; 3 simultaneous open ST-SS7; 3 simultaneous open ST-SR7; "+
		"4 simultaneous open U-15; 7 close ST-CG1")
}
