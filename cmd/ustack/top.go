package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ustack/cmd/ustack/internal/control"
	"ustack/cmd/ustack/internal/top"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
)

// topOptions are the flags of `ustack top`.
type topOptions struct {
	observer
	once, ascii bool
	interval    time.Duration
}

func newTopCommand() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top [flags]",
		Short: "watch the connections of a running ustack serve in the terminal",
		Long: "top shows the connections of a running `ustack serve`, the busiest first: rates of data, the congestion window over time,\n" +
			"round-trip time and retransmissions, and below them what the stack refuses, and why.\n\n" +
			"Keys: q ends it; left and right pick the column to sort by, r reverses; up and down scroll; space pauses.",
		Example: "  ustack top\n  ustack top --interval 200ms\n  ustack top --once",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.interval < minInterval {
				return &usageError{fmt.Errorf("--interval %v: want %v or more", o.interval, minInterval)}
			}
			ctx, stop := observing(cmd)
			defer stop()
			return ended(ctx, cmd, o.run(ctx, cmd.OutOrStdout()))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.DurationVar(&o.interval, "interval", time.Second, "how often to look")
	f.BoolVar(&o.once, "once", false, "print one page as plain text, after one interval")
	f.BoolVar(&o.ascii, "ascii", false, "draw with ASCII only, as outside a UTF-8 locale")
	o.addFlags(f)
	return cmd
}

func (o *topOptions) run(ctx context.Context, w io.Writer) error {
	look := lookOf(w, os.Getenv, o.ascii)
	if !o.once && look.Width == 0 {
		return &usageError{errors.New("top draws on a terminal; --once prints a page to anything else")}
	}
	c, err := o.dial(ctx)
	if err != nil {
		return err
	}
	frame := top.NewFrame()
	frame.Width, frame.ASCII = look.Width, look.ASCII
	if !o.once {
		return top.Run(ctx, asking(c), o.interval, frame, tea.WithOutput(w))
	}
	page, err := top.Once(ctx, asking(c), o.interval, frame)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, page)
	return err
}

// asking gets from a server what top shows.
func asking(c *control.Client) top.Ask {
	return func(ctx context.Context) (s top.Sample, err error) {
		if s.Conns, err = c.Conns(ctx); err != nil {
			return s, err
		}
		s.Stats, err = c.Stats(ctx)
		return s, err
	}
}
