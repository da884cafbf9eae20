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
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// result is a whole run, as it stands in results.json.
type result struct {
	When         string                        `json:"when"`
	Took         string                        `json:"took"`
	Machine      string                        `json:"machine"`
	Seconds      int                           `json:"seconds"`
	OpenLoopRate float64                       `json:"open_loop_rate"`
	Engines      []engine                      `json:"engines"`
	Workloads    []workload                    `json:"workloads"`
	Medians      map[string]map[string]float64 `json:"medians"`
	Rounds       []round                       `json:"rounds"`
	Growth       map[string]float64            `json:"growth"`
	Floors       []verdict                     `json:"floors"`
	Faults       []string                      `json:"faults"`

	began   time.Time
	partial bool     // only a choice was asked for
	order   []string // of the names in Growth
}

func newResult(c *config) *result {
	now := time.Now()
	return &result{began: now, When: now.UTC().Format(time.RFC3339), Machine: machine(), Seconds: c.seconds,
		partial: c.engines != "" || c.workloads != "" || !c.growth, Growth: map[string]float64{}}
}

func machine() string {
	var u unix.Utsname
	unix.Uname(&u)
	model := ""
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, after, _ := strings.Cut(string(b), "model name\t: ")
		model, _, _ = strings.Cut(after, "\n")
	}
	return fmt.Sprintf("%d × %s, Linux %s, %s", runtime.NumCPU(), model, unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

func (res *result) fault(round int, w *workload, e *engine, err error) {
	res.Faults = append(res.Faults, fmt.Sprintf("round %d, %s, %s: %v", round+1, w.Name, e.Name, err))
}

// grew keeps a figure of the memory and growth part.
func (res *result) grew(name string, v float64) {
	if _, ok := res.Growth[name]; !ok {
		res.order = append(res.order, name)
	}
	res.Growth[name] = v
}

// publish prints the table and writes it, the JSON and the chart into dir.
func (res *result) publish(dir string) error {
	res.Medians = map[string]map[string]float64{}
	for _, r := range res.Rounds {
		for name, row := range r {
			if res.Medians[name] == nil {
				res.Medians[name] = map[string]float64{}
			}
			for engine := range row {
				res.Medians[name][engine], _ = res.median([2]string{name, engine})
			}
		}
	}
	for _, f := range floors() {
		res.Floors = append(res.Floors, f.judge(res))
	}
	var text bytes.Buffer
	res.table(&text)
	os.Stdout.Write(text.Bytes())
	js, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "table.txt"), text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, "results.json"), append(js, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "chart.svg"), res.chart(), 0o644))
	if err == nil {
		fmt.Printf("\nWritten: table.txt, results.json, chart.svg in %s\n", dir)
	}
	return err
}

func (res *result) table(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s, %d rounds of %d s measurements, took %s\n", res.Machine, res.When, len(res.Rounds), res.Seconds, res.Took)
	res.figures(w)
	res.growthTable(w)
	res.floorTable(w)
	if len(res.Faults) > 0 {
		fmt.Fprintf(w, "\nWhat went wrong:\n")
		for _, f := range res.Faults {
			fmt.Fprintf(w, "  %s\n", f)
		}
	}
}

func (res *result) figures(w io.Writer) {
	if len(res.Rounds) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, e := range res.Engines {
		fmt.Fprintf(w, "  %-16s %s\n", e.Name, e.What)
	}
	fmt.Fprintf(w, "\nMedians (spread: the farthest round of ustack-on from its median):\n\n")
	res.grid(w, "", func(l *workload) string { return l.Name + ", " + l.Unit })
	if res.OpenLoopRate > 0 {
		fmt.Fprintf(w, "\nLatencies: open loop at %.0f requests/s (half of what the slowest engine does), from when a request was due.\n", res.OpenLoopRate)
	}
	fmt.Fprintf(w, "The rates of wrk and ab are closed loop: a client asks again when it has been answered.\n")
	fmt.Fprintf(w, "\nProcessor time of server and client together, ns:\n\n")
	res.grid(w, cpuSuffix, func(l *workload) string {
		if l.bulk > 0 {
			return l.Name + ", per kB"
		}
		return l.Name + ", each"
	})
}

// grid prints a line for each workload of which there are figures, with a column for each engine.
func (res *result) grid(w io.Writer, suffix string, label func(*workload) string) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t")
	for _, e := range res.Engines {
		fmt.Fprintf(t, "%s\t", e.Name)
	}
	fmt.Fprintf(t, "spread\t\n")
	for i := range res.Workloads {
		l := &res.Workloads[i]
		line, any := label(l)+"\t", false
		for _, e := range res.Engines {
			cell := "–"
			if v, ok := res.median([2]string{l.Name + suffix, e.Name}); ok {
				cell, any = number(v), true
			}
			line += cell + "\t"
		}
		if any || suffix == "" {
			fmt.Fprintf(t, "%s%.0f %%\t\n", line, 100*spread(res.values([2]string{l.Name + suffix, ownOn})))
		}
	}
	t.Flush()
}

func (res *result) growthTable(w io.Writer) {
	if len(res.Growth) == 0 {
		return
	}
	fmt.Fprintf(w, "\nMemory and growth (in-memory link, one P; costs are processor time of server and peer together):\n\n")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, name := range res.order {
		fmt.Fprintf(t, "  %s\t%s\n", name, number(res.Growth[name]))
	}
	t.Flush()
}

func (res *result) floorTable(w io.Writer) {
	fmt.Fprintf(w, "\nFloors (ratios: the median of the ratios within each round; beside them the same by processor\n"+
		"time for each request or octet, which a busy machine disturbs less and which decides nothing):\n\n")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	met, measured := 0, 0
	for _, v := range res.Floors {
		if !v.Measured && res.partial {
			continue
		}
		word := "met"
		switch {
		case !v.Measured:
			word = "not measured"
		case !v.Met:
			word = "SHORT"
		}
		value := "–"
		if v.Measured {
			value, measured = number(v.Value)+" "+v.Unit, measured+1
		}
		if v.Met {
			met++
		}
		cpu := ""
		if v.CPU > 0 {
			cpu = "(" + number(v.CPU) + " ×)"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", v.What, value, cpu, v.Floor, word)
	}
	t.Flush()
	fmt.Fprintf(w, "\n%d of %d met, %d not measured\n", met, measured, len(res.Floors)-measured)
}

// number prints three significant digits, thousands apart.
func number(v float64) string {
	switch {
	case v != 0 && v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100 && v != float64(int(v)):
		return fmt.Sprintf("%.1f", v)
	case v < 10_000:
		return fmt.Sprintf("%.0f", v)
	case v < 1e6:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return fmt.Sprintf("%.2fM", v/1e6)
}
