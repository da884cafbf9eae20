package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"ustack/cmd/ustack/internal/engine"
	"ustack/cmd/ustack/internal/priv"
	"ustack/httpserver"
	"ustack/httpserver/files"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// serveFlags are the flags of serve as they were given.
type serveFlags struct {
	nodeFlags
	listen  []string
	root    string
	headers []string
	spa     bool
	procs   int
	user    string
	control string
	builtin bool

	accessLog, accessLogFormat string
}

func newServeCommand() *cobra.Command {
	f := serveFlags{nodeFlags: nodeFlags{switches: defaultSwitches()}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "bring up a device, a TCP/IP stack and a web server on it",
		Long: "serve makes a TUN device, gives the kernel one address on it and ustack another, and serves HTTP there on\n" +
			"ustack's own TCP. It needs root to make the device, and gives root up once everything is open.\n\n" +
			"Each TCP and HTTP switch is a flag, and may be set for one listener: --listen ':81?nagle=classic&delayed-ack=200ms'.",
		Example: "  sudo ustack serve\n  sudo ustack serve --root . --pcap out.pcapng\n  sudo ustack serve --impair loss=1%,delay=20ms\n" +
			"  sudo ustack serve --pcap - | wireshark -k -i -",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.plan()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if p.pcap == toStdout {
				out = cmd.ErrOrStderr()
			}
			return serve(p, newConsole(out, cmd.ErrOrStderr()))
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unknown argument %q", args[0])}
	}
	return nil
}

func (f *serveFlags) add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringArrayVar(&f.listen, "listen", []string{":80"}, "[HOST]:PORT[?switch=value&…] to serve on; may be repeated")
	flags.StringVar(&f.root, "root", "", "directory of files to serve [an embedded demo site]")
	flags.StringArrayVar(&f.headers, "header", nil, "'Name: value' to add to every answer from --root; may be repeated")
	flags.BoolVar(&f.spa, "spa", false, "answer with index.html of --root where there is no such file (single-page application)")
	flags.BoolVar(&f.builtin, "builtin", true, "serve the built-in endpoints under /_/")
	flags.StringVar(&f.accessLog, "access-log", "", "write a line per request to this file, opened anew at SIGUSR1; -: to the terminal")
	flags.StringVar(&f.accessLogFormat, "access-log-format", "", "what a line of it is: "+logFormatNames()+" [common]")
	flags.StringVar(&f.control, "control", "", "unix socket for ustack ss, top and trace; off: none [in /run or the session's directory, by the name of the device]")
	flags.StringVar(&f.user, "user", "", "whom to become once everything is open [the sudo user, else nobody]")
	flags.IntVar(&f.procs, "procs", 0, "threads that run Go code at a time [as many as queues; GOMAXPROCS wins]")
	flags.StringVar(&f.engine, "engine", "ustack", "whose TCP serves: "+strings.Join(engine.Names(), "|"))
	f.nodeFlags.add(flags, serveDefaults)
	f.switches.addFlags(flags, switchDefs)
}

// plan is what serve is going to do: flags that have been understood and fit together.
type plan struct {
	*nodePlan
	listeners []listener
	root      string
	header    http.Header // of answers from root
	spa       bool
	builtin   bool
	accessLog string
	logFormat func(*httpserver.Entry, []byte) []byte
	control   string // path of the socket; "": where clients look for it; controlOff: none
	procs     int    // 0: leave GOMAXPROCS alone
}

// plan checks the flags. It touches nothing.
func (f *serveFlags) plan() (*plan, error) {
	n, err := f.nodeFlags.plan()
	if err != nil {
		return nil, err
	}
	p := &plan{nodePlan: n, root: f.root, spa: f.spa, builtin: f.builtin, control: f.control}
	for _, step := range []func(*serveFlags) error{p.setListeners, p.setFiles, p.setAccessLog, p.setProcs, p.setUser} {
		if err := step(f); err != nil {
			return nil, &usageError{err}
		}
	}
	return p, nil
}

func (p *plan) setListeners(f *serveFlags) error {
	for _, s := range f.listen {
		l, err := parseListener(s, f.switches)
		if err != nil {
			return err
		}
		if err := p.ours(l); err != nil {
			return fmt.Errorf("--listen %q: %w", s, err)
		}
		p.listeners = append(p.listeners, l)
	}
	if len(p.listeners) == 0 {
		return errors.New("--listen: nothing to listen on")
	}
	return nil
}

// setFiles reads --header and --spa, which are about the files of --root: the demo site has its own ways.
func (p *plan) setFiles(f *serveFlags) error {
	if f.root == "" && (f.spa || len(f.headers) > 0) {
		return errors.New("--header and --spa are about files: say which with --root DIR")
	}
	p.header = http.Header{}
	for _, s := range f.headers {
		name, value, err := files.ParseField(s)
		if err != nil {
			return fmt.Errorf("--header: %w", err)
		}
		p.header.Add(name, value)
	}
	return nil
}

// ours refuses a listener at an address that is not the stack's.
func (p *plan) ours(l listener) error {
	host, _, err := net.SplitHostPort(l.address)
	if err != nil || host == "" {
		return err
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.IsUnspecified() {
		return err
	}
	if !slices.ContainsFunc(p.addrs, func(own netip.Prefix) bool { return own.Addr() == a }) {
		return fmt.Errorf("%v is not ustack's address (--addr, --addr6)", a)
	}
	return nil
}

func (p *plan) setProcs(f *serveFlags) error {
	if f.procs < 0 {
		return fmt.Errorf("--procs %d: want 1 or more", f.procs)
	}
	if os.Getenv("GOMAXPROCS") != "" {
		return nil
	}
	p.procs = f.procs
	if p.procs == 0 {
		p.procs = min(f.queues, runtime.NumCPU())
	}
	return nil
}

func (p *plan) setUser(f *serveFlags) (err error) {
	if f.user == "" {
		p.user, err = priv.Default()
		return err
	}
	if p.user, err = priv.Lookup(f.user); err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	return nil
}
