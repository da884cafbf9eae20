// Package differential runs the same application scripts on three TCPs: ustack, gVisor's netstack and the kernel's. The far end is
// always the kernel's, in a network namespace of the test's own; the test stands on the wire between and writes down what passes.
// What the applications see, what is sent and what is left behind is compared; every difference has to stand, with its reason, in
// docs/differential.md, and every difference that stands there has to occur.
package differential

import (
	"flag"
	"testing"
	"time"

	"ustack/stack/internal/nstest"
)

var (
	show = flag.Bool("show", false, "log what every script did")
	only = flag.String("only", "", "run just the script of this name; what is listed for others is not missed")
)

func TestMain(m *testing.M) { nstest.Main(m) }

// The hosts' addresses: the far end, and behind the wire the three under test.
const far = "far"

var engines = []string{"ustack", "gVisor", "kernel"}

var addr4 = map[string]string{far: "10.97.0.1", "ustack": "10.97.0.2", "gVisor": "10.97.0.3", "kernel": "10.97.0.4"}
var addr6 = map[string]string{far: "fd97::1", "ustack": "fd97::2", "gVisor": "fd97::3", "kernel": "fd97::4"}

func address(host string, v6 bool) string {
	if v6 {
		return addr6[host]
	}
	return addr4[host]
}

// Bounds of a run. Between two steps the wire must be quiet for a while, so that what one step causes does not meet the next.
const (
	quiet          = 40 * time.Millisecond
	patient        = 250 * time.Millisecond // when a run is done again because it went unexpectedly
	unquiet        = 400 * time.Millisecond // how long to wait for quiet, beyond its own length
	stuck          = 8 * time.Second        // a call that takes longer is given up
	together       = 40                     // runs at the same time
	hop            = 10 * time.Millisecond  // from one end of the wire to the other
	few            = 8                      // when they are done again
	retries        = 2
	retransmission = 700 * time.Millisecond // by then all hosts have sent again what was lost
	probeTime      = 500 * time.Millisecond
)
