package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ustack/cmd/ustack/internal/engine"
	"ustack/cmd/ustack/internal/priv"
	"ustack/stack/link"
	"ustack/stack/link/tun"

	"github.com/spf13/pflag"
)

// nodeFlags are the flags of a device and the TCP/IP on it, as they were given.
type nodeFlags struct {
	tun              string
	hostAddr, addr   string
	hostAddr6, addr6 string
	mtu, queues      int
	offload          string
	engine           string
	captureFlags
	impair   string
	ports    portRange
	switches switches
}

// nodeDefaults is what differs between the commands that bring up a device.
type nodeDefaults struct{ tun, hostAddr, addr, hostAddr6, addr6 string }

var serveDefaults = nodeDefaults{"ustack0", "10.90.0.1/24", "10.90.0.2", "fd90::1/64", "fd90::2"}

func (f *nodeFlags) add(flags *pflag.FlagSet, d nodeDefaults) {
	flags.StringVar(&f.tun, "tun", d.tun, "name of the device; an existing TUN device is taken over for the time")
	flags.StringVar(&f.hostAddr, "host-addr", d.hostAddr, "the kernel's IPv4 address on the device, with its prefix; empty: no IPv4")
	flags.StringVar(&f.addr, "addr", d.addr, "ustack's IPv4 address")
	flags.StringVar(&f.hostAddr6, "host-addr6", d.hostAddr6, "the kernel's IPv6 address on the device, with its prefix; empty: no IPv6")
	flags.StringVar(&f.addr6, "addr6", d.addr6, "ustack's IPv6 address")
	flags.IntVar(&f.mtu, "mtu", 1500, "largest IP packet, in octets")
	flags.StringVar(&f.offload, "offload", "auto", "auto|on|off: super-segments through the device; auto: not while somebody captures on it")
	flags.IntVar(&f.queues, "queues", 1, "queues of the device")
	f.captureFlags.add(flags)
	flags.StringVar(&f.impair, "impair", "", "make the link bad, as loss=1%,delay=20ms,reorder=1%,seed=7; in: or out: before a key picks a direction")
	flags.Var(&f.ports, "ephemeral-ports", "range of local ports for connections that ustack opens [1024-65535]")
}

// nodePlan is a device and the TCP/IP on it: flags that have been understood and fit together.
type nodePlan struct {
	device   tun.Config
	addrs    []netip.Prefix // of the stack
	engine   string
	switches switches
	ports    portRange
	impair   link.Spec
	impaired bool
	capturePlan
	user priv.User // whom the capture belongs to
}

// plan checks the flags. It touches nothing.
func (f *nodeFlags) plan() (*nodePlan, error) {
	p := &nodePlan{
		engine: f.engine, switches: f.switches, ports: f.ports,
		device: tun.Config{Name: f.tun, MTU: f.mtu, Queues: f.queues},
	}
	for _, step := range []func(*nodeFlags) error{p.setOffload, p.setAddresses, p.setCapture, p.setEngine} {
		if err := step(f); err != nil {
			return nil, &usageError{err}
		}
	}
	return p, nil
}

func (p *nodePlan) setOffload(f *nodeFlags) (err error) {
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

func (p *nodePlan) setAddresses(f *nodeFlags) error {
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

func (p *nodePlan) setCapture(f *nodeFlags) (err error) {
	p.capturePlan, err = f.captureFlags.plan()
	return err
}

func (p *nodePlan) setEngine(f *nodeFlags) error {
	if !slices.Contains(engine.Names(), f.engine) {
		return fmt.Errorf("--engine %q: want one of %s", f.engine, strings.Join(engine.Names(), ", "))
	}
	if f.engine != "ustack" && p.dead != "" {
		return errors.New("--pcap-dead is about ustack's own connections: other engines do not tell how theirs end")
	}
	if f.engine == "kernel" && (p.pcap != "" || p.impaired) {
		return errors.New("--engine kernel keeps its packets to itself: --pcap and --impair see none (capture with `tshark -i lo`)")
	}
	return nil
}
