package tcb

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ustack/tcpseg"
)

// Packet scripts: docs/scripts.md describes the language. A pktScript is one of those in a file of testdata.
type pktScript struct {
	file, name string
	lines      []pktLine
}

// pktLine is one line of a script that does something.
type pktLine struct {
	number int
	text   string
	set    bool // options, established …: no time, before everything else
	rel    bool // at is a delay after the line before
	at     Time
	op     string // "<", ">" or a word
	args   []string
}

// readScripts reads all scripts of a file.
func readScripts(file string) ([]pktScript, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseScripts(filepath.Base(file), string(b))
}

func parseScripts(file, text string) ([]pktScript, error) {
	var all []pktScript
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "== "):
			all = append(all, pktScript{file: file, name: line[3:]})
			continue
		case len(all) == 0:
			return nil, fmt.Errorf("%s:%d: want \"== name\" before the first line of a script", file, i+1)
		}
		l, err := parsePktLine(i+1, line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
		s := &all[len(all)-1]
		s.lines = append(s.lines, l)
	}
	return all, nil
}

// pktSetups are the words of lines without a time.
var pktSetups = map[string]bool{"options": true, "established": true, "closed": true, "limit": true, "only": true, "fastopen": true}

func parsePktLine(number int, text string) (pktLine, error) {
	l := pktLine{number: number, text: text, args: pktFields(text)}
	if pktSetups[l.args[0]] {
		l.set, l.op, l.args = true, l.args[0], l.args[1:]
		return l, nil
	}
	at, err := parsePktTime(l.args[0])
	if err != nil {
		return l, fmt.Errorf("%q: want a time in seconds, as 0.5 or +0.04, or one of options, established, closed, limit, only", l.args[0])
	}
	if len(l.args) < 2 {
		return l, fmt.Errorf("%q: want what happens then: <, > or a word", text)
	}
	l.rel, l.at, l.op, l.args = strings.HasPrefix(l.args[0], "+"), at, l.args[1], l.args[2:]
	return l, nil
}

// pktFields splits a line into words; the options of a segment, <…> at its end, are one word.
func pktFields(text string) []string {
	if i := strings.LastIndex(text, " <"); i >= 0 && strings.HasSuffix(text, ">") {
		return append(strings.Fields(text[:i]), text[i+1:])
	}
	return strings.Fields(text)
}

func parsePktTime(s string) (Time, error) {
	f, err := strconv.ParseFloat(strings.TrimPrefix(s, "+"), 64)
	return Time(f*1e6+0.5) * Time(time.Microsecond), err
}

// pktVariant is under which circumstances a script runs.
type pktVariant struct {
	iss, irs tcpseg.Seq
	v6       bool
}

func (v pktVariant) String() string {
	family := "v4"
	if v.v6 {
		family = "v6"
	}
	return fmt.Sprintf("%#x,%#x,%s", uint32(v.iss), uint32(v.irs), family)
}

// config is that of a connection with the sizes of the IP version.
func (v pktVariant) config(o Options) Config {
	if v.v6 {
		return Config{Options: o, LinkMSS: 1440, DefaultMSS: 1220}
	}
	return Config{Options: o, LinkMSS: 1460, DefaultMSS: 536}
}

// isns are where sequence numbers begin: so that none wraps, that they change sign with the SYN, that they wrap in the text, and
// that they wrap with the SYN.
var isns = []tcpseg.Seq{0, 0x7fffffff, 0xffffff00, 0xffffffff}

// pktVariants are both IP versions with every pair of isns.
func pktVariants() (all []pktVariant) {
	for _, iss := range isns {
		for _, irs := range isns {
			all = append(all, pktVariant{iss, irs, false}, pktVariant{iss, irs, true})
		}
	}
	return all
}

// everyVariant runs a test in all of them.
func everyVariant(t *testing.T, test func(t *testing.T, v pktVariant)) {
	for _, v := range pktVariants() {
		t.Run(v.String(), func(t *testing.T) { test(t, v) })
	}
}

// TestScripts runs every script of testdata. Each names its requirements itself.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pkt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	n := 0
	for _, file := range files {
		scripts, err := readScripts(file)
		if err != nil {
			t.Fatal(err)
		}
		n += len(scripts)
		for i := range scripts {
			s := &scripts[i]
			t.Run(strings.TrimSuffix(s.file, ".pkt")+"/"+s.name, func(t *testing.T) {
				for _, v := range pktVariants() {
					if err := runScript(s, v); err != nil {
						t.Fatalf("%v: %v", v, err)
					}
				}
			})
		}
	}
	t.Logf("%d scripts, %d variants each", n, len(pktVariants()))
}
