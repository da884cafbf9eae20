package differential

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ustack/stack/internal/nstest"
)

const document = "../../../docs/differential.md"

// task is a script in one variant: in what the engines are compared.
type task struct {
	s     *script
	v     variant
	lines map[string][]line // by engine
}

// TestDifferences runs every script on every engine, and compares what comes of it with each other and with the document.
// req: MUST-10 MUST-12 SHLD-3
func TestDifferences(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED by -short")
	}
	nstest.Require(t)
	l, tasks := newLab(t), plan()
	runAll(l, tasks, together, quiet)
	listed := slices.Collect(maps.Keys(readDocument(t)))
	for range retries { // a busy machine makes differences of its own
		if odd := suspects(unexpected(tasks, listed)); len(odd) > 0 {
			t.Logf("once more, with more patience: %d of %d", len(odd), len(tasks))
			runAll(l, odd, few, patient)
		}
	}
	for _, r := range unexpected(tasks, listed) {
		t.Error(r.complaint)
		for _, k := range r.tasks {
			t.Log(k)
		}
	}
	if *show {
		for _, k := range tasks {
			t.Log(k)
		}
	}
}

func plan() (all []*task) {
	for i := range scripts {
		if *only != "" && scripts[i].name != *only {
			continue
		}
		for _, v := range []variant{{false, false}, {false, true}, {true, false}, {true, true}} {
			if v.acts != v.opens && (scripts[i].open == "closed" || scripts[i].open == "cross") { // who acts is who calls
				continue
			}
			all = append(all, &task{s: &scripts[i], v: v})
		}
	}
	return all
}

// suspects are the tasks behind surprises, each once.
func suspects(all []surprise) (odd []*task) {
	for _, s := range all {
		for _, k := range s.tasks {
			if !slices.Contains(odd, k) {
				odd = append(odd, k)
			}
		}
	}
	return odd
}

// runAll runs most tasks together, so many at a time, and those alone that would disturb others.
func runAll(l *lab, tasks []*task, many int, pause time.Duration) {
	var all sync.WaitGroup
	slots := make(chan struct{}, many)
	for _, k := range tasks {
		if !k.s.alone {
			all.Go(func() {
				slots <- struct{}{}
				k.run(l, pause)
				<-slots
			})
		}
	}
	all.Wait()
	for _, k := range tasks {
		if k.s.alone {
			k.run(l, pause)
		}
	}
}

// run does the script on each engine.
func (k *task) run(l *lab, pause time.Duration) {
	k.lines = map[string][]line{}
	for _, e := range engines {
		r := run{lab: l, s: k.s, v: k.v, engine: e, pause: pause}
		k.lines[e] = r.do()
	}
}

// result is what an engine's run says about one thing.
func (k *task) result(engine, what string) string {
	for _, l := range k.lines[engine] {
		if l.what == what {
			return l.result
		}
	}
	return "-"
}

// things are all that any engine's run says something about.
func (k *task) things() (all []string) {
	for _, e := range engines {
		for _, l := range k.lines[e] {
			if !slices.Contains(all, l.what) {
				all = append(all, l.what)
			}
		}
	}
	return all
}

// results are what the engines say about one thing.
func (k *task) results(what string) (r [3]string) {
	for i, e := range engines {
		r[i] = k.result(e, what)
	}
	return r
}

func (k *task) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q, the host under test %v, IPv6 %v\n", k.s.name, k.v, k.v.v6())
	for _, what := range k.things() {
		fmt.Fprintf(&b, "  %-24s", what)
		r := k.results(what)
		if r[0] == r[1] && r[1] == r[2] {
			fmt.Fprintf(&b, " %s\n", r[0])
			continue
		}
		fmt.Fprintf(&b, " ustack: %-30s gVisor: %-30s kernel: %s\n", r[0], r[1], r[2])
	}
	return b.String()
}

// difference is a row of the document.
type difference struct {
	script, part, what string
	results            [3]string
}

func (d difference) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s | ", d.script, d.part, d.what, strings.Join(d.results[:], " | "))
}

// chancy reports whether a row of the document leaves results open, "this or that", for what depends on chance.
func (d difference) chancy() bool { return strings.Contains(strings.Join(d.results[:], ""), " or ") }

// is reports whether d is what a row of the document tells of.
func (d difference) is(row difference) bool {
	if !row.chancy() {
		return d == row
	}
	for i, r := range row.results {
		if !slices.Contains(strings.Split(r, " or "), d.results[i]) {
			return false
		}
	}
	return d.script == row.script && d.what == row.what && (d.part == row.part || strings.HasPrefix(d.part, row.part+","))
}

// differences are what the engines do not agree in. Where it is the same whoever calls, there is one row for both.
func differences(tasks []*task) map[difference][]*task {
	all := map[difference][]*task{}
	for _, k := range tasks {
		for _, what := range k.things() {
			r := k.results(what)
			if r[0] == r[1] && r[1] == r[2] {
				continue
			}
			part := strings.Fields(k.v.String())[0]
			part = strings.TrimSuffix(part, ",")
			if !sameForAll(tasks, k, what) {
				part = k.v.String()
			}
			d := difference{k.s.name, part, what, r}
			all[d] = append(all[d], k)
		}
	}
	return all
}

// sameForAll reports whether a thing is the same in all variants in which the host under test acts, or reacts, as in k.
func sameForAll(tasks []*task, k *task, what string) bool {
	return !slices.ContainsFunc(tasks, func(o *task) bool {
		return o.s == k.s && o.v.acts == k.v.acts && o.results(what) != k.results(what)
	})
}

// surprise is a difference that is not listed, or one that is and did not occur.
type surprise struct {
	complaint string
	tasks     []*task
}

func unexpected(tasks []*task, listed []difference) (all []surprise) {
	found := differences(tasks)
	for d, of := range found {
		if !slices.ContainsFunc(listed, d.is) {
			all = append(all, surprise{"not listed: " + d.String(), of})
		}
	}
	for _, d := range listed {
		if found[d] == nil && !d.chancy() && (*only == "" || d.script == *only) {
			s := surprise{complaint: "listed, and does not occur: " + d.String()}
			for _, k := range tasks {
				if k.s.name == d.script {
					s.tasks = append(s.tasks, k)
				}
			}
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b surprise) int { return strings.Compare(a.complaint, b.complaint) })
	return all
}

// readDocument returns the differences that are listed, each with the letter of its reason.
func readDocument(t *testing.T) map[difference]string {
	t.Helper()
	all, table := map[difference]string{}, false
	for row := range strings.Lines(string(mustRead(t))) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) != 7:
			table = false
		case cells[0] == "script":
			table = true
		case table && !strings.HasPrefix(cells[0], "--"):
			d := difference{cells[0], cells[1], cells[2], [3]string(cells[3:6])}
			if all[d] != "" || cells[6] == "" {
				t.Errorf("twice, or without a reason: %s", d)
			}
			all[d] = cells[6]
		}
	}
	return all
}

func mustRead(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
