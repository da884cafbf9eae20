package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ustack/cmd/ustack/internal/ground"
	"ustack/cmd/ustack/internal/priv"
	"ustack/stack"
	"ustack/stack/link"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// demoTime bounds the whole tour.
const demoTime = 2 * time.Minute

func newDemoCommand() *cobra.Command {
	var pcap string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "a tour of under 30 seconds, without root: curl talks HTTP to our own TCP",
		Long: "demo finds a place where the host's network stays untouched (a network namespace of its own, or else\n" +
			"memory), serves there on ustack's TCP, and lets curl, ping and `ustack get` talk to it. It says what\n" +
			"each step does on the wire and leaves a capture to look at.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(context.Background(), demoTime)
			defer cancel()
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			c := newConsole(cmd.OutOrStdout(), cmd.ErrOrStderr())
			if here, ok := ground.Here(); ok {
				return tour(ctx, here, pcap, c)
			}
			return demo(ctx, pcap, c)
		},
	}
	cmd.Flags().StringVar(&pcap, "pcap", "", "where to leave the capture [ustack-demo.pcapng here, or a temporary file]")
	return cmd
}

// demo finds the ground and starts the tour on it.
func demo(ctx context.Context, pcap string, c *console) error {
	if _, err := exec.LookPath("curl"); err != nil {
		return &hintError{errors.New("the tour needs curl, and there is none in PATH"), "On Debian: sudo apt-get install curl"}
	}
	pcap, err := capturePath(pcap)
	if err != nil {
		return err
	}
	g := ground.Find(ctx)
	c.say("ustack demo: curl talks HTTP to a TCP/IP stack that lives in one process.\n")
	c.say("  ground   %v", g.Kind)
	for _, why := range g.Why {
		c.say("           %s", strings.ReplaceAll(why, "\n", "\n           "))
	}
	if g.Kind == ground.Memory {
		return tour(ctx, g.Kind, pcap, c)
	}
	cmd, err := g.Command(ctx, "demo", "--pcap", pcap)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = c.out, c.err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = drainTime
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the tour broke off: %w", err)
	}
	return nil
}

// capturePath makes the file that the capture goes to, where nobody chose one: here if this directory
// can be written to, else among the temporary files.
func capturePath(chosen string) (string, error) {
	if chosen != "" {
		return filepath.Abs(chosen)
	}
	const name = "ustack-demo.pcapng"
	if f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644); err == nil {
		return absolute(f)
	}
	f, err := os.CreateTemp("", "ustack-demo-*.pcapng")
	if err != nil {
		return "", err
	}
	return absolute(f)
}

func absolute(f *os.File) (string, error) {
	if err := f.Close(); err != nil {
		return "", err
	}
	return filepath.Abs(f.Name())
}

// tour serves on the ground and walks through the steps.
func tour(ctx context.Context, kind ground.Kind, pcap string, c *console) error {
	v, err := newVenue(kind, pcap, c)
	if err != nil {
		return err
	}
	c.say("  ends     %s\n  capture  %s\n", v.ends, pcap)
	err = v.walk(ctx)
	if err = errors.Join(err, v.close()); err != nil {
		return err
	}
	if err := v.look(ctx); err != nil {
		return err
	}
	c.say("Look at every packet:  wireshark %s", pcap)
	c.say("Bring up your own:     sudo %s serve", os.Args[0])
	return nil
}

// venue is where the tour takes place.
type venue struct {
	*server
	kind   ground.Kind
	base   string // URL of the site, for curl
	ends   string // who talks to whom
	client *stack.Stack
	relay  *ground.Relay
}

func newVenue(kind ground.Kind, pcap string, c *console) (*venue, error) {
	flags := serveFlags{nodeFlags: nodeFlags{switches: defaultSwitches()}}
	flags.add(pflag.NewFlagSet("serve", pflag.ContinueOnError)) // sets the defaults
	p, err := flags.plan()
	if err != nil {
		return nil, err
	}
	p.pcap, p.user = pcap, owner()
	v := &venue{kind: kind}
	open := openNode
	if kind == ground.Memory {
		open = v.openPair
	} else if err := ground.LoopbackUp(); err != nil {
		return nil, err
	}
	if v.server, err = prepare(p, c, open); err != nil {
		return nil, err
	}
	v.start()
	if kind != ground.Memory {
		v.base = v.urls()[0]
		v.ends = fmt.Sprintf("the kernel's TCP at %v, ustack's at %v; device %s", p.device.HostAddr.Addr(), p.addrs[0].Addr(), p.device.Name)
		return v, nil
	}
	target := fmt.Sprintf("%v:%d", p.addrs[0].Addr(), p.listeners[0].port)
	if v.relay, err = ground.NewRelay(v.client.DialContext, target); err != nil {
		return nil, errors.Join(err, v.close())
	}
	v.base = "http://" + v.relay.Addr() + "/"
	v.ends = fmt.Sprintf("curl → relay on %s → ustack at %v → ustack at %v", v.relay.Addr(), p.device.HostAddr.Addr(), p.addrs[0].Addr())
	return v, nil
}

// owner is whom the capture belongs to: the user who called sudo, else whoever this is.
func owner() priv.User {
	me := priv.User{Name: "me", UID: os.Geteuid(), GID: os.Getegid()}
	if os.Getenv("SUDO_UID") == "" {
		return me
	}
	if u, err := priv.Default(); err == nil {
		return u
	}
	return me
}

// openPair makes the server's node on one end of a memory link, and the client's stack on the other.
func (v *venue) openPair(p *nodePlan, c *console) (*node, error) {
	near, far := link.Pair(link.PairConfig{MTU: p.device.MTU})
	n, err := newNode(near, p, c)
	if err != nil {
		return nil, err
	}
	v.client, err = stack.New(stack.Config{
		Links: []link.Link{far},
		Addrs: []netip.Prefix{p.device.HostAddr, p.device.HostAddr6},
	})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// close ends everything that newVenue made.
func (v *venue) close() error {
	var err error
	if v.relay != nil {
		err = v.relay.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err = errors.Join(err, v.shutdown(ctx))
	if v.client != nil {
		err = errors.Join(err, v.client.Close())
	}
	return err
}
