package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ustack/cmd/ustack/internal/client"
	"ustack/cmd/ustack/internal/engine"
	"ustack/cmd/ustack/internal/site"

	"github.com/spf13/cobra"
)

// getOptions are the flags of `ustack get`.
type getOptions struct {
	parallel, pipeline, repeat int
	engine                     string
	output                     string
	headers                    []string
	timeout                    time.Duration
	json, anyStatus, verify    bool
}

// defaultPipeline is the depth of --pipeline without a number.
const defaultPipeline = "16"

func newGetCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [flags] URL…",
		Short: "fetch URLs over any engine, with the timings of each request",
		Long: "get fetches URLs with HTTP/1.1 and prints a table of what each request took. Connections are persistent;\n" +
			"--parallel opens several, --pipeline sends requests before the answers to earlier ones are in.\n" +
			"The exit code is 1 when a request failed or was answered with a status of 400 or above.\n\n" +
			"With --engine ustack or gvisor it brings up a device of its own, as serve does, and calls from there:\n" +
			"the kernel at --host-addr, and what lies behind it where the kernel forwards packets.",
		Example: "  ustack get http://10.90.0.2/_/hello\n" +
			"  ustack get --pipeline -n 100 http://10.90.0.2/_/hello\n" +
			"  ustack get --parallel 8 -n 200 'http://10.90.0.2/_/bytes/100000' --verify\n" +
			"  ustack get -o file http://10.90.0.2/_/bytes/1048576\n" +
			"  sudo ustack get --engine ustack http://10.91.0.1:8000/",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("get needs at least one URL, as in `ustack get http://10.90.0.2/_/hello`")}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.parallel, "parallel", 1, "`connections` to one host at a time")
	f.IntVar(&o.pipeline, "pipeline", 1, "send up to `depth` requests ahead of their answers [16 when no depth is given]")
	f.Lookup("pipeline").NoOptDefVal = defaultPipeline
	f.IntVarP(&o.repeat, "repeat", "n", 1, "fetch the list of URLs so many `times`")
	f.StringVarP(&o.output, "output", "o", "", "write the body of the one URL to `file`; - is standard output")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "send this `'Name: value'` as well; repeatable")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "give a connection up after so long a silence")
	f.BoolVar(&o.verify, "verify", false, "compare each body with the sequence of /_/bytes")
	f.BoolVar(&o.anyStatus, "any-status", false, "a status of 400 or above is no failure")
	f.BoolVar(&o.json, "json", false, "print one JSON object a request instead of the table")
	f.StringVar(&o.engine, "engine", "kernel", "whose TCP: "+strings.Join(engine.Names(), ", "))
	open := addEngineFlags(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		args = o.takeDepth(args)
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return o.run(ctx, open, args, cmd.OutOrStdout())
	}
	return cmd
}

// takeDepth finds the depth in `--pipeline 8 URL`: to the flag parser a value that may be missing
// must follow an equals sign, so it takes 8 for an argument.
func (o *getOptions) takeDepth(args []string) []string {
	isDepth := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	i := slices.IndexFunc(args, isDepth)
	if i < 0 || strconv.Itoa(o.pipeline) != defaultPipeline || len(args) == 1 {
		return args
	}
	if n, err := strconv.Atoi(args[i]); err == nil {
		o.pipeline = n
		return slices.Delete(args, i, i+1)
	}
	return args
}

func (o *getOptions) run(ctx context.Context, open engine.Opener, urls []string, stdout io.Writer) (err error) {
	c, err := o.client()
	if err != nil {
		return &usageError{err}
	}
	urls = repeat(urls, o.repeat)
	if o.output != "" && len(urls) > 1 {
		return &usageError{errors.New("--output takes the body of one URL, fetched once")}
	}
	e, err := open(ctx, o.engine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	c.Dial = e.DialContext

	body, closeBody, err := o.openOutput(stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBody()) }()
	report := stdout
	if body != nil {
		c.Body = func(int) io.Writer { return body }
	}
	if o.output == "-" {
		report = os.Stderr
	}
	done, err := c.Do(ctx, urls)
	if err != nil {
		return &usageError{err}
	}
	w := bufio.NewWriter(report)
	if o.json {
		client.WriteJSON(w, done.Results)
	} else {
		client.WriteTable(w, done)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return o.verdict(done.Results)
}

func (o *getOptions) client() (*client.Client, error) {
	switch {
	case o.parallel < 1 || o.parallel > 10_000:
		return nil, fmt.Errorf("--parallel must be from 1 to 10000, not %d", o.parallel)
	case o.pipeline < 1 || o.pipeline > 10_000:
		return nil, fmt.Errorf("--pipeline must be from 1 to 10000, not %d", o.pipeline)
	case o.repeat < 1:
		return nil, fmt.Errorf("--repeat must be at least 1, not %d", o.repeat)
	case o.timeout <= 0:
		return nil, fmt.Errorf("--timeout must be positive, not %v", o.timeout)
	case o.verify && o.output != "":
		return nil, errors.New("--verify and --output do not go together")
	}
	c := &client.Client{Parallel: o.parallel, Depth: o.pipeline, Timeout: o.timeout, Header: make(http.Header)}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		name = textproto.TrimString(name)
		if !ok || name == "" {
			return nil, fmt.Errorf("--header must look like 'Name: value', not %q", h)
		}
		c.Header.Add(name, textproto.TrimString(value))
	}
	if o.verify {
		c.Body = func(int) io.Writer { return new(site.Verifier) }
	}
	return c, nil
}

// openOutput returns where --output wants the body, nil without it.
func (o *getOptions) openOutput(stdout io.Writer) (w io.Writer, done func() error, err error) {
	done = func() error { return nil }
	switch o.output {
	case "":
		return nil, done, nil
	case "-":
		return stdout, done, nil
	}
	f, err := os.Create(o.output)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}

// verdict is an error when a request failed.
func (o *getOptions) verdict(results []client.Result) error {
	failed := 0
	for i := range results {
		if r := &results[i]; r.Err != nil || r.Failed() && !o.anyStatus {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed", failed, len(results))
}

func repeat(list []string, n int) []string {
	all := make([]string, 0, len(list)*n)
	for range n {
		all = append(all, list...)
	}
	return all
}
