package netsim

import (
	"errors"
	"flag"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seedsFlag = flag.Uint64("seeds", 2000, "how many seeds TestSeeds runs")
	seedFlag  = flag.Int64("seed", -1, "the one seed TestSeeds replays")
	fromFlag  = flag.Uint64("from", 0, "the first seed TestSeeds runs")
)

// TestSeeds runs random scenarios. A failure names its seed and is replayed by
//
//	go test ./stack/netsim -run TestSeeds -seed N
//
// and with -v shows every event.
//
// req: 5681-01 U-01 U-06 U-10 U-12 U-18 SHLD-14 MUST-37 SWS-04 5681-16 MUST-16 MUST-65 2018-01 2018-02 7323-01
// 7323-05 7323-08 896-03 ST-F17 ST-LA5
func TestSeeds(t *testing.T) {
	if *seedFlag >= 0 {
		s := Random(uint64(*seedFlag))
		if testing.Verbose() {
			s.Trace(os.Stdout)
		}
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return
	}
	start := time.Now()
	failed := map[string][]uint64{} // seeds by the law they broke
	var mu sync.Mutex
	var next atomic.Uint64
	next.Store(*fromFlag)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1) - 1; seed < *fromFlag+*seedsFlag; seed = next.Add(1) - 1 {
				if err := Random(seed).Run(); err != nil {
					mu.Lock()
					blame(t, failed, seed, err)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	for law, seeds := range failed {
		slices.Sort(seeds)
		t.Errorf("%d seeds break %q: %d", len(seeds), law, seeds[:min(len(seeds), 10)])
	}
	t.Logf("%d seeds in %v", *seedsFlag, time.Since(start).Round(time.Millisecond))
}

// blame puts a seed down under the law that it broke.
func blame(t *testing.T, failed map[string][]uint64, seed uint64, err error) {
	var v *Violation
	if !errors.As(err, &v) {
		t.Errorf("seed %d: %v", seed, err)
		return
	}
	if failed[v.Law] == nil {
		t.Error(err) // in full the first time only
	}
	failed[v.Law] = append(failed[v.Law], seed)
}
