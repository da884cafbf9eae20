package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// loads are the load generators, most of which pipeline.
func loads() []client {
	return []client{
		{"wrk", "16-deep by a Lua script that looks at every answer, 16 connections", []string{"wrk"}, wrk},
		{"h2load", "--h1 -m16, 16 connections", []string{"h2load"}, h2load},
		{"autocannon", "-p 10, 16 connections, every body compared", []string{"node"}, autocannon},
		{"httperf", "bursts of 5, 20 requests a connection", []string{"httperf"}, httperf},
		{"ab", "-k, 16 connections", []string{"ab"}, ab},
	}
}

const (
	helloURL    = baseURL + "/_/hello"
	helloBody   = "Hello, World!"
	loadConns   = 16
	loadAnswers = 100_000
)

// wrkScript sends depth requests at once and counts the answers that are not the one expected. Each thread has
// variables of its own, which done reads at the end.
const wrkScript = `
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init()
  wrong = 0
  local r = {}
  for i = 1, %d do r[i] = wrk.format("GET", "/_/hello") end
  batch = table.concat(r)
end
function request() return batch end
function response(status, headers, body)
  if status ~= 200 or body ~= %q then wrong = wrong + 1 end
end
function done(summary)
  local bad = 0
  for _, t in ipairs(threads) do bad = bad + t:get("wrong") end
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d\n", summary.requests, bad, e.connect + e.read + e.write + e.status + e.timeout))
end
`

var wrkResult = regexp.MustCompile(`RESULT (\d+) (\d+) (\d+)\n`)

func wrk(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	const depth = 16
	script := s.file("deep.lua", fmt.Appendf(nil, wrkScript, depth, helloBody))
	out := s.run(time.Minute, "wrk", "-t2", "-c"+strconv.Itoa(loadConns), "-d3s", "--timeout", "10s", "-s", script, baseURL)
	n := numbers(wrkResult, out)
	if n == nil {
		return fmt.Errorf("wrk says %q", out)
	}
	s.requests = n[0]
	s.want("answers that were not expected", n[1], 0)
	s.want("errors", n[2], 0)
	s.between(n[0], n[0]+depth*loadConns) // at its end wrk drops what is under way
	return nil
}

// hello takes good answers of /_/hello.
func hello(a answer) bool { return a.Status == 200 && a.Bytes == int64(len(helloBody)) }

// between expects good answers of /_/hello in the server's log, that many at least and at most.
func (s *stage) between(least, most int) {
	s.stop()
	n := s.tally.count(hello)
	if n < least || n > most {
		s.fault("%d good answers in the server's log, want %d to %d", n, least, most)
	}
	s.want("answers in the server's log", s.tally.count(all), n)
}

// served expects n good answers of /_/hello in the server's log, and no others.
func (s *stage) served(n int) { s.between(n, n) }

var (
	h2loadRequests = regexp.MustCompile(`requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadData     = regexp.MustCompile(`\((\d+)\) data`)
)

func h2load(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	out := s.run(time.Minute, "h2load", "--h1", "-m16", "-n", strconv.Itoa(loadAnswers), "-c", strconv.Itoa(loadConns), helloURL)
	n, data := numbers(h2loadRequests, out), numbers(h2loadData, out)
	if n == nil || data == nil {
		return fmt.Errorf("h2load says %q", out)
	}
	s.requests = n[0]
	s.want("answers", n[1], loadAnswers)
	s.want("successes", n[2], loadAnswers)
	s.want("failures, errors and time-outs", n[3]+n[4]+n[5], 0)
	s.want("octets of content", data[0], loadAnswers*len(helloBody))
	s.served(loadAnswers)
	return nil
}

// autocannon ends a connection once it has sent all of its share, whatever is still under way on it.
func autocannon(s *stage) error {
	module, err := s.module("autocannon")
	if err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	const depth = 10
	out := s.run(time.Minute, "node", filepath.Join(module, "autocannon.js"), "-p", strconv.Itoa(depth),
		"-c", strconv.Itoa(loadConns), "-a", strconv.Itoa(loadAnswers), "--expectBody", helloBody, "--json", helloURL)
	var r struct {
		Errors, Timeouts, Mismatches, Non2xx, Resets int
		Good                                         int `json:"2xx"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return fmt.Errorf("autocannon says %q: %w", out, err)
	}
	s.requests = r.Good
	s.want("errors, time-outs, resets, wrong bodies and other statuses", r.Errors+r.Timeouts+r.Resets+r.Mismatches+r.Non2xx, 0)
	if least := loadAnswers - (depth-1)*loadConns; r.Good < least {
		s.fault("%d good answers, want %d", r.Good, least)
	}
	s.between(r.Good, loadAnswers)
	return nil
}

var (
	httperfTotal  = regexp.MustCompile(`Total: connections (\d+) requests (\d+) replies (\d+) `)
	httperfStatus = regexp.MustCompile(`Reply status: 1xx=(\d+) 2xx=(\d+) 3xx=(\d+) 4xx=(\d+) 5xx=(\d+)`)
	httperfErrors = regexp.MustCompile(`Errors: total (\d+) `)
)

func httperf(s *stage) error {
	capture := filepath.Join(s.dir, "capture.pcapng")
	if err := s.start("--pcap", capture); err != nil {
		return err
	}
	const conns, calls, burst = 200, 20, 5
	out := s.run(time.Minute, "httperf", "--server", serverAddr, "--uri", "/_/hello", "--rate", "400", "--timeout", "10",
		"--num-conns", strconv.Itoa(conns), "--num-calls", strconv.Itoa(calls), "--burst-length", strconv.Itoa(burst))
	total, status, errs := numbers(httperfTotal, out), numbers(httperfStatus, out), numbers(httperfErrors, out)
	if total == nil || status == nil || errs == nil {
		return fmt.Errorf("httperf says %q", out)
	}
	s.requests = total[1]
	s.want("connections", total[0], conns)
	s.want("replies", total[2], conns*calls)
	s.want("good replies", status[1], conns*calls)
	s.want("errors", errs[0], 0)
	s.served(conns * calls)
	connections, err := s.pipelined(capture, burst)
	s.want("connections in the capture", connections, conns)
	return err
}

func ab(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	out := s.run(time.Minute, "ab", "-q", "-k", "-n", strconv.Itoa(loadAnswers), "-c", strconv.Itoa(loadConns), helloURL)
	for what, want := range map[string]int{
		"Complete requests": loadAnswers, "Failed requests": 0, "Keep-Alive requests": loadAnswers, "HTML transferred": loadAnswers * len(helloBody),
	} {
		n := numbers(regexp.MustCompile(what+`:\s+(\d+)`), out)
		if n == nil {
			return fmt.Errorf("ab says %q", out)
		}
		s.want(what, n[0], want)
	}
	if strings.Contains(out, "Non-2xx") {
		s.fault("ab met another status than 200")
	}
	s.requests = loadAnswers
	s.served(loadAnswers)
	return nil
}

// numbers returns the numbers that a regular expression finds, nil if it finds nothing.
func numbers(re *regexp.Regexp, text string) []int {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	list := make([]int, 0, len(m)-1)
	for _, s := range m[1:] {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil
		}
		list = append(list, n)
	}
	return list
}
