// Command bench puts ustack beside its rivals: the raw device, the kernel's TCP with net/http and with
// fasthttp, and gVisor. Run it as root: `make bench`, or `QUICK=1 make bench`.
//
// Every engine is a process in network namespaces of its own, with the same addresses and the same
// clients: curl, wrk, ab, and an open-loop client of ours. All are started at the beginning of a round;
// those that have nothing to do sleep. In a round each workload goes through all engines before
// the next workload begins, and the order of the engines turns from round to round. The table shows medians
// over the rounds, and ratios as the median of the ratios within each round. Processes are pinned
// to nothing; GOMAXPROCS is what each engine takes by itself (see engines).
//
// The raw device is a loop that reads and writes the TUN and fakes as much TCP as the clients
// notice: what no stack on that device can beat.
//
// Memory and growth are measured on the in-memory link, in a process for each size, with a peer that
// needs twelve octets for a connection.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"ustack/scripts/netns"
)

func main() { netns.Main("bench", dispatch) }

// dispatch runs the benchmark or, in the processes that it starts, one of its parts.
func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "server":
			return server(ctx, args[1:])
		case "load":
			return load(args[1:])
		case "grow":
			return grow(args[1:])
		}
	}
	return bench(ctx, args)
}

// server runs an engine of ours in the namespace it was started in.
func server(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("server: which?")
	}
	switch args[0] {
	case "raw":
		return serveRaw(ctx, true)
	case "raw-wire":
		return serveRaw(ctx, false)
	case "gvisor":
		return serveGVisor(ctx)
	}
	ln, err := net.Listen("tcp4", serverAddr+":80")
	if err != nil {
		return err
	}
	if args[0] == "fasthttp" {
		return serveFastHTTP(ctx, ln)
	}
	return serveNetHTTP(ctx, ln)
}

// config is what the flags say.
type config struct {
	ustack    string
	other     string
	flags     string
	out       string
	quick     bool
	rounds    int
	seconds   int
	engines   string
	workloads string
	growth    bool
}

func bench(ctx context.Context, args []string) error {
	var c config
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&c.ustack, "ustack", "bin/ustack", "the command to measure")
	flags.StringVar(&c.other, "other", "", "another build of the command to measure beside it, as engine "+ownOther)
	flags.StringVar(&c.flags, "flags", "", "more flags for ustack serve, such as '--queues 2 --procs 2'; with -other only for that one")
	flags.StringVar(&c.out, "out", "bin/bench", "directory for results.json, chart.svg and table.txt")
	flags.BoolVar(&c.quick, "quick", os.Getenv("QUICK") != "" && os.Getenv("QUICK") != "0", "five minutes instead of fifteen (QUICK=1)")
	flags.IntVar(&c.rounds, "rounds", 0, "rounds [5, quick: 3]")
	flags.IntVar(&c.seconds, "seconds", 0, "length of each timed measurement [2, quick: 1]")
	flags.StringVar(&c.engines, "engines", "", "only engines whose name contains one of these words, separated by commas")
	flags.StringVar(&c.workloads, "workloads", "", "only workloads whose name contains one of these words; \"none\": growth only")
	flags.BoolVar(&c.growth, "growth", true, "measure memory and growth as well")
	flags.Parse(args)
	if c.rounds <= 0 {
		c.rounds = pick(c.quick, 3, 5)
	}
	if c.seconds <= 0 {
		c.seconds = pick(c.quick, 1, 2)
	}
	if err := check(); err != nil {
		return err
	}
	if os.Getenv(insideEnv) == "" {
		return netns.AgainIn(ctx, "ustack-bench", insideEnv)
	}
	return measure(ctx, &c)
}

func pick(quick bool, a, b int) int {
	if quick {
		return a
	}
	return b
}

// check says what is missing before anything is started.
func check() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces and devices need root: sudo make bench")
	}
	for _, tool := range []string{"curl", "wrk", "ab"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: scripts/setup bench installs it", tool)
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("no TUN driver: %w", err)
	}
	return nil
}

// measure does all of the work inside the private namespaces.
func measure(ctx context.Context, c *config) error {
	dir := os.Getenv(insideEnv)
	if err := furnish(dir); err != nil {
		return err
	}
	t, err := newTools(dir, c)
	if err != nil {
		return err
	}
	res := newResult(c)
	p := newProgress()
	s := &session{tools: t, seconds: c.seconds, threads: max(1, runtime.NumCPU()/2), latency: map[string]latencies{}}
	err = runRounds(ctx, c, s, res, p)
	if err == nil && c.growth {
		err = runGrowth(ctx, c, t, res, p)
	}
	p.done()
	res.Took = time.Since(res.began).Round(time.Second).String()
	if len(res.Rounds) == 0 && len(res.Growth) == 0 {
		return err
	}
	return errors.Join(err, res.publish(c.out))
}

// matches reports whether name contains one of the words of a comma-separated list; an empty list
// takes all.
func matches(name, words string) bool {
	if words == "" {
		return true
	}
	for w := range strings.SplitSeq(words, ",") {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
