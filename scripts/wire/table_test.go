package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(tt.of); got != tt.want {
			t.Errorf("median of %v: %v, want %v", tt.of, got, tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	tests := []struct {
		name                string
		own, kernel, gvisor figures
		want                comparison
		short               string
	}{
		{"met", figures{97, 1.1, 1}, figures{100, 1, 1}, figures{90, 0.1, 1}, comparison{0.97, 1.1, kernelName}, ""},
		{"gVisor is the better one", figures{100, 1, 1}, figures{90, 2, 1}, figures{110, 2, 1}, comparison{100. / 110, 0.5, gvisorName}, " goodput"},
		{"too much again", figures{100, 1.2, 1}, figures{100, 1, 1}, figures{90, 9, 1}, comparison{1, 1.2, kernelName}, " rexmit"},
		{"neither sends again", figures{100, 0, 1}, figures{100, 0, 1}, figures{90, 0, 1}, comparison{1, 0, kernelName}, ""},
		{"only we do", figures{10, 1, 1}, figures{100, 0, 1}, figures{90, 9, 1}, comparison{0.1, -1, kernelName}, " goodput rexmit"},
	}
	for _, tt := range tests {
		c, ok := compareTo(tt.own, map[string]figures{kernelName: tt.kernel, gvisorName: tt.gvisor})
		if !ok || c != tt.want || c.short() != tt.short {
			t.Errorf("%s: %+v %q, %v, want %+v %q", tt.name, c, c.short(), ok, tt.want, tt.short)
		}
	}
	if _, ok := compareTo(figures{}, nil); ok {
		t.Error("a comparison with nobody")
	}
}

// alone is a trial of one sender.
func alone(c cell, sender string, goodput float64, again int64) outcome {
	return outcome{trial: trial{Cell: c, Senders: []string{sender}}, Flows: []reading{{Sender: sender, Goodput: goodput, Delivered: 1000, Again: again}}}
}

func TestTables(t *testing.T) {
	good, bad := cell{Rate: rate, RTT: 10 * time.Millisecond}, cell{Rate: rate, RTT: 50 * time.Millisecond, Loss: 1}
	pair := func(own, kernel float64) outcome {
		return outcome{trial: trial{Cell: good, Senders: fairPairs[0]}, Flows: []reading{{Goodput: own}, {Goodput: kernel}}}
	}
	failed := alone(good, ustackName, 1, 0)
	failed.Err = "void"
	tests := []struct {
		name   string
		trials []outcome
		short  []string
		text   string
	}{
		{"good", []outcome{alone(good, kernelName, 90, 0), alone(good, ustackName, 90, 0), pair(45, 45)}, nil, "0 of 2 rows"},
		{"slow in one cell", []outcome{alone(good, kernelName, 90, 0), alone(good, ustackName, 90, 0),
			alone(bad, kernelName, 9, 1), alone(bad, ustackName, 8, 1)}, []string{bad.String() + ": goodput"}, "1 of 2 rows"},
		{"the median of three counts", []outcome{alone(bad, kernelName, 9, 1), alone(bad, ustackName, 1, 1),
			alone(bad, ustackName, 9, 1), alone(bad, ustackName, 10, 1)}, nil, "0 of 1 rows"},
		{"a failure does not count", []outcome{alone(good, kernelName, 90, 0), failed}, nil, "FAILED"},
		{"greedy", []outcome{pair(70, 30)}, []string{"beside kernel"}, "SHORT"},
		{"meek", []outcome{pair(30, 70)}, []string{"beside kernel"}, "SHORT"},
	}
	for _, tt := range tests {
		res := newResult(&config{parallel: 1})
		res.Trials = tt.trials
		var b bytes.Buffer
		res.goodputTable(&b)
		res.fairTable(&b)
		res.verdict(&b)
		if len(res.Short) != len(tt.short) || len(tt.short) > 0 && !strings.Contains(res.Short[0], tt.short[0]) {
			t.Errorf("%s: short of %q, want %q", tt.name, res.Short, tt.short)
		}
		if failed := res.failed() != nil; failed != strings.Contains(tt.text, "FAILED") {
			t.Errorf("%s: failed: %v", tt.name, res.failed())
		}
		if !strings.Contains(b.String(), tt.text) {
			t.Errorf("%s: no %q in\n%s", tt.name, tt.text, b.String())
		}
	}
}
