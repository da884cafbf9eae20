package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// attack is a way of slowhttptest to hold many connections by being slow.
type attack struct {
	name, what string
	args       []string
}

// slowCount is how many connections a slow client wants.
const slowCount = 1000

// slowHeld is how many it must have while the good client is measured.
const slowHeld = slowCount * 95 / 100

// slowClients are slowhttptest's attacks, each beside a good client, whose latency must stay under twice that which it
// has alone.
func slowClients() []client {
	var list []client
	for _, a := range []attack{
		{"slow-headers", "1,000 requests whose heads come field by field", []string{"-H", "-i", "2", "-u", helloURL}},
		{"slow-body", "1,000 uploads whose bodies trickle in", []string{"-B", "-i", "2", "-s", "1000000", "-u", baseURL + "/_/sink"}},
		{"slow-read", "1,000 downloads that are taken drop by drop", []string{"-X", "-w", "256", "-y", "1024", "-n", "2", "-z", "32", "-u", baseURL + "/_/bytes/10000000"}},
	} {
		list = append(list, client{a.name, "slowhttptest, " + a.what + ", beside a good client", []string{"slowhttptest", "curl", "chrt"}, a.run})
	}
	return list
}

// run measures the good client alone, beside the attack, and alone again.
func (a attack) run(s *stage) error {
	if err := s.preferUs(); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	alone := map[string][]latency{}
	if err := s.measure(alone, 0); err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	beside := map[string][]latency{}
	if err := a.during(s, func() error { return s.measure(beside, slowHeld) }); err != nil {
		return err
	}
	if err := s.measure(alone, 0); err != nil {
		return fmt.Errorf("alone again: %w", err)
	}
	for _, kind := range goodKinds {
		before, now := median(alone[kind.name]), median(beside[kind.name])
		s.note("%s p50 %d → %d µs, mean %d → %d, p99 %d → %d", kind.name, before.p50.Microseconds(), now.p50.Microseconds(),
			before.mean.Microseconds(), now.mean.Microseconds(), before.p99.Microseconds(), now.p99.Microseconds())
		if now.p50 >= 2*before.p50 {
			s.fault("%s: the median is twice that alone or more", kind.name)
		}
	}
	s.stop()
	s.note("%s", s.endings())
	return nil
}

// preferUs makes the server and the good client real-time: latencies are to tell of the server, and not of how the
// kernel shares the processors with what else runs. slowhttptest is left as it is: it never sleeps, and on a machine of its
// own it would not take the server's processor.
func (s *stage) preferUs() error {
	first := []string{"chrt", "--rr", "1"}
	if out, err := exec.CommandContext(s.ctx, first[0], append(first[1:], "true")...).CombinedOutput(); err != nil {
		return fmt.Errorf("no real-time scheduling: %w: %s", err, out)
	}
	s.first = first
	return nil
}

// fewRounds is how often is measured in any case.
const fewRounds = 3

// measure measures every kind of good client, several times in turns: after a few only while the slow client holds that
// many connections.
func (s *stage) measure(into map[string][]latency, held int) error {
	for i := range s.c.rounds {
		if i >= fewRounds && connections() < held {
			break
		}
		for _, kind := range goodKinds {
			times, err := kind.measure(s)
			if err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			s.requests += len(times)
			into[kind.name] = append(into[kind.name], sum(times))
		}
	}
	return nil
}

// during runs the attack, calls f once it has all of its connections, and waits for the attack's end. It notes how many
// connections there were before and after f.
func (a attack) during(s *stage, f func() error) error {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	cmd := s.command(ctx, "slowhttptest", append([]string{"-c", strconv.Itoa(slowCount), "-r", "500", "-l", "25"}, a.args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	err := holding(slowHeld)
	first := connections()
	if err == nil {
		err = f()
	}
	s.note("%d connections at first, %d when measured", first, connections())
	cmd.Wait() // its status says nothing of the server
	text := escapes.ReplaceAll(out.Bytes(), nil)
	if kept := s.keep(cmd, nil, text); kept != nil {
		return kept
	}
	if ctx.Err() != nil {
		return errors.New("slowhttptest did not end")
	}
	if !available.Match(text) || unavailable.Match(text) {
		s.fault("slowhttptest found the server out of service")
	}
	return err
}

// What slowhttptest prints: colours, and in between whether a request of its own was answered.
var (
	escapes     = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
	available   = regexp.MustCompile(`service available:\s+YES`)
	unavailable = regexp.MustCompile(`service available:\s+NO`)
)

// holding waits until the slow client has n connections.
func holding(n int) error {
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if connections() >= n {
			return nil
		}
	}
	return fmt.Errorf("the slow client has %d connections, want %d", connections(), n)
}

// connections counts the kernel's established connections to the server.
func connections() int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0
	}
	const remote, state = 2, 3
	n := 0
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > state && strings.HasSuffix(f[remote], ":0050") && f[state] == "01" {
			n++
		}
	}
	return n
}

// endings tells from the server's log how requests ended that are not the good client's.
func (s *stage) endings() string {
	why := map[int]string{200: "200, taken in part", 400: "400, the body broke off when the attack ended", 408: "408, the head took too long"}
	var list []string
	for _, status := range []int{0, 200, 400, 408} {
		slow := func(a answer) bool { return a.Status == status && !(hello(a) && a.Method == "GET") }
		if n := s.tally.count(slow); n > 0 {
			list = append(list, fmt.Sprintf("%d × %s", n, cmp.Or(why[status], "no answer")))
		}
	}
	if list == nil {
		return "no answer to the slow ones"
	}
	return "slow ones: " + strings.Join(list, ", ")
}
