package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"ustack/cmd/ustack/internal/control"
	"ustack/cmd/ustack/internal/sockstat"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// ssOptions are the flags of `ustack ss`.
type ssOptions struct {
	observer
	json, summary, noHeader bool
	all, listening          bool
	only4, only6            bool
	watch                   time.Duration
	count                   int
}

func newSSCommand() *cobra.Command {
	var o ssOptions
	cmd := &cobra.Command{
		Use:   "ss [flags] [FILTER]",
		Short: "list the connections of a running ustack serve, as ss -tinO does",
		Long: "ss asks a running `ustack serve` for its connections and writes a line for each: state, queues, both ends, and what\n" +
			"TCP knows; with -l or -a for its listeners and more. docs/control.md explains the fields. FILTER is a subset of what\n" +
			"ss takes:\n\n" +
			"  [state NAME]… [exclude NAME]… [EXPRESSION]\n\n" +
			"with expressions of  src HOST  dst HOST  sport OP :PORT  dport OP :PORT  and  or  not  ( ).  HOST is ADDRESS[/BITS][:PORT].",
		Example: "  ustack ss\n  ustack ss state established 'sport = :80'\n  ustack ss -a state time-wait\n  ustack ss --watch 'dst 10.90.0.0/24 and not dport < :1024'\n  ustack ss --json | jq '.conns[].cwnd'",
		RunE: func(cmd *cobra.Command, args []string) error {
			keep, err := o.check(o.takeInterval(args))
			if err != nil {
				return &usageError{err}
			}
			ctx, stop := observing(cmd)
			defer stop()
			return ended(ctx, cmd, o.run(ctx, cmd.OutOrStdout(), keep))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.json, "json", false, "one JSON object, with all there is to know (docs/control.md)")
	f.BoolVarP(&o.all, "all", "a", false, "listeners, half-open connections and those in TIME-WAIT as well")
	f.BoolVarP(&o.listening, "listening", "l", false, "only listeners")
	f.BoolVarP(&o.summary, "summary", "s", false, "totals and counters in place of connections")
	f.BoolVarP(&o.noHeader, "no-header", "H", false, "no line of titles")
	f.BoolVarP(&o.only4, "ipv4", "4", false, "IPv4 only")
	f.BoolVarP(&o.only6, "ipv6", "6", false, "IPv6 only")
	f.DurationVar(&o.watch, "watch", 0, "look again every so often, until Ctrl-C [1s when no time is given]")
	f.Lookup("watch").NoOptDefVal = "1s"
	f.IntVar(&o.count, "count", 0, "look so many times only; goes with --watch")
	o.addFlags(f)
	o.addHabits(cmd)
	return cmd
}

// addHabits takes the flags that people give to ss out of habit, for what is so anyway.
func (o *ssOptions) addHabits(cmd *cobra.Command) {
	for _, h := range []struct{ name, short string }{{"tcp", "t"}, {"info", "i"}, {"numeric", "n"}, {"oneline", "O"}} {
		cmd.Flags().BoolP(h.name, h.short, true, "as always")
		cmd.Flags().Lookup(h.name).Hidden = true
	}
}

// takeInterval takes "--watch 500ms" for what people mean: an optional value has to be joined by "=", so that the flag
// parser leaves the time among the arguments. No word of a filter is a time.
func (o *ssOptions) takeInterval(args []string) []string {
	for i, a := range args {
		d, err := time.ParseDuration(a)
		if o.watch > 0 && err == nil && d > 0 {
			o.watch = d
			return slices.Delete(slices.Clone(args), i, i+1)
		}
	}
	return args
}

// check reads the filter and what else does not go without saying.
func (o *ssOptions) check(args []string) (*sockstat.Filter, error) {
	switch {
	case o.watch < 0 || o.watch > 0 && o.watch < minInterval:
		return nil, fmt.Errorf("--watch %v: want %v or more", o.watch, minInterval)
	case o.count < 0 || o.count > 0 && o.watch == 0:
		return nil, errors.New("--count: want a positive number, and --watch")
	case o.summary && len(args) > 0:
		return nil, errors.New("--summary counts everything: it takes no filter")
	}
	keep, err := sockstat.Parse(args, o.usual())
	if err != nil || o.only4 == o.only6 {
		return keep, err
	}
	return keep.And(func(s *sockstat.Socket) bool { return s.IsOf(o.only4) }), nil
}

// usual is what is asked for without a state in the filter.
func (o *ssOptions) usual() sockstat.States {
	switch {
	case o.all:
		return sockstat.All
	case o.listening:
		return sockstat.Listening
	}
	return sockstat.Connections
}

// minInterval is how often a server may be asked.
const minInterval = 50 * time.Millisecond

func (o *ssOptions) run(ctx context.Context, w io.Writer, keep *sockstat.Filter) error {
	c, err := o.dial(ctx)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		page, err := o.page(ctx, c, keep)
		if err != nil {
			return err
		}
		page = []byte(control.Printable(string(page)))
		if o.watch > 0 && !o.json {
			page = append(separator(w, n), page...)
		}
		if _, err := w.Write(page); err != nil {
			return err
		}
		if o.watch == 0 || n == o.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.watch):
		}
	}
}

// page is what is written at a time.
func (o *ssOptions) page(ctx context.Context, c *control.Client, keep *sockstat.Filter) ([]byte, error) {
	var b bytes.Buffer
	if o.summary {
		st, err := c.Stats(ctx)
		if err != nil {
			return nil, err
		}
		if o.json {
			err = json.NewEncoder(&b).Encode(st)
		} else {
			err = sockstat.WriteSummary(&b, &st)
		}
		return b.Bytes(), err
	}
	list, err := sockstat.Look(ctx, c, keep)
	if err != nil {
		return nil, err
	}
	if o.json {
		err = json.NewEncoder(&b).Encode(list)
	} else {
		err = sockstat.Write(&b, list, !o.noHeader)
	}
	return b.Bytes(), err
}

// separator stands before the nth page of a watch: on a terminal it wipes the one before.
func separator(w io.Writer, n int) []byte {
	if f, ok := w.(*os.File); ok {
		if _, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			return []byte("\x1b[H\x1b[2J")
		}
	}
	if n == 1 {
		return nil
	}
	return []byte("\n")
}
