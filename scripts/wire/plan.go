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

// runAll does the trials, c.parallel at a time, and tells about each as it ends. The outcomes are in
// the order of list; those that ctx prevented are left out.
func runAll(ctx context.Context, list []trial, c *config, m *metronome) []outcome {
	done := make([]*outcome, len(list))
	next := make(chan int)
	var workers sync.WaitGroup
	var mu sync.Mutex
	count := 0
	for range c.parallel {
		workers.Go(func() {
			for i := range next {
				o := list[i].repeat(ctx, m, c.patience)
				mu.Lock()
				done[i] = &o
				count++
				fmt.Fprintf(os.Stderr, "%3d/%d %s\n", count, len(list), o.line())
				mu.Unlock()
			}
		})
	}
feed:
	for i := range list {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	var all []outcome
	for _, o := range done {
		if o != nil {
			all = append(all, *o)
		}
	}
	return all
}

// repeat does the trial, and does it again when the relay was kept from its work for longer than
// patience. The best of the attempts counts: the one with the shortest gap.
func (t trial) repeat(ctx context.Context, m *metronome, patience time.Duration) outcome {
	best := t.run(ctx, m)
	for i := 1; i < repeats && ctx.Err() == nil && (best.Err != "" || best.Gap > patience); i++ {
		o := t.run(ctx, m)
		if o.Err == "" && (best.Err != "" || o.Gap < best.Gap) {
			best = o
		}
	}
	return best
}

// line tells what happened.
func (o *outcome) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v:", o.trial)
	for i := range o.Flows {
		f := &o.Flows[i]
		fmt.Fprintf(&b, " %s %.1f Mbit/s, %.2f %% again (%s)", f.Sender, f.Goodput, f.rexmit(), f.Detail)
	}
	if o.Gap > 0 {
		fmt.Fprintf(&b, "; gap %v", o.Gap.Round(100*time.Microsecond))
	}
	if o.Err != "" {
		fmt.Fprintf(&b, " FAILED: %s", o.Err)
	}
	return b.String()
}
