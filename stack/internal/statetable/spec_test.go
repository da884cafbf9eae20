package statetable

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// meaning is what a cell of §18a asks for: each of these outcomes by some segment of its row, by state where that matters.
var meaning = map[string][]string{
	"A": {"A"}, "c": {"A"}, "–": {"-"}, "R": {"R"}, "K": {"K"}, "k": {"k"}, "– (1337)": {"-"},
	"A (SR7 exception)": {"A", "A>ES"}, "LISTEN / refused": {">LI", "C"}, "LISTEN / c": {"A", "S"},
	"6191 else c": {"N", "A"}, "dup logic =": {"-", "D"}, "dup =": {"-"}, "ES =": {">ES"}, "advance =": {"+"}, "advance, –": {"+"},
	"F2 =": {"+>F2"}, "TW": {">TW"}, "CLOSED": {"k"}, "signal in ES": {"U>ES"}, "signal": {"U"}, "deliver in ES": {"D>ES"},
	"deliver": {"D"}, "queue, ACK": {"A"}, "A, use ACK/URG": {"A", "A+", "U"}, "same": {"A", "U"}, "CW": {"A>CW"},
	"TW or CG": {"A>TW", "A>CG"}, "A, stay": {"A"}, "A, restart 2MSL": {"A"}, "hold": {"A"}, "RST, CLOSED": {"Xk"},
}

// atState are cells whose text means something else in one column.
var atState = map[string][]string{"pF2": {"A>TW"}, "nSR": {"A>ES"}, "qSR": {"A>ES"}}

// Every cell of the matrix that can occur has its cases here, with the outcomes that its text asks for, and no other cell has any.
func TestMatrixOfTheSpec(t *testing.T) {
	have := map[string][]string{}
	for _, c := range Cases() {
		key := c.ID + string(c.State)
		if c.State == SRA {
			key = c.ID + string(SR)
		}
		have[key] = append(have[key], c.Want)
	}
	have["aSR"] = append(have["aSR"], have["ST-SR7SR"]...) // the exception is a row of its own
	n := 0
	for _, cells := range specMatrix(t) {
		for i, st := range []State{SR, ES, F1, F2, CW, CG, LA, TW} {
			id, text := cells[0]+string(st), cells[i+2]
			want := meaning[text]
			if w, ok := atState[id]; ok {
				want = w
			}
			switch {
			case text == "n/a" && len(have[id]) > 0:
				t.Errorf("MX-%s: cannot occur, and has cases", id)
			case text != "n/a" && len(want) == 0:
				t.Errorf("MX-%s: %q has no meaning here", id, text)
			}
			for _, w := range want {
				if !slices.Contains(have[id], w) {
					t.Errorf("MX-%s is %q: want a segment whose outcome is %q, have %q", id, text, w, have[id])
				}
			}
			n++
		}
	}
	if n != 18*8 {
		t.Errorf("the matrix has %d cells", n)
	}
}

// specMatrix returns the rows of the table of §18a.
func specMatrix(t *testing.T) (rows [][]string) {
	for _, cells := range specTables(t) {
		if len(cells) == 10 && len(cells[0]) == 1 {
			rows = append(rows, cells)
		}
	}
	return rows
}

// specTables returns the rows of all tables of the TCP requirements.
func specTables(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/spec/tcp.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") {
			continue
		}
		cells := strings.Split(line[1:len(line)-1], "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// What §18b says of segments in CLOSED, LISTEN and SYN-SENT has its cases, and every row named here is one of §18b.
func TestRowsOfTheSpec(t *testing.T) {
	other := []string{"ST-CL4", "ST-CL5", "ST-LI4", "ST-LI6", "ST-LI7", "ST-LI8", "ST-LI9", // calls, and a full queue
		"ST-SS10", "ST-SS11", "ST-SS12", "ST-SS13", "ST-SS14"} // calls, timers, ICMP
	have, known := map[string]bool{}, map[string]bool{}
	for _, c := range Cases() {
		have[c.ID] = true
	}
	for _, cells := range specTables(t) {
		id := cells[0]
		known[id] = true
		for _, p := range []string{"ST-CL", "ST-LI", "ST-SS"} {
			if strings.HasPrefix(id, p) && have[id] == slices.Contains(other, id) {
				t.Errorf("%s: has cases here %v", id, have[id])
			}
		}
	}
	for id := range have {
		if !known[id] {
			t.Errorf("%s: no such row in §18", id)
		}
	}
}

// The name of a case tells it from all others of its state.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		key := c.ID + c.Name + string(c.State)
		if seen[key] {
			t.Errorf("%s %s in %s stands there twice", c.ID, c.Name, c.State)
		}
		seen[key] = true
	}
}
