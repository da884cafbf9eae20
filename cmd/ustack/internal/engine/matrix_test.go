package engine

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"ustack/stack"
	"ustack/stack/link"
)

// go test -run TestMatrix -seeds 20 is the full matrix.
var seeds = flag.Int("seeds", 3, "how many seeds the lossy links of TestMatrix get")

func TestMain(m *testing.M) {
	flag.Parse()
	// Lossy links wait for timers most of the time, so many fit on one core.
	flag.Set("test.parallel", "12")
	os.Exit(m.Run())
}

// makers start an engine on an end of a link.
var makers = map[string]func(*testing.T, link.Link, []netip.Prefix) Engine{
	"gvisor": newGVisor,
	"ustack": newUStack,
}

func newUStack(t *testing.T, l link.Link, addrs []netip.Prefix) Engine {
	t.Helper()
	e, err := UStack(stack.Config{Links: []link.Link{l}, Addrs: addrs})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, e)
	return e
}

// roles are the pairings: who calls and who is called.
var roles = [][2]string{{"gvisor", "ustack"}, {"ustack", "gvisor"}}

// ways are which sides send: octets up and down are n times these.
var ways = []struct {
	name     string
	up, down int
}{{"up", 1, 0}, {"down", 0, 1}, {"both", 1, 1}}

var families = []string{"10.90.0.2:80", "[fd90::2]:80"}

// matrix runs one exchange between two engines; the client's end of the link is impaired by spec.
func matrix(t *testing.T, role [2]string, c link.PairConfig, spec string, addr string, up, down int) {
	a, b := link.Pair(c)
	closing(t, b)
	var near link.Link = a
	if spec != "" {
		s, err := link.ParseSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		near = link.Impair(a, s)
	}
	closing(t, near)
	client, server := makers[role[0]](t, near, clientAddrs), makers[role[1]](t, b, serverAddrs)
	exchange(t, client, server, "tcp", addr, pattern(up, 1), pattern(down, 2))
	if spec != "" {
		return
	}
	for _, end := range []*link.Memory{a, b} {
		if s := end.Stats(); s.WriteErrors != 0 || s.QueueDrops != 0 {
			t.Errorf("not a clean link: %+v", s)
		}
	}
}

// 64 MiB on a clean link, with and without super-segments.
func TestMatrixClean(t *testing.T) {
	size := 64 << 20
	if testing.Short() {
		size = 4 << 20
	}
	for _, role := range roles {
		for i, way := range ways {
			for j, gso := range []bool{false, true} {
				addr := families[(i+j)%2]
				t.Run(fmt.Sprintf("%s-to-%s/%s/gso=%v", role[0], role[1], way.name, gso), func(t *testing.T) {
					matrix(t, role, link.PairConfig{GSO: gso, QueueLen: 1 << 15}, "", addr, size*way.up, size*way.down)
				})
			}
		}
	}
}

// 8 MiB at 1 % and 2 MiB at 5 % of loss, with reordering and duplication.
func TestMatrixLossy(t *testing.T) {
	links := []struct {
		name, spec string
		size       int
	}{
		{"1%", "loss=1%,reorder=1%,duplicate=0.5%,corrupt=0.1%", 8 << 20},
		// gVisor waits for up to two minutes when one segment is lost again and again: no more than it takes.
		{"5%", "loss=5%,reorder=2%,duplicate=1%,corrupt=0.1%", 512 << 10},
	}
	for _, role := range roles {
		for _, l := range links {
			if testing.Short() {
				l.size /= 8
			}
			for seed := range *seeds {
				way, addr, spec := ways[seed%3], families[seed/3%2], fmt.Sprintf("%s,seed=%d", l.spec, seed+1)
				if seed%2 == 1 {
					spec += ",delay=1ms,jitter=500us"
				}
				t.Run(fmt.Sprintf("%s-to-%s/%s/seed=%d", role[0], role[1], l.name, seed+1), func(t *testing.T) {
					t.Parallel()
					matrix(t, role, link.PairConfig{}, spec, addr, l.size*way.up, l.size*way.down)
				})
			}
		}
	}
}
