// Command ustack is a TCP/IP host stack in one process: it serves HTTP on its own TCP over a TUN
// device, shows what it does in a tour, and fetches URLs over any of its engines.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ustack/cmd/ustack/internal/client"
	"ustack/cmd/ustack/internal/ground"
	"ustack/stack/link/tun"

	"github.com/spf13/cobra"
)

func main() {
	ground.Init()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitUnknown: what was asked for may have been done.
	exitUnknown = 3
)

// run is the command without the process around it. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	complain(stderr, err)
	if u := (*usageError)(nil); errors.As(err, &u) {
		return exitUsage
	}
	if errors.Is(err, client.ErrUnknown) {
		return exitUnknown
	}
	return exitFailed
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "ustack",
		Short: "a TCP/IP host stack in one process",
		Long: "ustack is a TCP/IP host stack that lives in one Go process: it opens a Linux TUN device, builds and\n" +
			"parses every IP and TCP header itself, and hosts an HTTP/1.1 server on its own TCP.\n\n" +
			"Start with `ustack demo` (needs no root), then `sudo ustack serve`.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newServeCommand(), newDemoCommand(), newGetCommand(), newExplainCommand())
	root.AddCommand(newSSCommand(), newTraceCommand(), newTopCommand())
	return root
}

func knownCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unknown command %q: see ustack --help", args[0])}
	}
	return nil
}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hintError is an error with what to do about it.
type hintError struct {
	err  error
	hint string // one or more lines
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// complain prints an error and, where it is known, what to do about it.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "ustack: %v\n", err)
	hint := ""
	if h := (*hintError)(nil); errors.As(err, &h) {
		hint = h.hint
	}
	if h := (*tun.Error)(nil); errors.As(err, &h) {
		hint = h.Hint
	}
	if hint == "" {
		return
	}
	for line := range strings.Lines(hint) {
		fmt.Fprintf(w, "        %s\n", strings.TrimSuffix(line, "\n"))
	}
}
