package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Floors.
const (
	leastGoodput = 0.97 // of the better rival's
	mostRexmit   = 1.10 // times the better rival's
	leastShare   = 40.0 // percent
)

// result is a whole run, as it stands in results.json.
type result struct {
	When     string    `json:"when"`
	Machine  string    `json:"machine"`
	Parallel int       `json:"parallel"`
	Trials   []outcome `json:"trials"`
	Short    []string  `json:"short"` // the floors that were missed

	began  time.Time
	judged int // how many comparisons with a floor there were
}

func newResult(c *config) *result {
	var u unix.Utsname
	unix.Uname(&u)
	now := time.Now()
	return &result{began: now, When: now.UTC().Format(time.RFC3339), Parallel: c.parallel,
		Machine: fmt.Sprintf("%d processors, Linux %s, %s", runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version())}
}

// publish prints the tables and writes them and the JSON into dir.
func (res *result) publish(dir string) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\n%s, %d trials, %d at a time, took %v\n", res.Machine, res.When, len(res.Trials), res.Parallel, time.Since(res.began).Round(time.Second))
	res.goodputTable(&text)
	res.fairTable(&text)
	res.verdict(&text)
	os.Stdout.Write(text.Bytes())
	js, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(res.failed(),
		os.WriteFile(filepath.Join(dir, "table.txt"), text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, "results.json"), append(js, '\n'), 0o644))
}

// figures are the medians of one sender alone in one cell.
type figures struct {
	goodput, rexmit float64
	seeds           int
}

// alone collects the figures of a sender; false if it has none.
func (res *result) alone(c cell, sender string) (figures, bool) {
	var goodput, rexmit []float64
	for i := range res.Trials {
		o := &res.Trials[i]
		if o.Err == "" && o.Cell == c && len(o.Senders) == 1 && o.Senders[0] == sender {
			goodput = append(goodput, o.Flows[0].Goodput)
			rexmit = append(rexmit, o.Flows[0].rexmit())
		}
	}
	return figures{median(goodput), median(rexmit), len(goodput)}, len(goodput) > 0
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// comparison is what a row of the goodput table says about ustack.
type comparison struct {
	ratio, rexmit float64 // over the rival's; -1 if that is 0 and ours is not
	rival         string
}

// compareTo holds own against the better of the rivals.
func compareTo(own figures, rivals map[string]figures) (c comparison, ok bool) {
	best := figures{goodput: -1}
	for _, name := range []string{kernelName, gvisorName} {
		if f, has := rivals[name]; has && f.goodput > best.goodput {
			best, c.rival = f, name
		}
	}
	if c.rival == "" || best.goodput <= 0 {
		return c, false
	}
	c.ratio = own.goodput / best.goodput
	switch {
	case best.rexmit > 0:
		c.rexmit = own.rexmit / best.rexmit
	case own.rexmit > 0:
		c.rexmit = -1
	}
	return c, true
}

// short says which floors are missed; "" if none is.
func (c *comparison) short() string {
	s := ""
	if c.ratio < leastGoodput {
		s += " goodput"
	}
	if c.rexmit > mostRexmit || c.rexmit < 0 {
		s += " rexmit"
	}
	return s
}

func (res *result) goodputTable(out io.Writer) {
	cells := res.cells(1)
	if len(cells) == 0 {
		return
	}
	fmt.Fprintf(out, "\nOne sender, %d Mbit/s, one bandwidth-delay product of queue. Goodput in Mbit/s; retransmitted octets in percent of\n"+
		"those delivered; ratios of ustack to that rival whose goodput is better. Medians over the seeds.\n\n", cells[0].Rate/1e6)
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "RTT\tloss %\tkernel\tgvisor\tustack\tratio\tkernel %\tgvisor %\tustack %\tratio\trival\tfloors\t")
	for _, c := range cells {
		res.goodputRow(t, c)
	}
	t.Flush()
}

func (res *result) goodputRow(t io.Writer, c cell) {
	all := map[string]figures{}
	goodput, rexmit := "", ""
	for _, name := range []string{kernelName, gvisorName, ustackName} {
		f, ok := res.alone(c, name)
		if !ok {
			goodput, rexmit = goodput+"–\t", rexmit+"–\t"
			continue
		}
		all[name] = f
		goodput += fmt.Sprintf("%.2f\t", f.goodput)
		rexmit += fmt.Sprintf("%.3f\t", f.rexmit)
	}
	own, measured := all[ustackName]
	delete(all, ustackName)
	ratio, times, rival, floors := "–", "–", "–", "–"
	if v, ok := compareTo(own, all); ok && measured {
		res.judged++
		ratio, times, rival, floors = fmt.Sprintf("%.3f", v.ratio), fmt.Sprintf("%.2f", v.rexmit), v.rival, "met"
		if v.rexmit < 0 {
			times = "∞"
		}
		if s := v.short(); s != "" {
			floors = "SHORT:" + s
			res.Short = append(res.Short, fmt.Sprintf("%v:%s", c, s))
		}
	}
	fmt.Fprintf(t, "%v\t%g\t%s%s\t%s%s\t%s\t%s\t\n", c.RTT, c.Loss, goodput, ratio, rexmit, times, rival, floors)
}

// cells lists the bottlenecks of the trials with n senders, in order.
func (res *result) cells(n int) []cell {
	var list []cell
	for i := range res.Trials {
		if o := &res.Trials[i]; len(o.Senders) == n && !slices.Contains(list, o.Cell) {
			list = append(list, o.Cell)
		}
	}
	return list
}

func (res *result) fairTable(out io.Writer) {
	cells := res.cells(2)
	if len(cells) == 0 {
		return
	}
	fmt.Fprintf(out, "\nTwo senders through one queue of one bandwidth-delay product, after a third of the time. Share of the first in percent.\n\n")
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "Mbit/s\tRTT\tfirst\tsecond\tshare\tof each seed\ttogether Mbit/s\tagain %\tagain %\tfloor\t")
	for _, c := range cells {
		for _, pair := range fairPairs {
			res.fairRow(t, c, pair)
		}
	}
	t.Flush()
}

func (res *result) fairRow(t io.Writer, c cell, pair []string) {
	var shares, sums, again0, again1 []float64
	each := ""
	for i := range res.Trials {
		o := &res.Trials[i]
		if o.Err != "" || o.Cell != c || !slices.Equal(o.Senders, pair) {
			continue
		}
		a, b := &o.Flows[0], &o.Flows[1]
		shares = append(shares, 100*a.Goodput/max(a.Goodput+b.Goodput, 1e-9))
		each += fmt.Sprintf("%.0f ", shares[len(shares)-1])
		sums = append(sums, a.Goodput+b.Goodput)
		again0, again1 = append(again0, a.rexmit()), append(again1, b.rexmit())
	}
	if len(shares) == 0 {
		return
	}
	share, floor := median(shares), "–"
	if pair[0] == ustackName {
		res.judged++
		floor = "met"
		if share < leastShare || share > 100-leastShare {
			floor = "SHORT"
			res.Short = append(res.Short, fmt.Sprintf("%v: share of %s beside %s", c, pair[0], pair[1]))
		}
	}
	fmt.Fprintf(t, "%d\t%v\t%s\t%s\t%.1f\t%s\t%.1f\t%.3f\t%.3f\t%s\t\n", c.Rate/1e6, c.RTT, pair[0], pair[1], share, each, median(sums), median(again0), median(again1), floor)
}

// verdict sums up, and tells what spoils the figures.
func (res *result) verdict(out io.Writer) {
	var gap time.Duration
	for i := range res.Trials {
		o := &res.Trials[i]
		gap = max(gap, o.Gap)
		if o.Err != "" {
			fmt.Fprintf(out, "\nFAILED %v: %s\n", o.trial, o.Err)
		}
	}
	fmt.Fprintf(out, "\nThe relay was kept from its work for %v at most.\n", gap.Round(100*time.Microsecond))
	fmt.Fprintf(out, "Floors: goodput at least %.2f of the better rival's, at most %.1f times its retransmissions, shares of %.0f to %.0f %%: %d of %d rows miss theirs.\n",
		leastGoodput, mostRexmit, leastShare, 100-leastShare, len(res.Short), res.judged)
}

// failed is an error if a trial gave no figures.
func (res *result) failed() error {
	n := 0
	for i := range res.Trials {
		if res.Trials[i].Err != "" {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d trials failed", n, len(res.Trials))
	}
	return nil
}
