package differential

import (
	"slices"
	"strings"
	"testing"

	"ustack/ippkt"
	"ustack/tcpseg"
)

// What is compared is what was sent, not in which pieces, how often and with how many ACKs.
func TestTrace(t *testing.T) {
	type seg struct {
		flags  tcpseg.Flags
		seq, n int
		window uint16
	}
	const syn, ack, fin, rst, urg = tcpseg.SYN, tcpseg.ACK, tcpseg.FIN, tcpseg.RST, tcpseg.URG
	for _, c := range []struct {
		name string
		s    script
		segs []seg
		want string
	}{
		{"nothing", script{}, nil, "nothing"},
		{"pieces", script{}, []seg{{syn, 0, 0, 9}, {ack, 1, 10, 9}, {ack, 11, 10, 9}, {ack | fin, 21, 5, 9}}, "25 FIN"},
		{"sent again", script{}, []seg{{syn, 0, 0, 9}, {syn, 0, 0, 9}, {ack, 1, 10, 9}, {ack, 1, 10, 9},
			{ack | fin, 11, 0, 9}, {ack | fin, 11, 0, 9}, {ack | fin, 1, 10, 9}}, "10 FIN"},
		{"pure ACKs", script{}, []seg{{syn, 0, 0, 9}, {ack, 1, 0, 9}, {ack, 1, 0, 0}}, "nothing"},
		{"crossing open", script{open: "cross"}, []seg{{syn, 0, 0, 9}, {syn | ack, 0, 0, 9}}, "SYN SYN,ACK"},
		{"reset", script{}, []seg{{syn, 0, 0, 9}, {ack, 1, 10, 9}, {rst, 11, 0, 0}, {rst, 1, 0, 0}}, "10 RST"},
		{"reset elsewhere", script{}, []seg{{syn, 0, 0, 9}, {ack, 1, 10, 9}, {rst | ack, 1, 0, 0}}, "10 RST,ACK-10"},
		{"urgent", script{}, []seg{{syn, 0, 0, 9}, {ack | urg, 1, 10, 9}, {ack, 11, 10, 9}}, "10 URG 10"},
		{"window", script{wnd: true}, []seg{{syn, 0, 0, 9}, {ack, 1, 0, 0}, {ack, 1, 0, 9}, {ack, 1, 0, 0}},
			"(window shut) (and opened)"},
		{"some", script{some: true}, []seg{{syn, 0, 0, 9}, {ack, 1, 77, 9}}, "text"},
	} {
		var w way
		for _, s := range c.segs {
			h := tcpseg.Header{Seq: tcpseg.Seq(0xfffffff8).Add(s.seq), Flags: s.flags, Window: s.window}
			w.note(&ippkt.Packet{}, &tcpseg.Segment{Header: h, Payload: make([]byte, s.n)})
		}
		if got := w.describe(&c.s); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// fake is a task whose engines say these things about one step.
func fake(v variant, results ...string) *task {
	k := &task{s: &scripts[0], v: v, lines: map[string][]line{}}
	for i, e := range engines {
		k.lines[e] = []line{{"open", "ok"}, {"1. step", results[i]}}
	}
	return k
}

func TestUnexpected(t *testing.T) {
	called, calls := variant{acts: true}, variant{acts: true, opens: true}
	row := func(part string, results ...string) difference {
		return difference{scripts[0].name, part, "1. step", [3]string(results)}
	}
	for _, c := range []struct {
		name   string
		tasks  []*task
		listed []difference
		want   []string
	}{
		{"all agree", []*task{fake(called, "a", "a", "a")}, nil, nil},
		{"listed", []*task{fake(called, "a", "b", "b"), fake(calls, "a", "b", "b")}, []difference{row("acts", "a", "b", "b")}, nil},
		{"not listed", []*task{fake(called, "a", "b", "b")}, nil, []string{"not listed"}},
		{"listed for one that calls", []*task{fake(called, "a", "b", "b"), fake(calls, "b", "b", "b")},
			[]difference{row("acts, is called", "a", "b", "b")}, nil},
		{"for both, but only one has it", []*task{fake(called, "a", "b", "b"), fake(calls, "b", "b", "b")},
			[]difference{row("acts", "a", "b", "b")}, []string{"listed, and does not occur", "not listed"}},
		{"otherwise", []*task{fake(called, "a", "b", "b")}, []difference{row("acts", "a", "b", "c")},
			[]string{"listed, and does not occur", "not listed"}},
		{"chance", []*task{fake(called, "a", "b", "b"), fake(calls, "b", "b", "b")}, []difference{row("acts", "a or b", "b", "b")}, nil},
		{"chance had it", []*task{fake(called, "b", "b", "b")}, []difference{row("acts", "a or b", "b", "b")}, nil},
		{"beyond chance", []*task{fake(called, "c", "b", "b")}, []difference{row("acts", "a or b", "b", "b")}, []string{"not listed"}},
	} {
		var got []string
		for _, s := range unexpected(c.tasks, c.listed) {
			what, _, _ := strings.Cut(s.complaint, ":")
			got = append(got, what)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Every script of the document is one that runs, and every row refers to a reason that is there.
func TestDocument(t *testing.T) {
	text := string(mustRead(t))
	for d, why := range readDocument(t) {
		if !slices.ContainsFunc(scripts, func(s script) bool { return s.name == d.script }) {
			t.Errorf("there is no script %q", d.script)
		}
		if !strings.Contains(text, "\n**"+why+". ") {
			t.Errorf("%q: no reason %s", d.script, why)
		}
	}
}
