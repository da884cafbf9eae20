package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// client is one of those that are to talk to the server.
type client struct {
	name  string
	what  string   // it does, in a few words
	tools []string // that must be installed
	run   func(s *stage) error
}

// clients lists all, in the order they run in.
func clients() []client {
	return slices.Concat(curls(), browsers(), loads(), scripts(), packages(), slowClients(), refusals())
}

// runAll runs the chosen clients one after the other and prints a line for each.
func runAll(ctx context.Context, c *config, work string) error {
	chosen := slices.DeleteFunc(clients(), func(cl client) bool { return !c.chosen.MatchString(cl.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("-run %v matches none of: %s", c.chosen, names(clients()))
	}
	if err := missing(chosen); err != nil {
		return err
	}
	fmt.Printf("%-20s %9s  %-7s %8s  %s\n", "client", "requests", "result", "seconds", "what it did")
	var bad []string
	for _, cl := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !cl.perform(ctx, c, work) {
			bad = append(bad, cl.name)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d clients failed: %s; see %s", len(bad), len(chosen), strings.Join(bad, ", "), c.out)
	}
	return nil
}

// perform runs the client on a stage of its own, prints its line and reports whether all was well.
func (cl client) perform(ctx context.Context, c *config, work string) bool {
	start := time.Now()
	s, err := newStage(ctx, c, work, cl.name)
	if err != nil {
		fmt.Printf("%-20s %9s  FAILED  %8s  %v\n", cl.name, "-", "-", err)
		return false
	}
	if err := cl.run(s); err != nil {
		s.fault("%v", err)
	}
	s.stop()
	os.RemoveAll(s.work)
	result, line := "ok", cl.what
	if len(s.notes) > 0 {
		line += ": " + strings.Join(s.notes, "; ")
	}
	if len(s.faults) > 0 {
		result, line = "FAILED", line+": "+strings.Join(s.faults, "; ")
	}
	fmt.Printf("%-20s %9d  %-7s %8.1f  %s\n", cl.name, s.requests, result, time.Since(start).Seconds(), line)
	return len(s.faults) == 0
}

// missing tells which programs the clients lack.
func missing(list []client) error {
	var lacking []string
	for _, cl := range list {
		for _, tool := range cl.tools {
			if _, err := exec.LookPath(tool); err != nil && !slices.Contains(lacking, tool) {
				lacking = append(lacking, tool)
			}
		}
	}
	if len(lacking) > 0 {
		return errors.New("missing: " + strings.Join(lacking, ", ") + "; scripts/setup clients installs what is needed")
	}
	return nil
}

func names(list []client) string {
	var all []string
	for _, cl := range list {
		all = append(all, cl.name)
	}
	return strings.Join(all, ", ")
}
