package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"ustack/cmd/ustack/internal/control"
	"ustack/cmd/ustack/internal/traceview"

	"github.com/spf13/cobra"
)

// traceOptions are the flags of `ustack trace`.
type traceOptions struct {
	observer
	json, mermaid bool
	peer, port    string
	kinds         [len(traceKinds)]bool // which are wanted
	count         int
}

// traceKinds are the kinds of events, with what they are.
var traceKinds = [...]struct{ name, usage string }{
	{"in", "packets that come in"},
	{"out", "packets that go out"},
	{"held", "pauses of connections, with what they wait for"},
	{"ended", "ends of connections"},
	{"request", "HTTP requests, when their heads have been read"},
	{"response", "HTTP answers, when they begin"},
	{"response-end", "HTTP answers, when they are over"},
}

// diagramEvents is how many events a diagram has when nobody says: what Mermaid draws without being told to draw more.
const diagramEvents = 300

func newTraceCommand() *cobra.Command {
	var o traceOptions
	cmd := &cobra.Command{
		Use:   "trace [flags]",
		Short: "show what a running ustack serve does, as it does it, and why",
		Long: "trace writes a line for each packet of a running `ustack serve`, for each pause with what it waits for, for each end of a\n" +
			"connection, and for HTTP requests and answers. Times count from the first event. docs/trace.md explains the events. A reader that is too slow loses\n" +
			"events, and is told how many.\n\n" +
			"With --mermaid it draws the first connection it sees, up to its end, in the language of Mermaid.",
		Example: "  ustack trace --held=false\n  ustack trace --peer 10.90.0.1 --port 80 --json\n  ustack trace --mermaid > connection.mmd",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
	for i, k := range traceKinds {
		f.BoolVar(&o.kinds[i], k.name, true, k.usage)
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
			f.Kinds = append(f.Kinds, traceKinds[i].name)
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
