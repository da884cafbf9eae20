package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"ustack/cmd/ustack/internal/control"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// observer finds the running server for ss, trace and top.
type observer struct{ control, tun string }

func (o *observer) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.control, "control", "", "the server's control socket, as given to ustack serve [where serve puts it by itself]")
	f.StringVar(&o.tun, "tun", serveDefaults.tun, "the server's device, by which its socket is found")
}

// dial finds the server, or says what to do.
func (o *observer) dial(ctx context.Context) (*control.Client, error) {
	c, err := control.Dial(ctx, o.control, o.tun)
	if err != nil {
		return nil, observeHint(err)
	}
	return c, nil
}

// observeHint adds what to do about an error of a client.
func observeHint(err error) error {
	if missing := (*control.NotRunning)(nil); errors.As(err, &missing) {
		hint := "looked for its socket at " + strings.Join(missing.Looked, "\n              and at ") +
			"\n`sudo ustack serve` starts a server; --control PATH or --tun NAME finds one that is not where it is by default"
		if missing.Stale {
			hint += "\n(a server that has not ended in order has left its socket: the next one replaces it)"
		}
		return &hintError{err, hint}
	}
	if denied := (*control.Denied)(nil); errors.As(err, &denied) {
		return &hintError{err, "only its owner and root may look into that server: try it with sudo"}
	}
	return err
}

// observing is a context that Ctrl-C ends.
func observing(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

// ended makes of an error that ends a watch in order nothing, or a remark.
func ended(ctx context.Context, cmd *cobra.Command, err error) error {
	switch {
	case ctx.Err() != nil || errors.Is(err, syscall.EPIPE):
		return nil
	case errors.Is(err, control.ErrEnded):
		fmt.Fprintf(cmd.ErrOrStderr(), "ustack: %v\n", err)
		return nil
	}
	return err
}
