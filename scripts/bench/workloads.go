package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tools are the programs and files that the workloads need.
type tools struct {
	self       string
	programs   map[string]string // of the engines
	pipeline   string            // Lua script of wrk
	upload     string            // file of uploadSize octets
	uploadWire string            // file of uploadSize / slowShare octets
}

// Sizes of bulk transfers in octets; engines whose packets have wire size carry a part.
const (
	downloadSize = 1_500_000_000
	uploadSize   = 1_000_000_000
	slowShare    = 10
)

const pipelineDepth = 16

const pipelineScript = `init = function(args)
  local r = {}
  for i = 1, %d do r[i] = wrk.format("GET", "/_/hello") end
  request_burst = table.concat(r)
end
request = function() return request_burst end
`

func newTools(dir string, c *config) (*tools, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &tools{self: self, programs: map[string]string{"self": self, "ustack": c.ustack, "other": c.other}, pipeline: filepath.Join(dir, "pipeline.lua"),
		upload: filepath.Join(dir, "upload"), uploadWire: filepath.Join(dir, "upload-wire")}
	for name, size := range map[string]int64{t.upload: uploadSize, t.uploadWire: uploadSize / slowShare} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return nil, err
		}
		if err := os.Truncate(name, size); err != nil { // a hole in memory: reading it costs nothing
			return nil, err
		}
	}
	return t, os.WriteFile(t.pipeline, fmt.Appendf(nil, pipelineScript, pipelineDepth), 0o644)
}

// workload is one figure to measure.
type workload struct {
	Name string `json:"name"`
	What string `json:"what"`
	Unit string `json:"unit"`
	// less: small values are good.
	less bool
	// only names the engines that take part; none: all.
	only []string
	// needsRate: the workload needs what an earlier one has found.
	needsRate bool
	bulk      float64 // octets that are carried, in a bulk transfer
	run       func(ctx context.Context, r *running, s *session) (float64, error)
}

// Names of the workloads.
const (
	download   = "download"
	upload     = "upload"
	uploadAsIs = "upload, default sender"
	wrk1       = "wrk c=1"
	wrk16      = "wrk c=16"
	wrk64      = "wrk c=64"
	wrk1024    = "wrk c=1024"
	pipelined  = "pipelined c=16"
	newConns   = "new connections"
	sleepKept  = "beside 100 sleepers"
	sleepNew   = "beside ab to sleepers"
	p50c16     = "p50 c=16"
	p99c16     = "p99 c=16"
	p50c1024   = "p50 c=1024"
	p99c1024   = "p99 c=1024"
	drops      = "device drops"
)

// session is what the workloads of a run share.
type session struct {
	tools   *tools
	seconds int // of each timed client
	rate    float64
	threads int // of wrk
	latency map[string]latencies
}

const (
	perSecond      = "requests/s"
	connsPerSecond = "conns/s"
)

// workloads lists what every engine is put through in each round. wrk 16 and what is held against it
// follow each other.
func workloads() []workload {
	sleepers := []string{netHTTP, fastHTTP, gvVirtio, ownOff, ownOn, ownOther}
	return []workload{
		{Name: download, Unit: "Gbit/s", What: "curl, 1.5 GB (wire-sized engines: 150 MB)", bulk: downloadSize, run: runDownload},
		{Name: upload, Unit: "Gbit/s", What: "curl -T, 1 GB (wire-sized engines: 100 MB), the sender's kernel doing CUBIC", bulk: uploadSize, run: runUpload},
		{Name: uploadAsIs, Unit: "Gbit/s", What: "the same, with the congestion control that the sender's kernel takes by itself", bulk: uploadSize, run: sendFile},
		{Name: wrk1, Unit: perSecond, What: "wrk, 1 connection", run: wrk(1)},
		{Name: wrk64, Unit: perSecond, What: "wrk, 64 connections", run: wrk(64)},
		{Name: wrk1024, Unit: perSecond, What: "wrk, 1024 connections", run: wrk(1024)},
		{Name: pipelined, Unit: perSecond, What: "wrk, 16 connections, 16 requests in a burst", run: runPipelined},
		{Name: newConns, Unit: connsPerSecond, What: "ab, 16 at a time, a connection each", run: runNewConns},
		{Name: wrk16, Unit: perSecond, What: "wrk, 16 connections", run: wrk(16)},
		{Name: sleepKept, Unit: perSecond, What: "wrk c=16 while 100 kept connections ask for /_/delay/100", only: sleepers, run: runBesideKept},
		{Name: sleepNew, Unit: perSecond, What: "wrk c=16 while ab -c 100 asks for /_/delay/100", only: sleepers, run: runBesideNew},
		{Name: p50c16, Unit: "µs", less: true, needsRate: true, What: "open loop at a fixed rate, 16 connections", run: runLatency(16)},
		{Name: p99c16, Unit: "µs", less: true, needsRate: true, What: "", run: tailOf(16)},
		{Name: p50c1024, Unit: "µs", less: true, needsRate: true, What: "open loop at a fixed rate, 1024 connections", run: runLatency(1024)},
		{Name: p99c1024, Unit: "µs", less: true, needsRate: true, What: "", run: tailOf(1024)},
		{Name: drops, Unit: "packets", less: true, What: "lost on the way to the server in a round, by the device's counter", run: runDrops},
	}
}

// cpuCost says what a measured value has cost: processor time of server and clients in ns for each
// request, or for each kilobyte of a bulk transfer. Unlike the rates it hardly depends on who
// else uses the machine. False: the workload has no such figure.
func (w *workload) cpuCost(cpu time.Duration, value float64, s *session, e *engine) (float64, bool) {
	work := value * float64(s.seconds)
	switch {
	case w.bulk > 0 && e.slow:
		work = w.bulk / slowShare / 1000
	case w.bulk > 0:
		work = w.bulk / 1000
	case w.only != nil || w.Unit != perSecond && w.Unit != connsPerSecond:
		return 0, false
	}
	return float64(cpu.Nanoseconds()) / work, work > 0
}

const bulkLimit = 60 * time.Second

// bulkFormat is what curl reports: octets and the seconds from the connection on.
const bulkFormat = "%{http_code} %{size_download} %{size_upload} %{time_connect} %{time_total}\n"

func runDownload(ctx context.Context, r *running, _ *session) (float64, error) {
	size := downloadSize
	if r.slow {
		size /= slowShare
	}
	out, err := r.run(ctx, bulkLimit, "curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", bulkFormat,
		baseURL+"/_/bytes/"+strconv.Itoa(size))
	if err != nil {
		return 0, err
	}
	return bulkRate(out, size, 0)
}

// runUpload has the client's kernel send with CUBIC. BBR, the default of some, paces a lone flow by its own estimate of
// the path, and that settles at one of two or three rates by chance: then the figure is not the receiver's.
func runUpload(ctx context.Context, r *running, s *session) (float64, error) {
	if err := r.client.Do(func() error { return sendWith("cubic") }); err != nil {
		return 0, err
	}
	defer r.client.Do(func() error { return sendWith("") })
	return sendFile(ctx, r, s)
}

func sendFile(ctx context.Context, r *running, s *session) (float64, error) {
	size, file := uploadSize, s.tools.upload
	if r.slow {
		size, file = size/slowShare, s.tools.uploadWire
	}
	out, err := r.run(ctx, bulkLimit, "curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-H", "Expect:", "-w", bulkFormat,
		"-T", file, baseURL+"/_/sink")
	if err != nil {
		return 0, err
	}
	return bulkRate(out, 0, size)
}

// bulkRate reads what curl says in bulkFormat. A zero size is not looked at.
func bulkRate(out string, down, up int) (float64, error) {
	var code, gotDown, gotUp int
	var connect, total float64
	if _, err := fmt.Sscan(out, &code, &gotDown, &gotUp, &connect, &total); err != nil {
		return 0, fmt.Errorf("curl said %q: %w", out, err)
	}
	if code != 200 || down > 0 && gotDown != down || up > 0 && gotUp != up || total <= connect {
		return 0, fmt.Errorf("curl said %q: not what was asked for", out)
	}
	return float64(max(down, up)) * 8 / (total - connect) / 1e9, nil
}

func (s *session) limit() time.Duration { return time.Duration(s.seconds)*time.Second + 15*time.Second }

func (s *session) wrkArgs(conns int, more ...string) []string {
	return append([]string{"-t", strconv.Itoa(min(s.threads, conns)), "-c", strconv.Itoa(conns), "-d", strconv.Itoa(s.seconds) + "s"}, more...)
}

func wrk(conns int) func(context.Context, *running, *session) (float64, error) {
	return func(ctx context.Context, r *running, s *session) (float64, error) {
		out, err := r.run(ctx, s.limit(), "wrk", s.wrkArgs(conns, baseURL+"/_/hello")...)
		if err != nil {
			return 0, err
		}
		return wrkRate(out)
	}
}

func runPipelined(ctx context.Context, r *running, s *session) (float64, error) {
	out, err := r.run(ctx, s.limit(), "wrk", s.wrkArgs(16, "-s", s.tools.pipeline, baseURL)...)
	if err != nil {
		return 0, err
	}
	return wrkRate(out)
}

var (
	wrkRateLine   = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkErrorLines = regexp.MustCompile(`(?m)^\s*(Socket errors:.*|Non-2xx.*)$`)
	abRateLine    = regexp.MustCompile(`Requests per second:\s+([0-9.]+)`)
	abFailedLine  = regexp.MustCompile(`(?m)^(?:Failed requests|Non-2xx responses):\s+([1-9][0-9]*)`)
)

// wrkRate reads what wrk printed. An error of a connection makes the figure worthless.
func wrkRate(out string) (float64, error) {
	if bad := wrkErrorLines.FindString(out); bad != "" {
		return 0, errors.New("wrk: " + strings.TrimSpace(bad))
	}
	return firstNumber(wrkRateLine, out)
}

func abRate(out string) (float64, error) {
	if bad := abFailedLine.FindString(out); bad != "" {
		return 0, errors.New("ab: " + bad)
	}
	return firstNumber(abRateLine, out)
}

func firstNumber(re *regexp.Regexp, out string) (float64, error) {
	m := re.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no rate in %q", tail(out, 500))
	}
	return strconv.ParseFloat(m[1], 64)
}

func abArgs(conns, seconds int, path string) []string {
	return []string{"-q", "-c", strconv.Itoa(conns), "-t", strconv.Itoa(seconds), "-n", "10000000", baseURL + path}
}

func runNewConns(ctx context.Context, r *running, s *session) (float64, error) {
	out, err := r.run(ctx, s.limit(), "ab", abArgs(16, s.seconds, "/_/hello")...)
	if err != nil {
		return 0, err
	}
	return abRate(out)
}

// settle is how long sleepers have to get to sleep before wrk starts beside them.
const settle = 300 * time.Millisecond

func runBesideKept(ctx context.Context, r *running, s *session) (float64, error) {
	return beside(ctx, r, s, "wrk", "-t", "1", "-c", "100", "-d", strconv.Itoa(s.seconds+1)+"s", baseURL+"/_/delay/100")
}

func runBesideNew(ctx context.Context, r *running, s *session) (float64, error) {
	return beside(ctx, r, s, "ab", abArgs(100, s.seconds+1, "/_/delay/100")...)
}

// beside measures wrk c=16 while another client runs, which has to have been served as well.
func beside(ctx context.Context, r *running, s *session, name string, args ...string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit())
	defer cancel()
	other, out, err := r.begin(ctx, name, args...)
	if err != nil {
		return 0, err
	}
	time.Sleep(settle)
	rate, err := wrk(16)(ctx, r, s)
	if e := other.Wait(); err == nil && e != nil {
		err = fmt.Errorf("%s: %w: %s", name, e, tail(out.String(), 500))
	}
	if err != nil {
		return 0, err
	}
	served, err := wrkRate(out.String())
	if name == "ab" {
		served, err = abRate(out.String())
	}
	if err == nil && served < 300 {
		err = fmt.Errorf("of 1000 sleeping requests a second only %.0f were answered", served)
	}
	return rate, err
}

// latencies is what the open-loop client reports, in microseconds.
type latencies struct {
	Sent, Answered int
	Rate           float64 // asked for, requests/s
	P50, P99, Max  float64
}

// runLatency measures at s.rate and keeps the tail for tailOf.
func runLatency(conns int) func(context.Context, *running, *session) (float64, error) {
	return func(ctx context.Context, r *running, s *session) (float64, error) {
		delete(s.latency, latencyKey(r, conns))
		out, err := r.run(ctx, s.limit(), s.tools.self, "load", "-rate", fmt.Sprint(s.rate), "-conns", strconv.Itoa(conns),
			"-for", strconv.Itoa(s.seconds)+"s")
		if err != nil {
			return 0, err
		}
		var l latencies
		if err := json.Unmarshal([]byte(out), &l); err != nil {
			return 0, fmt.Errorf("the open-loop client said %q: %w", out, err)
		}
		if l.Answered < l.Sent*99/100 || l.Sent == 0 {
			return 0, fmt.Errorf("%d of %d requests were answered", l.Answered, l.Sent)
		}
		s.latency[latencyKey(r, conns)] = l
		return l.P50, nil
	}
}

func latencyKey(r *running, conns int) string { return fmt.Sprint(r.Name, conns) }

func tailOf(conns int) func(context.Context, *running, *session) (float64, error) {
	return func(_ context.Context, r *running, s *session) (float64, error) {
		l, ok := s.latency[latencyKey(r, conns)]
		if !ok {
			return 0, errors.New("not measured")
		}
		return l.P99, nil
	}
}

func runDrops(_ context.Context, r *running, _ *session) (float64, error) {
	n, err := lostTo(r.client)
	return float64(n), err
}
