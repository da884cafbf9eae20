package main

import (
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
	"ustack/stack"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// getOptions are the flags of `ustack get`.
type getOptions struct {
	serial, persistent         bool
	multiplexed                bool
	parallel, pipeline, repeat int
	fastOpen                   bool
	engine                     string
	method, data               string
	output, har                string
	headers                    []string
	timeout                    time.Duration
	json, table, ascii         bool
	anyStatus, verify          bool
}

// defaultPipeline is the depth of --pipeline without a number.
const defaultPipeline = "16"

func newGetCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [flags] URL…",
		Short: "fetch URLs over any engine, with the timings of each request",
		Long: "get fetches URLs with HTTP/1.1, or HTTP/2, and draws when each request connected, waited and received.\n" +
			"{1..20} or [1-20] in a URL stands for twenty of them. The ways to fetch, as the book names them:\n\n" +
			"  --serial        a new connection for each request, one after the other\n" +
			"  --parallel N    N connections at a time, each with one request at a time; with --serial each for one only\n" +
			"  --persistent    one connection, one request after the other: the default\n" +
			"  --pipeline D    one connection with up to D requests ahead of their answers; with --parallel each of them\n" +
			"  --multiplexed   one connection of HTTP/2 in clear text with all requests on it at once (net/http's client,\n" +
			"                  for a port that `ustack serve` has with --listen ':82?http=h2c')\n\n" +
			"When a connection dies, requests without an answer are sent again if their method is idempotent, the\n" +
			"first of them alone (RFC 9112 §9.3). Others are never pipelined and never sent twice.\n\n" +
			"The exit code is 1 when a request failed or was answered with a status of 400 or above, 2 for a mistake in\n" +
			"the command line, and 3 when a request that is not idempotent was sent and got no answer.\n\n" +
			"With --engine ustack or gvisor it brings up a device of its own, as serve does, and calls from there:\n" +
			"the kernel at --host-addr, and what lies behind it where the kernel forwards packets.",
		Example: "  ustack get http://10.90.0.2/_/hello\n" +
			"  ustack get --serial 'http://10.90.0.2/_/objects/40/{0..39}'\n" +
			"  ustack get --pipeline 8 --har load.har 'http://10.90.0.2/_/objects/40/{0..39}'\n" +
			"  ustack get --multiplexed 'http://10.90.0.2:82/_/objects/40/{0..39}'\n" +
			"  ustack get --parallel 8 -n 200 'http://10.90.0.2/_/bytes/100000' --verify\n" +
			"  ustack get -o file http://10.90.0.2/_/bytes/1048576\n" +
			"  sudo ustack get --engine ustack --serial --fast-open http://10.91.0.1:8000/",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("get needs at least one URL, as in `ustack get http://10.90.0.2/_/hello`")}
			}
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	open := addEngineFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		args = o.takeDepth(args)
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return o.run(ctx, open, args, cmd.OutOrStdout())
	}
	return cmd
}

func (o *getOptions) addFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolVar(&o.serial, "serial", false, "a new connection for each request")
	f.IntVar(&o.parallel, "parallel", 1, "`connections` to one host at a time")
	f.BoolVar(&o.persistent, "persistent", false, "one connection, one request at a time: the default")
	f.IntVar(&o.pipeline, "pipeline", 1, "send up to `depth` requests ahead of their answers [16 when no depth is given]")
	f.Lookup("pipeline").NoOptDefVal = defaultPipeline
	f.BoolVar(&o.multiplexed, "multiplexed", false, "one connection, all requests at once, in HTTP/2 without TLS")
	f.BoolVar(&o.fastOpen, "fast-open", false, "send the first request of a connection with its SYN (RFC 7413; --engine ustack)")
	f.IntVarP(&o.repeat, "repeat", "n", 1, "fetch the list of URLs so many `times`")
	f.StringVarP(&o.method, "method", "X", "", "send this `method` [GET, with --data POST]")
	f.StringVarP(&o.data, "data", "d", "", "send this `text` as content of every request")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "send this `'Name: value'` as well; repeatable")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "give a connection up after so long a silence")
	f.StringVarP(&o.output, "output", "o", "", "write the body of the one URL to `file`; - is standard output")
	f.BoolVar(&o.verify, "verify", false, "compare each body with the sequence of /_/bytes")
	f.BoolVar(&o.anyStatus, "any-status", false, "a status of 400 or above is no failure")
	f.BoolVar(&o.json, "json", false, "print one JSON object a request")
	f.BoolVar(&o.table, "table", false, "print numbers in place of the waterfall, as for one request")
	f.BoolVar(&o.ascii, "ascii", false, "draw with ASCII only, as outside a UTF-8 locale")
	f.StringVar(&o.har, "har", "", "write an HTTP Archive (HAR 1.2) to `file`")
	f.StringVar(&o.engine, "engine", "kernel", "whose TCP: "+strings.Join(engine.Names(), ", "))
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
	if urls, err = expandURLs(urls); err != nil {
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
	o.dialOn(c, e)
	done, err := o.fetch(ctx, c, urls, stdout)
	if err != nil {
		return err
	}
	report := stdout
	if o.output == "-" || o.har == "-" {
		report = os.Stderr
	}
	if err := o.print(report, done); err != nil {
		return err
	}
	return o.verdict(done.Results)
}

// dialOn lets c dial on e.
func (o *getOptions) dialOn(c *client.Client, e engine.Engine) {
	c.Dial = e.DialContext
	if n, ok := e.(*node); ok && n.stack != nil && o.fastOpen {
		c.DialData = (&stack.Dialer{Stack: n.stack}).DialData
	}
}

// fetch runs c with the files of --output and --har, which are made before anything is sent.
func (o *getOptions) fetch(ctx context.Context, c *client.Client, urls []string, stdout io.Writer) (done *client.Report, err error) {
	body, closeBody, err := openOutput(o.output, stdout)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeBody()) }()
	har, closeHAR, err := openOutput(o.har, stdout)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeHAR()) }()
	if body != nil {
		c.Body = func(int) io.Writer { return body }
	}
	c.Record = har != nil
	if done, err = c.Do(ctx, urls); err != nil {
		return nil, &usageError{err}
	}
	if har != nil {
		err = writeHAR(har, done)
	}
	return done, err
}

// check refuses what does not go together.
func (o *getOptions) check() error {
	switch {
	case o.parallel < 1 || o.parallel > 10_000:
		return fmt.Errorf("--parallel must be from 1 to 10000, not %d", o.parallel)
	case o.pipeline < 1 || o.pipeline > 10_000:
		return fmt.Errorf("--pipeline must be from 1 to 10000, not %d", o.pipeline)
	case o.repeat < 1:
		return fmt.Errorf("--repeat must be at least 1, not %d", o.repeat)
	case o.timeout <= 0:
		return fmt.Errorf("--timeout must be positive, not %v", o.timeout)
	case o.verify && o.output != "":
		return errors.New("--verify and --output do not go together")
	case o.output == "-" && o.har == "-":
		return errors.New("--output and --har cannot both have standard output")
	case o.serial && o.pipeline > 1:
		return errors.New("--serial and --pipeline do not go together: a connection has one request or several")
	case o.persistent && (o.serial || o.parallel > 1 || o.pipeline > 1):
		return errors.New("--persistent is one connection with one request at a time: it goes with no other way to fetch")
	case o.multiplexed && (o.serial || o.persistent || o.parallel > 1 || o.pipeline > 1 || o.fastOpen):
		return errors.New("--multiplexed is one connection with all requests at once: it goes with no other way to fetch, nor with --fast-open")
	case o.fastOpen && o.engine != "ustack":
		return errors.New("--fast-open needs --engine ustack")
	case o.method == http.MethodConnect:
		return errors.New("--method CONNECT makes a tunnel: there is nothing to fetch in it")
	}
	return nil
}

func (o *getOptions) client() (*client.Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &client.Client{
		Serial: o.serial, Parallel: o.parallel, Depth: o.pipeline, Multiplexed: o.multiplexed, Timeout: o.timeout,
		Method: o.method, Content: o.data, Header: make(http.Header),
	}
	if c.Method == "" && o.data != "" {
		c.Method = http.MethodPost
	}
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

// openOutput returns where the option name wants its output, nil without one.
func openOutput(name string, stdout io.Writer) (w io.Writer, done func() error, err error) {
	done = func() error { return nil }
	switch name {
	case "":
		return nil, done, nil
	case "-":
		return stdout, done, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}

func repeat(list []string, n int) []string {
	all := make([]string, 0, len(list)*n)
	for range n {
		all = append(all, list...)
	}
	return all
}
