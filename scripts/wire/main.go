// Command wire compares TCP senders behind one bottleneck: the kernel's with CUBIC, gVisor's with
// CUBIC, SACK and RACK, and ustack. Run it as root: `make wire`, or `QUICK=1 make wire`.
//
// The program is a relay. It joins, in memory and through link.Impair, a receiver with one or two senders:
//
//	kernel ── TUN ──┐
//	gVisor ─ memory ┼── meter ── loss ── queue at the rate ── delay ── TUN ── kernel, reads and discards
//	ustack ─ memory ┘                        delay ◄──────────────────────── ACKs
//
// Receiver and kernel sender live in network namespaces of their own, new for every trial, so that
// nothing is remembered from one to the next. gVisor and ustack attach by link.Pair: a device of
// their own would only add a second kernel that forwards. No device has offloads: whatever goes through
// is of wire size, made by the sender's own TCP. Devices and memory links hold more packets than are ever under way; a
// packet that is lost elsewhere than in the bottleneck voids the trial.
//
// What differs between senders is their TCP and nothing else: the receiver's window and the kernel
// sender's buffer are far larger than what is under way, gVisor and ustack size their buffers by
// themselves, up to 4 MiB both; no sender paces (the kernel's devices have its default queueing
// discipline, not fq). Which packets are lost depends on the seed and on how many came before, so with
// one seed all meet the same luck. Retransmissions are counted by sequence number as packets come to
// the relay, before anything is lost.
//
// Everything runs on one thread at real-time priority, in beats of 0.1 ms: see metronome. Trials at the same time
// begin and end together. One in which the process was kept from its work for long is done again.
//
// It prints two tables. Goodput: what the receiver's application read within twenty seconds of the
// handshake, slow start included. Fairness: how two senders share one bottleneck once they have had time to
// find their shares; the kernel beside a second kernel shows what to expect.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ustack/scripts/netns"
)

// insideEnv tells the process that runs in private namespaces.
const insideEnv = "USTACK_WIRE_INSIDE"

func main() { netns.Main("wire", dispatch) }

// config is what the flags say.
type config struct {
	out      string
	quick    bool
	parallel int
	seeds    int
	first    int
	length   time.Duration
	cells    string
	senders  string
	patience time.Duration
}

func dispatch(ctx context.Context, args []string) error {
	var c config
	flags := flag.NewFlagSet("wire", flag.ExitOnError)
	flags.StringVar(&c.out, "out", "bin/wire", "directory for results.json and table.txt")
	flags.BoolVar(&c.quick, "quick", os.Getenv("QUICK") != "" && os.Getenv("QUICK") != "0", "a few cells, one seed, five seconds each: a minute (QUICK=1)")
	flags.IntVar(&c.parallel, "parallel", 4, "trials at the same time, each with a bottleneck of its own; the figures are those of one at a time")
	flags.IntVar(&c.seeds, "seeds", 0, "trials of each kind, of which the median counts [3, quick: 1]")
	flags.IntVar(&c.first, "seed", 1, "the first seed")
	flags.DurationVar(&c.length, "length", 0, "of a trial for goodput [20s, quick: 5s]; for fairness it is three times that")
	flags.StringVar(&c.cells, "cells", "", "only trials with one of these words in their name, separated by commas, such as '50ms/1%,fair'")
	flags.StringVar(&c.senders, "senders", "", "only these senders, separated by commas")
	flags.DurationVar(&c.patience, "gap", 20*time.Millisecond, "repeat a trial in which the relay was kept from its work for so long")
	flags.Parse(args)
	if c.seeds <= 0 {
		c.seeds = pick(c.quick, 1, 3)
	}
	if c.length <= 0 {
		c.length = pick(c.quick, 5*time.Second, 20*time.Second)
	}
	if err := check(&c); err != nil {
		return err
	}
	if os.Getenv(insideEnv) == "" {
		preferUs()
		return netns.Again(ctx, insideEnv+"=1")
	}
	if err := netns.Furnish(); err != nil {
		return err
	}
	return compare(ctx, &c)
}

// check says what is missing before anything is started.
func check(c *config) error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces and devices need root: sudo make wire")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("no TUN driver: %w", err)
	}
	for name := range strings.SplitSeq(c.senders, ",") {
		if c.senders != "" && senders[name] == nil {
			return fmt.Errorf("no sender %q: there are %s, %s, %s", name, kernelName, gvisorName, ustackName)
		}
	}
	if c.parallel < 1 || c.length < time.Second {
		return errors.New("want at least one trial at a time and one second each")
	}
	return nil
}

// preferUs makes this thread, and so the process that it is going to start, real-time: what else the
// machine does shall not stand in the way of packets. A relay alone takes less than half a processor.
func preferUs() {
	runtime.LockOSThread()
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "wire: no real-time scheduling, so leave the machine alone meanwhile:", err)
	}
}

// compare does all of the work inside the private namespaces.
func compare(ctx context.Context, c *config) error {
	list := c.plan()
	if len(list) == 0 {
		return errors.New("nothing to do: no trial is chosen")
	}
	res := newResult(c)
	res.Trials = runAll(ctx, list, c, startMetronome())
	return errors.Join(ctx.Err(), res.publish(c.out))
}

func pick[T any](quick bool, a, b T) T {
	if quick {
		return a
	}
	return b
}
