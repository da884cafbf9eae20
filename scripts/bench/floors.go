package main

import (
	"fmt"
	"math"
	"slices"
)

// floor is a promise: a figure of ours, held against another's or against a number.
type floor struct {
	What string `json:"what"`
	// of and over are workload and engine; without over the figure stands for itself. growth names
	// a figure of the memory and growth part instead.
	of, over [2]string
	growth   string
	least    float64 // at least, or
	most     float64 // at most; a least of 0 says which
	unit     string
}

func atLeast(what string, x float64, load, engine, overLoad, overEngine string) floor {
	return floor{What: what, least: x, of: [2]string{load, engine}, over: [2]string{overLoad, overEngine}}
}

func atMost(what string, x float64, load, overEngine string) floor {
	return floor{What: what, most: x, of: [2]string{load, ownOn}, over: [2]string{load, overEngine}}
}

// floors are the promises, in the order of the report.
func floors() []floor {
	return []floor{
		atLeast("download vs gVisor with virtio", 1.6, download, ownOn, download, gvVirtio),
		atLeast("download vs kernel veth net/http", 2.0, download, ownOn, download, netHTTP),
		atLeast("download vs the raw device", 0.65, download, ownOn, download, rawOn),
		atLeast("upload vs gVisor with virtio", 1.3, upload, ownOn, upload, gvVirtio),
		atLeast("upload vs the raw device", 0.9, upload, ownOn, upload, rawOn),
		atLeast("wrk c=64 vs kernel+fasthttp", 1.7, wrk64, ownOn, wrk64, fastHTTP),
		atLeast("wrk c=64 vs kernel+net/http", 1.9, wrk64, ownOn, wrk64, netHTTP),
		atLeast("wrk c=64 vs the raw answering loop", 0.8, wrk64, ownOn, wrk64, rawOn),
		atLeast("wrk c=1 vs kernel+fasthttp", 1.8, wrk1, ownOn, wrk1, fastHTTP),
		atMost("p99 at c=16 vs kernel+fasthttp", 1, p99c16, fastHTTP),
		atMost("p99 at c=1024 vs kernel+fasthttp", 1, p99c1024, fastHTTP),
		{What: "packets the device dropped", most: 0, of: [2]string{drops, ownOn}, unit: "packets"},
		atLeast("16-deep pipelining vs kernel+fasthttp", 1.0, pipelined, ownOn, pipelined, fastHTTP),
		atLeast("16-deep pipelining vs kernel+net/http", 6, pipelined, ownOn, pipelined, netHTTP),
		atLeast("16-deep pipelining vs our own unpipelined", 6, pipelined, ownOn, wrk16, ownOn),
		atLeast("new connections vs kernel net/http", 1.4, newConns, ownOn, newConns, netHTTP),
		atLeast("offload off: download vs raw wire-sized send", 0.8, download, ownOff, download, rawOff),
		atLeast("offload off: download vs gVisor plain", 4, download, ownOff, download, gvPlain),
		atLeast("wrk c=16 beside 100 kept sleepers, of its rate alone", 0.75, sleepKept, ownOn, wrk16, ownOn),
		atLeast("wrk c=16 beside ab -c 100 to sleepers, of its rate alone", 0.75, sleepNew, ownOn, wrk16, ownOn),
		{What: "memory per idle keep-alive connection (RSS at 100 k)", growth: idleBytes, most: 1536, unit: "B"},
		{What: "a million idle connections, each answers one request: peak RSS", growth: millionPeak, most: 2048, unit: "MiB"},
		{What: "TIME-WAIT record with its share of the index", growth: timeWaitBytes, most: 96, unit: "B"},
		{What: "SYN-RECEIVED record", growth: halfOpenBytes, most: 256, unit: "B"},
		{What: "cost per request, 100 k connections vs 10", growth: cost100k, most: 1.6, unit: "×"},
		{What: "cost per request, 1 M connections vs 10", growth: cost1M, most: 2.2, unit: "×"},
	}
}

// verdict is a floor with what was measured.
type verdict struct {
	What  string  `json:"what"`
	Floor string  `json:"floor"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// CPU is the ratio by processor time of server and client together, 0: there is none.
	CPU      float64 `json:"cpu,omitempty"`
	Measured bool    `json:"measured"`
	Met      bool    `json:"met"`
}

// judge holds the result against a floor.
func (f *floor) judge(res *result) verdict {
	v := verdict{What: f.What, Unit: f.unit}
	switch {
	case f.growth != "":
		v.Value, v.Measured = res.Growth[f.growth]
	case f.over[0] == "":
		v.Value, v.Measured = res.worst(f.of)
	default:
		v.Unit = "×"
		v.Value, v.Measured = res.ratio(f.of, f.over)
		v.CPU, _ = res.ratio([2]string{f.over[0] + cpuSuffix, f.over[1]}, [2]string{f.of[0] + cpuSuffix, f.of[1]})
	}
	if f.least > 0 {
		v.Floor = fmt.Sprintf("≥ %g %s", f.least, v.Unit)
		v.Met = v.Measured && v.Value >= f.least
	} else {
		v.Floor = fmt.Sprintf("≤ %g %s", f.most, v.Unit)
		v.Met = v.Measured && v.Value <= f.most
	}
	return v
}

// values returns a figure of every round that has it.
func (res *result) values(of [2]string) []float64 {
	var list []float64
	for _, r := range res.Rounds {
		if v, ok := r[of[0]][of[1]]; ok {
			list = append(list, v)
		}
	}
	return list
}

func (res *result) median(of [2]string) (float64, bool) {
	list := res.values(of)
	return median(list), len(list) > 0
}

// worst is the largest value of all rounds, for what must never happen.
func (res *result) worst(of [2]string) (float64, bool) {
	list := res.values(of)
	if len(list) == 0 {
		return 0, false
	}
	return slices.Max(list), true
}

// ratio is the median of the ratios within each round: what drifts from round to round cancels out.
func (res *result) ratio(of, over [2]string) (float64, bool) {
	var list []float64
	for _, r := range res.Rounds {
		a, okA := r[of[0]][of[1]]
		b, okB := r[over[0]][over[1]]
		if okA && okB && b > 0 {
			list = append(list, a/b)
		}
	}
	return median(list), len(list) > 0
}

// median of no values is 0.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// spread is how far the values lie from their median, at most, as a share of it.
func spread(list []float64) float64 {
	m := median(list)
	if m == 0 {
		return 0
	}
	far := 0.0
	for _, v := range list {
		far = max(far, math.Abs(v-m)/m)
	}
	return far
}
