package netsim_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"ustack/stack/cc"
	"ustack/stack/netsim"
	"ustack/stack/tcb"
	"ustack/tcpseg"
)

var (
	updateFlag = flag.Bool("update", false, "write the table of TestGoodput anew")
	cellFlag   = flag.String("cell", "", "the one cell TestGoodput replays, as it is named with -v")
)

const (
	goldenFile = "testdata/goodput.md"
	lineRate   = 20 * netsim.Mbit
	cellTime   = 20 * netsim.Second
	segment    = 1448 // payload of a full-sized segment
)

// cell is one flow through one bottleneck.
type cell struct {
	rtt        netsim.Time
	loss       float64
	queue      float64 // in bandwidth-delay products
	reorder    float64
	controller string
	seed       uint64
	off        string // a switch that is off: one of switches
	octets     int64  // to send; 0: for as long as the run takes
	tail       bool   // the last three segments are lost
}

func (c cell) String() string {
	s := fmt.Sprintf("%s,%dms,loss=%g%%,queue=%gbdp", c.controller, c.rtt/netsim.Millisecond, c.loss*100, c.queue)
	if c.reorder > 0 {
		s += fmt.Sprintf(",reorder=%g%%", c.reorder*100)
	}
	if c.octets > 0 {
		s += fmt.Sprintf(",%d", c.octets)
	}
	if c.tail {
		s += ",tail"
	}
	if c.off != "" {
		s += ",no-" + c.off
	}
	return fmt.Sprintf("%s,seed=%d", s, c.seed)
}

var controllers = map[string]cc.New{"cubic": cc.NewCubic, "reno": cc.NewReno, "gentle": newGentle}

// switches are what recovery and the handshake can do without.
var switches = []struct {
	name string
	off  func(*tcb.Options)
}{
	{"", func(*tcb.Options) {}},
	{"SACK", func(o *tcb.Options) { o.NoSACK = true }},
	{"RACK", func(o *tcb.Options) { o.NoRACK = true }},
	{"TLP", func(o *tcb.Options) { o.NoTLP = true }},
	{"PRR", func(o *tcb.Options) { o.NoPRR = true }},
	{"HyStart", func(o *tcb.Options) { o.NoHyStart = true }},
	{"timestamps", func(o *tcb.Options) { o.NoTimestamps = true }},
	{"SACK and timestamps", func(o *tcb.Options) { o.NoSACK, o.NoTimestamps = true, true }},
	{"quick ACKs", func(o *tcb.Options) { o.NoQuickACK = true }},
	{"bursts (pacing on)", func(o *tcb.Options) { o.Pacing = true }},
}

// build makes the network of a cell with its flow.
func (c cell) build() (*netsim.Sim, *netsim.Conn) {
	s := netsim.New(c.seed)
	bdp := float64(lineRate) * float64(c.rtt) / float64(netsim.Second)
	access := netsim.Wire{Delay: c.rtt / 2, Loss: c.loss, Reorder: c.reorder, ReorderBy: c.rtt / 5}
	if c.tail {
		access.Middlebox = dropTail(int(c.octets))
	}
	d := s.Dumbbell(netsim.Bottleneck{Rate: lineRate, Queue: int(c.queue * bdp)}, access)
	octets := c.octets
	if octets == 0 {
		octets = math.MaxInt64
	}
	e := netsim.Endpoint{Script: netsim.Bulk(octets), Orderly: true}
	e.CC = controllers[c.controller]
	for _, sw := range switches {
		if sw.name == c.off {
			sw.off(&e.Options)
		}
	}
	return s, d.Flow(0, e)
}

// dropTail drops the last three segments of a transfer when they come for the first time.
func dropTail(octets int) func([]byte) []byte {
	var iss tcpseg.Seq
	dropped := 0
	return func(b []byte) []byte {
		seg, err := tcpseg.Parse(b)
		if err != nil {
			return b
		}
		if seg.Flags.Has(tcpseg.SYN) {
			iss = seg.Seq
		}
		if end := seg.Seq.Sub(iss) - 1 + len(seg.Payload); dropped < 3 && len(seg.Payload) > 0 && end > octets-2*segment {
			dropped++
			return nil
		}
		return b
	}
}

// outcome is what came of a cell, or of the mean of several.
type outcome struct {
	mbits  float64
	resent float64     // part of the payload sent
	took   netsim.Time // until everything was read, where the octets are bounded
}

func (c cell) run() (outcome, error) {
	s, flow := c.build()
	var err error
	if c.octets > 0 {
		err = s.Run()
	} else {
		err = s.RunFor(cellTime)
	}
	st := flow.Stats()
	return outcome{st.Goodput() / netsim.Mbit, st.ResentRatio(), flow.Took()}, err
}

// runAll runs cells side by side.
func runAll(t *testing.T, cells []cell) map[cell]outcome {
	out := map[cell]outcome{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	queue := make(chan cell)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for c := range queue {
				o, err := c.run()
				mu.Lock()
				if out[c] = o; err != nil {
					t.Errorf("%v: %v", c, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, c := range cells {
		queue <- c
	}
	close(queue)
	workers.Wait()
	return out
}

// mean runs over the seeds of a cell.
func mean(results map[cell]outcome, c cell, seeds int) outcome {
	var m outcome
	for c.seed = 1; c.seed <= uint64(seeds); c.seed++ {
		o := results[c]
		m.mbits += o.mbits / float64(seeds)
		m.resent += o.resent / float64(seeds)
		m.took += o.took / netsim.Time(seeds)
	}
	return m
}

func (o outcome) String() string { return fmt.Sprintf("%.2f · %.1f", o.mbits, o.resent*100) }

// line is a row of a table and the cells that it needs.
type line struct {
	cells []cell
	print func(results map[cell]outcome) string
}

var (
	rtts    = []netsim.Time{10 * netsim.Millisecond, 50 * netsim.Millisecond, 100 * netsim.Millisecond}
	losses  = []float64{0, 0.001, 0.01, 0.03}
	queues  = []float64{0.25, 1, 4}
	columns = []string{"cubic", "reno", "gentle"}
)

// tableRow is one path with each queue and controller.
func tableRow(rtt netsim.Time, loss float64) line {
	var cells []cell
	for _, queue := range queues {
		for _, controller := range columns {
			cells = append(cells, cell{rtt: rtt, loss: loss, queue: queue, controller: controller, seed: 1})
		}
	}
	return line{cells, func(results map[cell]outcome) string {
		s := fmt.Sprintf("| %d ms | %g %% | %.2f |", rtt/netsim.Millisecond, loss*100, model(rtt, loss))
		for _, c := range cells {
			s += fmt.Sprintf(" %v |", results[c])
		}
		return s
	}}
}

// model is the Mbit/s that a Reno sender gets where losses are random: a window of √(3/2p) segments, or the whole line.
func model(rtt netsim.Time, loss float64) float64 {
	best := float64(lineRate) * segment / 1500
	if loss > 0 {
		best = min(best, math.Sqrt(1.5/loss)*segment/(float64(rtt)/float64(netsim.Second)))
	}
	return best / netsim.Mbit
}

// atLeast is what CUBIC and Reno must reach however the table is updated: nearly the line where nothing but the queue
// loses packets and holds enough of them, and otherwise not much less than the model.
func (c cell) atLeast() float64 {
	switch {
	case c.queue < 1 || c.octets > 0 || c.reorder > 0 || c.off != "" || c.controller == "gentle":
		return 0
	case c.loss == 0:
		return 0.95 * model(c.rtt, 0)
	}
	return 0.7 * model(c.rtt, c.loss)
}

// situation is a path on which switches are compared, and the seeds to take the mean of.
type situation struct {
	cell
	seeds int
}

var situations = []situation{
	{cell{rtt: 50 * netsim.Millisecond, queue: 1}, 1},
	{cell{rtt: 50 * netsim.Millisecond, queue: 0.25}, 1},
	{cell{rtt: 50 * netsim.Millisecond, queue: 1, loss: 0.01}, 4},
	{cell{rtt: 50 * netsim.Millisecond, queue: 1, reorder: 0.01}, 4},
	{cell{rtt: 50 * netsim.Millisecond, queue: 1, loss: 0.03, octets: 100_000}, 100},
	{cell{rtt: 50 * netsim.Millisecond, queue: 1, octets: 100_000, tail: true}, 1},
}

// switchRow is one switch off in each situation.
func switchRow(off string) line {
	var cells []cell
	each := slices.Clone(situations)
	for i := range each {
		m := &each[i]
		m.controller, m.off = "cubic", off
		for m.seed = 1; m.seed <= uint64(m.seeds); m.seed++ {
			cells = append(cells, m.cell)
		}
	}
	return line{cells, func(results map[cell]outcome) string {
		s := "| without " + off + " |"
		if off == "" {
			s = "| all on |"
		}
		for _, m := range each {
			o := mean(results, m.cell, m.seeds)
			if m.octets > 0 {
				s += fmt.Sprintf(" %d ms |", o.took/netsim.Millisecond)
			} else {
				s += fmt.Sprintf(" %v |", o)
			}
		}
		return s
	}}
}

// TestGoodput holds the goodputs of the stack against those in testdata/goodput.md, to the octet. A cell is replayed by
//
//	go test ./stack/netsim -run TestGoodput -v -cell cubic,50ms,loss=1%,queue=1bdp,seed=1
func TestGoodput(t *testing.T) {
	tables := [2][]line{}
	for _, rtt := range rtts {
		for _, loss := range losses {
			tables[0] = append(tables[0], tableRow(rtt, loss))
		}
	}
	for _, sw := range switches {
		tables[1] = append(tables[1], switchRow(sw.name))
	}
	if testing.Short() {
		tables[0], tables[1] = tables[0][7:8], tables[1][:0]
	}
	var cells []cell
	for _, l := range slices.Concat(tables[0], tables[1]) {
		cells = append(cells, l.cells...)
	}
	if *cellFlag != "" {
		replay(t, cells)
		return
	}
	results := runAll(t, cells)
	for c, o := range results {
		if o.mbits < c.atLeast() {
			t.Errorf("%v: %.2f Mbit/s, want %.2f", c, o.mbits, c.atLeast())
		}
	}
	var text [2]string
	for i, lines := range tables {
		for _, l := range lines {
			text[i] += l.print(results) + "\n"
		}
	}
	compare(t, fmt.Sprintf(goldenForm, text[0], text[1]), text[0]+text[1])
}

// replay runs the one cell that -cell names and shows every event of it.
func replay(t *testing.T, cells []cell) {
	for _, c := range cells {
		if c.String() == *cellFlag {
			s, flow := c.build()
			if testing.Verbose() {
				s.Trace(os.Stdout)
			}
			err := s.RunFor(cellTime)
			t.Logf("%+v, %v", flow.Stats(), err)
			return
		}
	}
	t.Fatalf("no cell is named %q", *cellFlag)
}

// compare holds the rows against the golden file, or writes it.
func compare(t *testing.T, whole, rows string) {
	if *updateFlag && !testing.Short() {
		if err := os.WriteFile(goldenFile, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fused() {
		t.Skip("floating point is rounded otherwise on this machine: goodputs differ in their last digits")
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	changed := ""
	if !testing.Short() {
		changed = missing("-", string(golden), whole)
	}
	if changed += missing("+", rows, string(golden)); changed != "" {
		t.Errorf("%s has changed; if for the better: go test ./stack/netsim -run TestGoodput -update\n%s", goldenFile, changed)
	}
}

// missing returns the lines of a text that another is without, with a mark before each.
func missing(mark, text, from string) string {
	out := ""
	for l := range strings.Lines(text) {
		if !strings.Contains(from, l) {
			out += mark + " " + l
		}
	}
	return out
}

// fused reports whether the compiler rounds products and sums at once, as it may: then CUBIC's curve differs from the
// golden one by an octet here and there.
func fused() bool {
	x, y := 1+0x1p-30, 1-0x1p-30
	return x*y-1 != float64(x*y)-1
}
