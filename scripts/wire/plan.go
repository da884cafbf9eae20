package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// rate of the bottleneck where nothing else is said, bits per second.
const rate = 100_000_000

// goodputCells are the bottlenecks that one sender at a time meets.
func goodputCells(quick bool) []cell {
	rtts := []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}
	losses := []float64{0, 0.1, 1, 3}
	if quick {
		rtts, losses = rtts[:2], []float64{0, 1}
	}
	var cells []cell
	for _, rtt := range rtts {
		for _, loss := range losses {
			cells = append(cells, cell{Rate: rate, RTT: rtt, Loss: loss})
		}
	}
	return cells
}

// fairCells are the bottlenecks that two senders share.
func fairCells(quick bool) []cell {
	cells := []cell{
		{Rate: rate, RTT: 50 * time.Millisecond},
		{Rate: rate / 5, RTT: 20 * time.Millisecond},
	}
	if quick {
		return cells[1:]
	}
	return cells
}

// fairPairs are who shares. The second pair is the yardstick.
var fairPairs = [][]string{{ustackName, kernelName}, {kernelName, kernelName}}

// plan lists the trials: all with the first seed, then all with the next, so that a disturbance of
// the machine does not meet all seeds of a cell.
func (c *config) plan() []trial {
	var list []trial
	for seed := c.first; seed < c.first+c.seeds; seed++ {
		for _, l := range goodputCells(c.quick) {
			for _, s := range []string{kernelName, gvisorName, ustackName} {
				list = append(list, trial{Cell: l, Senders: []string{s}, Seed: seed, Length: c.length})
			}
		}
	}
	for seed := c.first; seed < c.first+c.seeds; seed++ {
		for _, l := range fairCells(c.quick) {
			for _, pair := range fairPairs {
				list = append(list, trial{Cell: l, Senders: pair, Seed: seed, Length: 3 * c.length, Warm: c.length})
			}
		}
	}
	return slices.DeleteFunc(list, func(t trial) bool { return !c.wants(&t) })
}

// name is what -cells looks at, such as 50ms/1% or fair/100mbit/50ms.
func (t *trial) name() string {
	if len(t.Senders) > 1 {
		return fmt.Sprintf("fair/%dmbit/%v", t.Cell.Rate/1e6, t.Cell.RTT)
	}
	return fmt.Sprintf("/%v/%g%%", t.Cell.RTT, t.Cell.Loss)
}

func (c *config) wants(t *trial) bool {
	if c.senders != "" {
		chosen := strings.Split(c.senders, ",")
		for _, s := range t.Senders {
			if !slices.Contains(chosen, s) {
				return false
			}
		}
	}
	if c.cells == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(c.cells, ","), func(word string) bool { return strings.Contains(t.name(), word) })
}

// repeats is how often a trial is done at most when the machine was busy with something else.
const repeats = 3

// runAll does the trials and tells about each. The outcomes are in the order of list; those that ctx
// prevented are left out. What failed, or had a gap longer than patience, is done again at the end;
// then the attempt with the shortest gap counts.
func runAll(ctx context.Context, list []trial, c *config, m *metronome) []outcome {
	best := make([]*outcome, len(list))
	todo := make([]int, len(list))
	for i := range list {
		todo[i] = i
	}
	for attempt := 0; attempt < repeats && len(todo) > 0; attempt++ {
		var again []int
		for len(todo) > 0 && ctx.Err() == nil {
			n := waveOf(list, todo, c.parallel)
			for k, o := range wave(ctx, list, todo[:n], m) {
				i := todo[k]
				if o.betterThan(best[i]) {
					best[i] = &o
				}
				if o.Err != "" || o.Gap > c.patience {
					again = append(again, i)
				}
				fmt.Fprintf(os.Stderr, "%3d/%d %s\n", i+1, len(list), o.line())
			}
			todo = todo[n:]
		}
		todo = again
	}
	var all []outcome
	for _, o := range best {
		if o != nil {
			all = append(all, *o)
		}
	}
	return all
}

// betterThan prefers an attempt without an error, and then the shorter gap.
func (o *outcome) betterThan(p *outcome) bool {
	switch {
	case p == nil:
		return true
	case (o.Err == "") != (p.Err == ""):
		return o.Err == ""
	}
	return o.Gap < p.Gap
}

// waveOf returns how many of the next trials may go together: they end at the same time.
func waveOf(list []trial, todo []int, most int) int {
	n := 1
	for n < min(most, len(todo)) && list[todo[n]].Length == list[todo[0]].Length {
		n++
	}
	return n
}

// wave does trials at the same time. All are set up before the first begins and taken down after the
// last has ended: meanwhile nothing else happens in this process.
func wave(ctx context.Context, list []trial, which []int, m *metronome) []outcome {
	outcomes := make([]outcome, len(which))
	var running sync.WaitGroup
	var rigs []*rig
	start := make(chan struct{})
	for k, i := range which {
		r, err := list[i].build(ctx, m)
		if err != nil {
			outcomes[k] = outcome{trial: list[i], Err: err.Error()}
			continue
		}
		rigs = append(rigs, r)
		running.Go(func() {
			<-start
			outcomes[k] = r.run(ctx)
		})
	}
	close(start)
	running.Wait()
	for _, r := range rigs {
		r.close()
	}
	return outcomes
}

// line tells what happened.
func (o *outcome) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v:", o.trial)
	for i := range o.Flows {
		f := &o.Flows[i]
		fmt.Fprintf(&b, " %s %.1f Mbit/s, %.2f %% again (%s)", f.Sender, f.Goodput, f.rexmit(), f.Detail)
	}
	fmt.Fprintf(&b, "; %d lost, %d too many", o.Lost, o.Overflow)
	if o.Gap > 0 {
		fmt.Fprintf(&b, "; gap %v", o.Gap.Round(100*time.Microsecond))
	}
	if o.Err != "" {
		fmt.Fprintf(&b, " FAILED: %s", o.Err)
	}
	return b.String()
}
