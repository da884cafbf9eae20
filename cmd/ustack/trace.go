package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"ustack/cmd/ustack/internal/control"
	"ustack/cmd/ustack/internal/traceview"
	"ustack/stack/trace"

	"github.com/spf13/cobra"
)

// traceOptions are the flags of `ustack trace`.
type traceOptions struct {
	observer
	json, mermaid bool
	peer, port    string
	kinds         [len(kindUsages)]bool // of control.Kinds, which are wanted
	count         int
}

// kindUsages say what the flags are for that are named like control.Kinds.
var kindUsages = [...]string{"packets that come in", "packets that go out", "pauses of connections, with what they wait for", "ends of connections",
	"changes of state and phase", "round-trip times as they are measured [with --mermaid false]",
	"HTTP requests, when their heads have been read", "informational HTTP answers", "HTTP answers, when they begin", "HTTP answers, when they are over"}

// rttKind is the place of the round-trip times among them.
const rttKind = int(trace.Sampled)

// diagramEvents is how many events a diagram has when nobody says: what Mermaid draws without being told to draw more.
const diagramEvents = 300

func newTraceCommand() *cobra.Command {
	var o traceOptions
	cmd := &cobra.Command{
		Use:   "trace [flags]",
		Short: "show what a running ustack serve does, as it does it, and why",
		Long: "trace writes a line for each packet of a running `ustack serve`, for each pause with what it waits for, for each change\n" +
			"of state and phase, for each round-trip time as measured, for each HTTP request and answer, and for each end of a\n" +
			"connection. Times count from the first event. docs/trace.md explains the events. A reader that is too slow loses events,\n" +
			"and is told how many.\n\n" +
			"With --mermaid it draws the first connection it sees, up to its end, in the language of Mermaid.",
		Example: "  ustack trace --held=false\n  ustack trace --peer 10.90.0.1 --port 80 --json\n  ustack trace --mermaid > connection.mmd",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.mermaid && !cmd.Flags().Changed(control.Kinds[rttKind]) {
				o.kinds[rttKind] = false // a note beside nearly every ACK
			}
			f, err := o.check()
			if err != nil {
				return &usageError{err}
			}
			ctx, stop := observing(cmd)
			defer stop()
			return ended(ctx, cmd, o.run(ctx, cmd.OutOrStdout(), f))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.json, "json", false, "one JSON object an event (docs/trace.md)")
	f.BoolVar(&o.mermaid, "mermaid", false, "a sequence diagram of one connection")
	f.StringVar(&o.peer, "peer", "", "only connections with this `address`, or prefix of addresses")
	f.StringVar(&o.port, "port", "", "only connections with this `port`, at either end")
	for i, usage := range kindUsages {
		f.BoolVar(&o.kinds[i], control.Kinds[i], true, usage)
	}
	f.IntVar(&o.count, "count", 0, fmt.Sprintf("end after so many events [with --mermaid %d]", diagramEvents))
	o.addFlags(f)
	return cmd
}

// check reads the flags that are more than themselves.
func (o *traceOptions) check() (*control.Filter, error) {
	f := &control.Filter{Comments: !o.json}
	var err error
	switch {
	case o.json && o.mermaid:
		return nil, errors.New("--json and --mermaid: want one of them")
	case o.count < 0:
		return nil, fmt.Errorf("--count %d: want 1 or more", o.count)
	}
	if o.peer != "" {
		if f.Peer, err = control.ParsePeer(o.peer); err != nil {
			return nil, fmt.Errorf("--peer %q: %w", o.peer, err)
		}
	}
	if o.port != "" {
		if f.Port, err = control.ParsePort(o.port); err != nil {
			return nil, fmt.Errorf("--port %q: %w", o.port, err)
		}
	}
	for i, wanted := range o.kinds {
		if wanted {
			f.Kinds = append(f.Kinds, control.Kinds[i])
		}
	}
	if len(f.Kinds) == 0 {
		return nil, errors.New("nothing is left to show: all kinds of events are off")
	}
	if o.mermaid && o.count == 0 {
		o.count = diagramEvents
	}
	return f, nil
}

func (o *traceOptions) run(ctx context.Context, w io.Writer, f *control.Filter) error {
	c, err := o.dial(ctx)
	if err != nil {
		return err
	}
	stream, err := c.Trace(ctx, f)
	if err != nil {
		return err
	}
	defer stream.Close()
	b := bufio.NewWriter(w)
	return errors.Join(o.follow(stream, b), b.Flush())
}

// viewer shows the line of a trace, and what it says. It reports whether that counted, and whether it was the last.
type viewer func(line []byte, e *control.Event) (counts, last bool, err error)

// follow shows events until enough have been seen, or an error ends it.
func (o *traceOptions) follow(stream *control.Stream, b *bufio.Writer) error {
	show, finish := o.viewer(b)
	for n := 0; ; {
		line, e, err := stream.Next()
		if err != nil {
			return errors.Join(finish(), err)
		}
		counts, last, err := show(line, &e)
		if counts {
			n++
		}
		if last || err != nil {
			return err
		}
		if n == o.count && n > 0 {
			return finish()
		}
		if stream.Buffered() {
			continue
		}
		if err := b.Flush(); err != nil {
			return err
		}
	}
}

// viewer makes what shows events in the form that was asked for, and what finishes it.
func (o *traceOptions) viewer(w io.Writer) (viewer, func() error) {
	nothing := func() error { return nil }
	switch {
	case o.json:
		return func(line []byte, e *control.Event) (bool, bool, error) {
			_, err := w.Write(line)
			return e.Event != control.LostEvent, false, err
		}, nothing
	case o.mermaid:
		m := traceview.NewMermaid(w)
		return func(_ []byte, e *control.Event) (bool, bool, error) {
			mine, err := m.Show(e)
			return mine, m.Over(), err
		}, func() error { return m.Cut("… and so on") }
	}
	text := traceview.NewText(w)
	return func(_ []byte, e *control.Event) (bool, bool, error) {
		return e.Event != control.LostEvent, false, text.Show(e)
	}, nothing
}
