package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ustack/scripts/netns"
)

// requireEnv turns a skip for want of root into a failure.
const requireEnv = "USTACK_REQUIRE_TUN"

// TestMain runs the tests in private namespaces if it can, else only those that need none.
func TestMain(m *testing.M) {
	switch missing := check(&config{parallel: 1, length: time.Second}); {
	case os.Getenv(insideEnv) != "":
		if err := netns.Furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "wire:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	case missing == nil:
		os.Exit(inside())
	case os.Getenv(requireEnv) != "":
		fmt.Fprintf(os.Stderr, "wire: %s is set, but there is no ground to test on: %v\n", requireEnv, missing)
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "wire: SKIPPED, all tests with traffic:", missing)
		os.Exit(m.Run())
	}
}

func inside() int {
	preferUs()
	err := netns.Again(context.Background(), insideEnv+"=1")
	exit := (*exec.ExitError)(nil)
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "wire:", err)
		return 1
	}
	return 0
}

// beats is the metronome of all tests: it is for ever.
var beats = sync.OnceValue(startMetronome)

// outcomes does the trials at the same time, again as long as the machine disturbs them.
func outcomes(t *testing.T, list ...trial) []outcome {
	t.Helper()
	needGround(t)
	all := runAll(t.Context(), list, &config{parallel: len(list), patience: 10 * time.Millisecond}, beats())
	for _, o := range all {
		t.Log(o.line())
		if o.Err != "" {
			t.Fatalf("%v: %s", o.trial, o.Err)
		}
	}
	return all
}

func needGround(t *testing.T) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Skip("SKIPPED: needs root and a TUN")
	}
}

// slow is a bottleneck that a busy machine and the race detector keep up with.
func slow() cell {
	if testing.Short() {
		return cell{Rate: 5_000_000, RTT: 40 * time.Millisecond}
	}
	return cell{Rate: 20_000_000, RTT: 10 * time.Millisecond}
}

// TestRate: everybody fills the bottleneck, nobody overfills it, alone or in pairs.
func TestRate(t *testing.T) {
	c := slow()
	var list []trial
	for _, senders := range [][]string{{kernelName}, {gvisorName}, {ustackName}, {ustackName, kernelName}} {
		list = append(list, trial{Cell: c, Senders: senders, Seed: 1, Length: 2 * time.Second})
	}
	most := mbits(c.Rate/8, time.Second) * 1448 / 1500
	for _, o := range outcomes(t, list...) {
		least := most / 2
		if o.Senders[0] == gvisorName {
			least = most / 10 // at times it sends everything twice
		}
		sum := 0.0
		for _, f := range o.Flows {
			sum += f.Goodput
			if f.Delivered == 0 || len(f.Second) != 2 || f.Sent < f.Delivered {
				t.Errorf("%v: %+v", o.trial, f)
			}
		}
		// Two flows have not the same two seconds: what stood in the queue may be counted on top.
		if sum < least || sum > 1.06*most {
			t.Errorf("%v: %.2f Mbit/s, want almost %.2f", o.trial, sum, most)
		}
	}
}

// TestLoss: what is lost is sent again, little else is, and the relay sees it.
func TestLoss(t *testing.T) {
	c := slow()
	c.Loss = 3
	var list []trial
	for _, s := range []string{kernelName, gvisorName, ustackName} {
		list = append(list, trial{Cell: c, Senders: []string{s}, Seed: 2, Length: 2 * time.Second})
	}
	for _, o := range outcomes(t, list...) {
		again, lost := float64(o.Flows[0].Again)/1448, float64(o.Lost+o.Overflow)
		if o.Lost == 0 || again < lost/2 || again > lost*3/2 {
			t.Errorf("%v: %.0f segments again for %.0f that were lost", o.trial, again, lost)
		}
	}
}

// TestRTT: the relay adds the delay it is told, and little of its own.
func TestRTT(t *testing.T) {
	tr := trial{Cell: cell{Rate: rate, RTT: 10 * time.Millisecond, Loss: 3}, Senders: []string{kernelName}, Length: time.Second}
	o := outcomes(t, tr)[0]
	var rtt time.Duration
	for field := range strings.SplitSeq(o.Flows[0].Detail, ", ") {
		if us, ok := strings.CutPrefix(field, "least RTT "); ok {
			rtt, _ = time.ParseDuration(us)
		}
	}
	if rtt < tr.Cell.RTT || rtt > tr.Cell.RTT+3*time.Millisecond {
		t.Errorf("least round-trip time %v in %q, want little more than %v", rtt, o.Flows[0].Detail, tr.Cell.RTT)
	}
}

// TestVoid: a packet that is too large voids the trial.
func TestVoid(t *testing.T) {
	needGround(t)
	w, err := newWire(cell{Rate: rate, RTT: 10 * time.Millisecond}, 1, beats())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.check(); err != nil {
		t.Errorf("nothing has happened yet: %v", err)
	}
	w.forward(w.newPort(), make([]byte, mtu+1))
	if err := w.check(); err == nil {
		t.Error("no complaint about a packet larger than the MTU")
	}
}

// TestFailures: what cannot be set up is told, and the rest of the wave goes on.
func TestFailures(t *testing.T) {
	needGround(t)
	good := trial{Cell: cell{Rate: rate, RTT: time.Millisecond}, Senders: []string{ustackName}, Length: time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	all := wave(ctx, []trial{good}, []int{0}, beats())
	if len(all) != 1 || all[0].Err == "" {
		t.Errorf("a trial that was cut short: %+v", all)
	}
	if !slices.Equal(all[0].Senders, good.Senders) {
		t.Errorf("whose outcome is this: %+v", all[0])
	}
}
