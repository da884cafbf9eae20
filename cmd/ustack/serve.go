package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"ustack/cmd/ustack/internal/engine"
	"ustack/cmd/ustack/internal/priv"
	"ustack/stack/link"
	"ustack/stack/link/tun"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// serveFlags are the flags of serve as they were given.
type serveFlags struct {
	tun              string
	hostAddr, addr   string
	hostAddr6, addr6 string
	mtu              int
	listen           []string
	root             string
	offload          string
	queues, procs    int
	engine           string
	pcap             string
	impair           string
	user             string
	accessLog        string
	builtin          bool
	ports            portRange
	switches         switches
}

func newServeCommand() *cobra.Command {
	f := serveFlags{switches: defaultSwitches()}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "bring up a device, a TCP/IP stack and a web server on it",
		Long: "serve makes a TUN device, gives the kernel one address on it and ustack another, and serves HTTP there on\n" +
			"ustack's own TCP. It needs root to make the device, and gives root up once everything is open.\n\n" +
			"Each TCP and HTTP switch is a flag, and may be set for one listener: --listen ':81?nagle=classic&delayed-ack=200ms'.",
		Example: "  sudo ustack serve\n  sudo ustack serve --root . --offload off --pcap out.pcapng\n  sudo ustack serve --impair loss=1%,delay=20ms",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := f.plan()
			if err != nil {
				return err
			}
			return serve(p, newConsole(cmd.OutOrStdout(), cmd.ErrOrStderr()))
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
	flags.StringVar(&f.tun, "tun", "ustack0", "name of the device; an existing TUN device is taken over for the time")
	flags.StringVar(&f.hostAddr, "host-addr", "10.90.0.1/24", "the kernel's IPv4 address on the device, with its prefix; empty: no IPv4")
	flags.StringVar(&f.addr, "addr", "10.90.0.2", "ustack's IPv4 address")
	flags.StringVar(&f.hostAddr6, "host-addr6", "fd90::1/64", "the kernel's IPv6 address on the device, with its prefix; empty: no IPv6")
	flags.StringVar(&f.addr6, "addr6", "fd90::2", "ustack's IPv6 address")
	flags.IntVar(&f.mtu, "mtu", 1500, "largest IP packet, in octets")
	flags.StringArrayVar(&f.listen, "listen", []string{":80"}, "[HOST]:PORT[?switch=value&…] to serve on; may be repeated")
	flags.StringVar(&f.root, "root", "", "directory of files to serve [an embedded demo site]")
	flags.StringVar(&f.offload, "offload", "auto", "auto|on|off: super-segments through the device; auto: not while somebody captures")
	flags.IntVar(&f.queues, "queues", 1, "queues of the device")
	flags.IntVar(&f.procs, "procs", 0, "threads that run Go code at a time [as many as queues; GOMAXPROCS wins]")
	flags.StringVar(&f.engine, "engine", "ustack", "whose TCP serves: "+strings.Join(engine.Names(), "|"))
	flags.StringVar(&f.pcap, "pcap", "", "write every packet to this pcapng file")
	flags.StringVar(&f.impair, "impair", "", "make the link bad, as loss=1%,delay=20ms,reorder=1%,seed=7; in: or out: before a key picks a direction")
	flags.StringVar(&f.user, "user", "", "whom to become once everything is open [the sudo user, else nobody]")
	flags.StringVar(&f.accessLog, "access-log", "", "write a line per request to this file; -: to the terminal")
	flags.BoolVar(&f.builtin, "builtin", true, "serve the built-in endpoints under /_/")
	flags.Var(&f.ports, "ephemeral-ports", "range of local ports for connections that ustack opens [1024-65535]")
	f.switches.addFlags(flags)
}

// plan is what serve is going to do: flags that have been understood and fit together.
type plan struct {
	device    tun.Config
	addrs     []netip.Prefix // of the stack
	listeners []listener
	switches  switches
	ports     portRange
	engine    string
	impair    link.Spec
	impaired  bool
	root      string
	builtin   bool
	pcap      string
	accessLog string
	user      priv.User
	procs     int // 0: leave GOMAXPROCS alone
}

// plan checks the flags. It touches nothing.
func (f *serveFlags) plan() (*plan, error) {
	p := &plan{
		switches: f.switches, ports: f.ports, engine: f.engine, root: f.root, builtin: f.builtin,
		pcap: f.pcap, accessLog: f.accessLog,
		device: tun.Config{Name: f.tun, MTU: f.mtu, Queues: f.queues},
	}
	for _, step := range []func(*serveFlags) error{p.setOffload, p.setAddresses, p.setListeners, p.setEngine, p.setProcs, p.setUser} {
		if err := step(f); err != nil {
			return nil, &usageError{err}
		}
	}
	return p, nil
}

func (p *plan) setOffload(f *serveFlags) (err error) {
	if p.device.Offload, err = tun.ParseMode(f.offload); err != nil {
		return fmt.Errorf("--offload: %w", err)
	}
	p.impaired = f.impair != ""
	if p.impair, err = link.ParseSpec(f.impair); err != nil {
		return fmt.Errorf("--impair: %w", err)
	}
	if p.impaired && p.device.Offload == tun.On {
		return errors.New("--impair works on packets of wire size: --offload on does not go with it")
	}
	return nil
}

func (p *plan) setAddresses(f *serveFlags) error {
	host4, addr4, err := addressPair("", f.hostAddr, f.addr, netip.Addr.Is4)
	if err != nil {
		return err
	}
	host6, addr6, err := addressPair("6", f.hostAddr6, f.addr6, func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() })
	if err != nil {
		return err
	}
	p.device.HostAddr, p.device.HostAddr6 = host4, host6
	for _, a := range []netip.Prefix{addr4, addr6} {
		if a.IsValid() {
			p.addrs = append(p.addrs, a)
			p.device.Addrs = append(p.device.Addrs, a.Addr())
		}
	}
	if len(p.addrs) == 0 {
		return errors.New("no address at all: set --host-addr and --addr, or --host-addr6 and --addr6")
	}
	return nil
}

// addressPair reads the kernel's and the stack's address of one family.
func addressPair(suffix, host, addr string, family func(netip.Addr) bool) (h, a netip.Prefix, err error) {
	if host == "" || addr == "" {
		return h, a, nil
	}
	if h, err = netip.ParsePrefix(host); err != nil || !family(h.Addr()) {
		return h, a, fmt.Errorf("--host-addr%s %q: want an address with its prefix, as %s", suffix, host, example(suffix, "10.90.0.1/24", "fd90::1/64"))
	}
	own, err := netip.ParseAddr(addr)
	if err != nil || !family(own) || own.Zone() != "" {
		return h, a, fmt.Errorf("--addr%s %q: want an address, as %s", suffix, addr, example(suffix, "10.90.0.2", "fd90::2"))
	}
	if !h.Contains(own) {
		return h, a, fmt.Errorf("--addr%s %v is outside of %v: the kernel would not look for it on the device; choose both from one prefix", suffix, own, h.Masked())
	}
	return h, netip.PrefixFrom(own, h.Bits()), nil
}

func example(suffix, v4, v6 string) string {
	if suffix == "" {
		return v4
	}
	return v6
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

func (p *plan) setEngine(f *serveFlags) error {
	if !slices.Contains(engine.Names(), f.engine) {
		return fmt.Errorf("--engine %q: want one of %s", f.engine, strings.Join(engine.Names(), ", "))
	}
	if f.engine == "kernel" && (p.pcap != "" || p.impaired) {
		return errors.New("--engine kernel keeps its packets to itself: --pcap and --impair see none (capture with `tshark -i lo`)")
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
