package tcb

import (
	"strings"
	"testing"
)

const pktSample = `== sample
established mss 1000 sackOK
0      < P. 1:1001(1000) ack 1
+0.04  > . 1:1(0) ack 1001
+0     write 1500
+0     > . 1:1001(1000) ack 1001
+0     > P. 1001:1501(500) ack 1001
+0     < . 1001:1001(0) ack 1501 <sack 1:1>
+0     readable 1000
+0     read 1000
+0     check rcvnxt=1001 inflight=0
+0     state ESTABLISHED
`

// A script fails if anything of what it says is not so.
func TestScriptsCanFail(t *testing.T) {
	run := func(text string) error {
		scripts, err := parseScripts("sample", text)
		if err != nil {
			return err
		}
		return runScript(&scripts[0], pktVariant{iss: 0xffffff00, irs: 5})
	}
	if err := run(pktSample); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, message string }{
		{"another sequence number", "> . 1:1001(1000)", "> . 2:1002(1000)", "want . 2:1002(1000) ack 1001\ngot  . 1:1001(1000) ack 1001"},
		{"another ACK", "ack 1001\n+0     write", "ack 1000\n+0     write", "want . 1:1(0) ack 1000"},
		{"another flag", "> P. 1001", "> . 1001", "got  P. 1001:1501(500)"},
		{"too early", "+0.04 ", "+0.03 ", "got  nothing"},
		{"too late", "+0.04 ", "+0.05 ", "want it at 0.050000"},
		{"a segment missing", "+0     > P. 1001:1501(500) ack 1001\n", "", "there is P. 1001:1501(500)"},
		{"a segment too many", "+0     write 1500\n", "+0     write 1500\n+0     > R 1:1(0)\n", "want R 1:1(0)"},
		{"an unexpected end", "+0     < . 1001:1001(0) ack 1501 <sack 1:1>\n", "+1 state ESTABLISHED\n", "there is"},
		{"a window", "+0.04  > . 1:1(0) ack 1001", "+0.04  > . 1:1(0) ack 1001 win 7", "win 64535"},
		{"an option", "+0.04  > . 1:1(0) ack 1001", "+0.04  > . 1:1(0) ack 1001 <TS val 1 ecr 2>", "got  . 1:1(0) ack 1001 <>"},
		{"a count", "readable 1000", "readable 999", "want 999"},
		{"a field", "inflight=0", "inflight=1", "got  inflight=0"},
		{"a field that is not there", "inflight=0", "inflght=0", `no field "inflght"`},
		{"a state", "state ESTABLISHED", "state CLOSE-WAIT", "got  ESTABLISHED"},
		{"a word", "readable 1000", "readible 1000", `"readible" is nothing that can happen`},
		{"a word of a segment", "ack 1501 <", "akc 1501 <", `"akc" is no word of a segment`},
		{"a flag that is none", "< . 1001", "< X 1001", `no flag`},
		{"a length", "1001:1001(0) ack 1501", "1001:1002(0) ack 1501", "want from:to(length)"},
		{"a time", "+0     read ", "soon   read ", `sample:10: "soon": want a time`},
		{"an option of ours", "established", "options nothing\nestablished", `no option "nothing"`},
		{"no name", "== sample\n", "", `want "== name"`},
	} {
		text := strings.Replace(pktSample, c.old, c.new, 1)
		err := run(text)
		switch {
		case text == pktSample:
			t.Errorf("%s: nothing changed", c.name)
		case err == nil:
			t.Errorf("%s: passes", c.name)
		case !strings.Contains(err.Error(), c.message):
			t.Errorf("%s: %v\ndoes not say %q", c.name, err, c.message)
		}
	}
}
