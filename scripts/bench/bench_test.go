package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadings(t *testing.T) {
	tests := []struct {
		name string
		read func(string) (float64, error)
		out  string
		want float64 // 0: an error
	}{
		{"wrk", wrkRate, "Running 1s test\nRequests/sec:  12345.67\nTransfer/sec: 1MB\n", 12345.67},
		{"wrk lost a connection", wrkRate, "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:  12345.67\n", 0},
		{"wrk was refused", wrkRate, "  Non-2xx or 3xx responses: 9\nRequests/sec:  12345.67\n", 0},
		{"wrk died", wrkRate, "unable to connect", 0},
		{"ab", abRate, "Failed requests:        0\nRequests per second:    4321.00 [#/sec] (mean)\n", 4321},
		{"ab failed", abRate, "Failed requests:        12\nRequests per second:    4321.00 [#/sec] (mean)\n", 0},
		{"ab was refused", abRate, "Failed requests:        0\nNon-2xx responses:      5\nRequests per second:    4321.00 [#/sec]\n", 0},
		{"curl down", func(s string) (float64, error) { return bulkRate(s, 1e9, 0) }, "200 1000000000 0 0.5 2.5\n", 4},
		{"curl up", func(s string) (float64, error) { return bulkRate(s, 0, 1e9) }, "200 11 1000000000 0.5 2.5\n", 4},
		{"curl got less", func(s string) (float64, error) { return bulkRate(s, 1e9, 0) }, "200 999 0 0.5 2.5\n", 0},
		{"curl was refused", func(s string) (float64, error) { return bulkRate(s, 1e9, 0) }, "404 1000000000 0 0.5 2.5\n", 0},
		{"curl said nothing", func(s string) (float64, error) { return bulkRate(s, 1e9, 0) }, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.read(tt.out)
			if got != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestStatistics(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median of 9, 1, 5: %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of 4, 1, 2, 3: %v", got)
	}
	if got := median(nil); got != 0 {
		t.Errorf("median of nothing: %v", got)
	}
	if got := spread([]float64{8, 10, 15}); got != 0.5 {
		t.Errorf("spread: %v", got)
	}
	var sorted []time.Duration
	for i := range 100 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(sorted, q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

// TestRatio: a round in which everything is slower does not change a ratio.
func TestRatio(t *testing.T) {
	res := &result{Rounds: []round{
		{wrk64: {ownOn: 200, fastHTTP: 100}},
		{wrk64: {ownOn: 20, fastHTTP: 10}},
		{wrk64: {ownOn: 90}}, // the rival failed
		{wrk64: {ownOn: 300, fastHTTP: 100}},
	}}
	if got, ok := res.ratio([2]string{wrk64, ownOn}, [2]string{wrk64, fastHTTP}); got != 2 || !ok {
		t.Errorf("ratio %v, %v", got, ok)
	}
	if _, ok := res.ratio([2]string{wrk1, ownOn}, [2]string{wrk1, fastHTTP}); ok {
		t.Error("a ratio of what was not measured")
	}
}

func TestJudge(t *testing.T) {
	res := &result{Growth: map[string]float64{idleBytes: 2000}, Rounds: []round{
		{wrk64: {ownOn: 170, fastHTTP: 100}, p99c16: {ownOn: 110, fastHTTP: 100}, drops: {ownOn: 0}},
		{drops: {ownOn: 1}},
	}}
	tests := []struct {
		floor         floor
		met, measured bool
	}{
		{atLeast("", 1.7, wrk64, ownOn, wrk64, fastHTTP), true, true},
		{atLeast("", 1.8, wrk64, ownOn, wrk64, fastHTTP), false, true},
		{atLeast("", 1.8, wrk64, ownOn, wrk64, netHTTP), false, false},
		{atMost("", 1, p99c16, fastHTTP), false, true},
		{floor{most: 0, of: [2]string{drops, ownOn}}, false, true}, // one round suffices
		{floor{most: 1536, growth: idleBytes}, false, true},
		{floor{most: 2000, growth: idleBytes}, true, true},
		{floor{most: 2000, growth: millionPeak}, false, false},
	}
	for _, tt := range tests {
		if v := tt.floor.judge(res); v.Met != tt.met || v.Measured != tt.measured {
			t.Errorf("%+v: %+v", tt.floor, v)
		}
	}
}

// TestFloorsExist: a floor about a workload or an engine that nobody measures would never be short.
func TestFloorsExist(t *testing.T) {
	known := func(p [2]string) bool {
		return slices.ContainsFunc(workloads(), func(w workload) bool {
			return w.Name == p[0] && slices.ContainsFunc(engines(), func(e engine) bool { return e.Name == p[1] && w.takesPart(&e) })
		})
	}
	for _, f := range floors() {
		if f.growth == "" && (!known(f.of) || f.over[0] != "" && !known(f.over)) {
			t.Errorf("%s: %v over %v is not measured", f.What, f.of, f.over)
		}
	}
}

func TestFairRate(t *testing.T) {
	r := round{wrk16: {rawOn: 10, ownOn: 500, gvPlain: 400}, wrk1024: {ownOn: 300}, wrk1: {ownOn: 1}}
	if got := fairRate(r, engines()); got != 150 {
		t.Errorf("fair rate %v", got)
	}
}

func TestCPUCost(t *testing.T) {
	s := &session{seconds: 2}
	get := func(name string) *workload {
		list := workloads()
		i := slices.IndexFunc(list, func(w workload) bool { return w.Name == name })
		return &list[i]
	}
	if c, ok := get(wrk64).cpuCost(4*time.Second, 100_000, s, &engine{}); c != 20_000 || !ok {
		t.Errorf("wrk: %v, %v", c, ok)
	}
	if c, ok := get(upload).cpuCost(time.Second, 8, s, &engine{slow: true}); c != 10_000 || !ok {
		t.Errorf("upload of a wire-sized engine: %v, %v", c, ok)
	}
	if _, ok := get(p99c16).cpuCost(time.Second, 8, s, &engine{}); ok {
		t.Error("a latency has no cost")
	}
}

func TestPlace(t *testing.T) {
	seen := map[any]bool{}
	for _, i := range []int{0, 1, 15, 16, 17, 999_999, peerAddrs*peerPorts - 1} {
		addr, port := place(i)
		if index(addr, port) != i {
			t.Errorf("connection %d is at %v port %d, which is %d's", i, addr, port, index(addr, port))
		}
		seen[[2]any{addr, port}] = true
	}
	if len(seen) != 7 {
		t.Error("two connections at one place")
	}
}

func TestDraw(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, conns := range []int{10, 11, 19, 20, 1000} {
		list := make([]int, 10)
		for range 1000 {
			draw(random, list, conns)
			s := slices.Compact(slices.Sorted(slices.Values(list)))
			if len(s) != len(list) || s[0] < 0 || s[len(s)-1] >= conns {
				t.Fatalf("of %d connections: %v", conns, list)
			}
		}
	}
}

func TestChart(t *testing.T) {
	res := newResult(&config{})
	res.Engines, res.Workloads = engines(), workloads()
	res.Medians = map[string]map[string]float64{wrk64: {ownOn: 2e5, netHTTP: 7e4}, download: {ownOn: 50, rawOff: 0}}
	d := xml.NewDecoder(strings.NewReader(string(res.chart())))
	bars := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 1+4 {
		t.Errorf("%d bars", bars)
	}
}

// TestGrowthCosts: the names that the floors ask for are those that are measured.
func TestGrowthCosts(t *testing.T) {
	res := newResult(&config{})
	costs := map[growthRun][]float64{}
	for i, n := range growthSizes {
		costs[growthRun{"requests", n}] = []float64{float64(1 + i)}
	}
	res.growthCosts("requests", costs)
	for _, g := range growthPlan(true) {
		res.memory(g, map[string]float64{"idle-rss": 1, "record-heap": 1, "peak-rss-total": 1})
	}
	for _, f := range floors() {
		if f.growth == "" {
			continue
		}
		if _, ok := res.Growth[f.growth]; !ok {
			t.Errorf("%s: nobody measures %q", f.What, f.growth)
		}
	}
	if res.Growth[cost100k] != 3 || res.Growth[cost1M] != 4 {
		t.Errorf("%v", res.Growth)
	}
}
