package e2e

import (
	"fmt"
	"testing"
	"time"
)

var badLinks = []struct {
	name, impair string
	size         int64
}{
	{"1%", "loss=1%", 8 << 20},
	{"5%", "loss=5%,delay=200us,jitter=100us,reorder=2%,duplicate=1%", 2 << 20},
}

// TestLossServer sends data both ways through a link that loses, reorders and duplicates, the kernel's
// TCP at the other end, and expects every octet.
func TestLossServer(t *testing.T) {
	need(t, "curl")
	for _, c := range badLinks {
		t.Run(c.name, func(t *testing.T) {
			for seed := range pick(3, 20) {
				f := families[seed%2]
				t.Run(fmt.Sprintf("seed=%d %s", seed, f.name), func(t *testing.T) {
					serve(t, "--offload", []string{"auto", "off"}[seed/2%2], "--impair", fmt.Sprintf("%s,seed=%d", c.impair, seed))
					start := time.Now()
					fetch(t, f.url(fmt.Sprintf("/_/bytes/%d", c.size)), c.size, 2*time.Minute)
					down := time.Since(start)
					start = time.Now()
					echoBack(t, f.url("/_/echo"), c.size, 2*time.Minute)
					t.Logf("server: down %v, there and back %v", down.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
				})
			}
		})
	}
}

// TestLossClient is the same with our TCP dialling the kernel's.
func TestLossClient(t *testing.T) {
	serve(t, "--engine", "kernel")
	for _, c := range badLinks {
		for seed := range pick(3, 20) {
			f := families[seed%2]
			t.Run(fmt.Sprintf("%s seed=%d %s", c.name, seed, f.name), func(t *testing.T) {
				get(t, "--engine", "ustack", "--verify", "--impair", fmt.Sprintf("%s,seed=%d", c.impair, seed), f.url(fmt.Sprintf("/_/bytes/%d", c.size)))
			})
		}
	}
}
