package main

import (
	"slices"
	"testing"
)

func TestParseSpec(t *testing.T) {
	rows, err := parseSpec(sound["docs/spec/tcp.md"] + "\n### 2a. Explained\n\n| Suite | Rows |\n|---|---|\n| close | ST-F* |\n" +
		"\n## 19. Conflicts\n\n| # | Conflict | Proposed |\n|---|---|---|\n| P-1 | hard ICMP | only in SYN-SENT |\n" +
		"\n## HTTP\n\n| ID | Requirement | Ours |\n|---|---|---|\n| 9112-5.2a | fold | 400 |\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{"MUST-1", `one \| bar`, "W", "1. Labels"},
		{"MUST-51", "source route", "D", "1. Labels"},
		{"MAY-1", "perhaps", "W", "1. Labels"},
		{"7323-01", "scale", "W: 14", "1. Labels"},
		{"MX-aES", "oow, ES: A", "A", "2. States"},
		{"MX-aF1", "oow, F1: A", "A", "2. States"},
		{"MX-bF1", "RST, F1: –", "–", "2. States"},
		{"P-1", "hard ICMP: only in SYN-SENT", "only in SYN-SENT", "19. Conflicts"},
		{"9112-5.2a", "fold: 400", "400", "HTTP"},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("got  %q\nwant %q", rows, want)
	}
}

func TestIDs(t *testing.T) {
	for _, id := range []string{"MUST-1", "REC-1", "U-01", "5681-01", "PMTU-14", "SWS-01", "ST-CL1", "ST-F11", "OPT-1", "P-11",
		"MX-a", "MX-aES", "TUN-R01", "V4S-11", "9112-9.6", "9112-C.2.2", "9112-6.1a", "9112-3a"} {
		if !anID.MatchString(id) {
			t.Errorf("%s is no id", id)
		}
	}
	for _, word := range []string{"SYN-SENT", "FIN-WAIT-1", "MUST-", "MUST", "must-1", "RFC", "MX-", "5681-01.", "9112-6.1ab", "9112-a"} {
		if anID.MatchString(word) {
			t.Errorf("%s is an id", word)
		}
	}
}

func TestDecidable(t *testing.T) {
	for _, tt := range []struct {
		id, text, plan string
		want           bool
	}{
		{"SHLD-6", "x", "D (TUN: fixed)", true},
		{"SHLD-23", "x", "D", true},
		{"6928-04", "x", "A; D", true},
		{"5961-07", "x", "W: flood; D side channel", true},
		{"OPT-4", "x", "D", true},
		{"MAY-14", "x", "no", true},
		{"MAY-8", "x", "W: app never reads", true},
		{"P-3", "x", "configurable", true},
		{"6298-13", "(O) x", "U: state", true},
		{"U-1", "x", "not implemented; W: still works", true},
		{"8985-08", "(S) x", "W: 3 D-SACKs in a round → +1", false},
		{"8985-17", "D-SACK of probe", "W three cases", false},
		{"2018-02", "x", "W: gap on no-SACK conn → plain dup ACK", false},
		{"1122-06", "x", "MUST-37", false},
		{"MUST-25", "x", "A: idle 24 h", false},
	} {
		if got := decidable(row{tt.id, tt.text, tt.plan, ""}); got != tt.want {
			t.Errorf("%s, %q: %v", tt.id, tt.plan, got)
		}
	}
}
