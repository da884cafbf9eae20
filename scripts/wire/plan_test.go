package main

import (
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	const cells, pairs = 12, 4
	tests := []struct {
		name string
		c    config
		want int
	}{
		{"all", config{seeds: 3}, 3 * (3*cells + pairs)},
		{"quick", config{seeds: 1, quick: true}, 3*4 + 2},
		{"one cell", config{seeds: 1, cells: "/50ms/1%"}, 3},
		{"no loss is not ten", config{seeds: 1, cells: "/10ms/0%"}, 3},
		{"two of the senders", config{seeds: 1, senders: "kernel,ustack"}, 2*cells + pairs},
		{"nobody to share with", config{seeds: 1, senders: "ustack"}, cells},
		{"fairness", config{seeds: 2, cells: "fair"}, 2 * pairs},
		{"nothing", config{seeds: 1, cells: "7ms"}, 0},
	}
	for _, tt := range tests {
		tt.c.length, tt.c.first = time.Second, 1
		if got := len(tt.c.plan()); got != tt.want {
			t.Errorf("%s: %d trials, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWaves(t *testing.T) {
	list := (&config{seeds: 1, first: 1, length: time.Second}).plan()
	todo := make([]int, len(list))
	for i := range todo {
		todo[i] = i
	}
	for n := 0; len(todo) > 0; todo = todo[n:] {
		n = waveOf(list, todo, 5)
		if n < 1 || n > 5 {
			t.Fatalf("%d trials in a wave of at most 5", n)
		}
		for _, i := range todo[:n] {
			if list[i].Length != list[todo[0]].Length {
				t.Fatalf("in one wave: %v and %v", list[i].Length, list[todo[0]].Length)
			}
		}
	}
}

func TestBetter(t *testing.T) {
	quiet, busy, failed := &outcome{Gap: 1}, &outcome{Gap: 2}, &outcome{Err: "no"}
	order := []*outcome{nil, failed, busy, quiet}
	for i, a := range order[1:] {
		for _, b := range order[:i+1] {
			if !a.betterThan(b) {
				t.Errorf("%+v is not better than %+v", a, b)
			}
			if b != nil && b.betterThan(a) {
				t.Errorf("%+v is better than %+v", b, a)
			}
		}
	}
}

// Another seed lets another sender begin.
func TestOrder(t *testing.T) {
	a := trial{Senders: fairPairs[0], Seed: 1}.order()
	b := trial{Senders: fairPairs[0], Seed: 2}.order()
	if slices.Equal(a, b) || len(a) != 2 || a[0] == a[1] {
		t.Errorf("orders %v and %v", a, b)
	}
}

func TestBDP(t *testing.T) {
	if got := (cell{Rate: rate, RTT: 50 * time.Millisecond}).bdp(); got != 625_000 {
		t.Errorf("bandwidth-delay product %d octets", got)
	}
}
