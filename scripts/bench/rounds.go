package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// round is one pass over all workloads: workload → engine → value. What failed is not in it.
type round map[string]map[string]float64

// cpuSuffix makes the name of a workload that of its cost in processor time.
const cpuSuffix = " cpu"

func (r round) put(workload, engine string, v float64) {
	if r[workload] == nil {
		r[workload] = map[string]float64{}
	}
	r[workload][engine] = v
}

// runRounds measures. In a round each workload goes through all engines before the next one begins,
// so that whatever slows the machine for a while hits all of them alike.
func runRounds(ctx context.Context, c *config, s *session, res *result, p *progress) error {
	var list []engine
	for _, e := range c.variants(engines()) {
		if matches(e.Name, c.engines) {
			list = append(list, e)
		}
	}
	var loads []workload
	for _, w := range workloads() {
		if matches(w.Name, c.workloads) {
			loads = append(loads, w)
		}
	}
	res.Engines, res.Workloads = list, loads
	if len(loads) == 0 || len(list) == 0 {
		return nil
	}
	p.plan(c.rounds * steps(list, loads))
	for n := range c.rounds {
		r, err := runRound(ctx, n, list, loads, s, res, p)
		if err != nil {
			return err
		}
		res.Rounds = append(res.Rounds, r)
		if n == 0 {
			s.rate = fairRate(r, list)
			res.OpenLoopRate = s.rate
		}
	}
	return nil
}

// takesPart reports whether an engine is put through a workload.
func (w *workload) takesPart(e *engine) bool {
	switch {
	case w.only != nil:
		return slices.Contains(w.only, e.Name)
	case e.Name == rawOff:
		return w.Name == download || w.Name == upload || w.Name == drops
	}
	return true
}

func steps(list []engine, loads []workload) int {
	n := 0
	for i := range loads {
		for j := range list {
			if loads[i].takesPart(&list[j]) {
				n++
			}
		}
	}
	return n
}

// fairRate is half of what the slowest engine with a TCP did in the closed loop.
func fairRate(r round, list []engine) float64 {
	slowest := 0.0
	for _, name := range []string{wrk16, wrk64, wrk1024} {
		for _, e := range list {
			if v := r[name][e.Name]; !e.raw && v > 0 && (slowest == 0 || v < slowest) {
				slowest = v
			}
		}
	}
	return slowest / 2
}

// runRound starts the engines, puts each through each workload and stops them. An idle engine sleeps.
func runRound(ctx context.Context, n int, list []engine, loads []workload, s *session, res *result, p *progress) (round, error) {
	r := round{}
	var up []*running
	defer func() {
		for _, e := range up {
			e.stop()
		}
	}()
	for _, e := range list {
		p.say("round %d: starting %s", n+1, e.Name)
		one, err := e.start(ctx, s.tools)
		if err != nil {
			return nil, err
		}
		up = append(up, one)
	}
	// The order turns from round to round: nobody always runs after the same neighbour.
	turn := n * 3 % len(up)
	order := append(slices.Clone(up[turn:]), up[:turn]...)
	for i := range loads {
		w := &loads[i]
		if w.needsRate && s.rate == 0 {
			s.rate = fairRate(r, list)
		}
		for _, e := range order {
			if !w.takesPart(&e.engine) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return r, err
			}
			p.step("round %d: %-22s %s", n+1, w.Name, e.Name)
			before := e.cpu()
			v, err := w.measure(ctx, e, s)
			if err != nil {
				res.fault(n, w, &e.engine, err)
				if err := e.alive(); err != nil {
					return r, err
				}
				continue
			}
			r.put(w.Name, e.Name, v)
			if cost, ok := w.cpuCost(e.cpu()-before, v, s, &e.engine); ok {
				r.put(w.Name+cpuSuffix, e.Name, cost)
			}
		}
	}
	return r, nil
}

func (w *workload) measure(ctx context.Context, e *running, s *session) (float64, error) {
	if w.needsRate && s.rate == 0 {
		return 0, fmt.Errorf("no rate: wrk was left out")
	}
	return w.run(ctx, e, s)
}

// progress tells on the terminal how far things are: one line that changes or, where the output is
// no terminal, a line for each tenth.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time
	all, now int
	tenth    int
}

func newProgress() *progress {
	p := &progress{out: os.Stderr, began: time.Now(), tenth: -1}
	info, err := os.Stderr.Stat()
	p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	return p
}

// plan adds steps to those that are still to come.
func (p *progress) plan(n int) { p.all += n }

// step says what begins now.
func (p *progress) step(format string, args ...any) {
	p.say(format, args...)
	p.now++
}

func (p *progress) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	left := ""
	if p.now > 0 && p.all > 0 {
		d := time.Since(p.began) * time.Duration(p.all-p.now) / time.Duration(p.now)
		left = fmt.Sprintf(", about %v left", d.Round(time.Second))
	}
	percent := 0
	if p.all > 0 {
		percent = 100 * p.now / p.all
	}
	line := fmt.Sprintf("[%3d%%] %s%s", percent, text, left)
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r%-100s", line)
	case percent/10 > p.tenth:
		p.tenth = percent / 10
		fmt.Fprintln(p.out, line)
	}
}

func (p *progress) done() {
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", 100))
	}
}
