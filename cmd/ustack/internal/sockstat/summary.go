package sockstat

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"ustack/cmd/ustack/internal/control"
	"ustack/stack/trace"
)

// WriteSummary writes what `ss -s` would, and the counters behind it.
func WriteSummary(w io.Writer, s *control.Stats) error {
	b := &errWriter{w: w}
	b.printf("TCP: connections %d, half-open %d, TIME-WAIT %d; listeners %d, to accept %d; queues hold %d of %d octets\n",
		s.Conns, s.HalfOpen, s.TimeWait, s.Listeners, s.Waiting, s.MemoryUsed, s.MemoryBudget)
	for i, l := range s.Links {
		b.printf("link %d: in %d packets, %d octets, out %d packets, %d octets; lost %d in the queue, %d on writing\n",
			i, l.RxPackets, l.RxBytes, l.TxPackets, l.TxBytes, l.QueueDrops, l.WriteErrors)
	}
	b.counters("counters", s.Counters, func(string) string { return "" })
	b.counters("drops", s.Drops, trace.Section)
	return b.err
}

func (b *errWriter) counters(title string, m map[string]uint64, note func(string) string) {
	if len(m) == 0 {
		return
	}
	b.printf("%s:\n", title)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b.printf("  %12d  %s", m[name], name)
		if n := note(name); n != "" {
			b.printf(" (%s)", n)
		}
		b.printf("\n")
	}
}

// errWriter remembers the first error.
type errWriter struct {
	w   io.Writer
	err error
}

func (b *errWriter) printf(format string, args ...any) {
	if b.err == nil {
		_, b.err = fmt.Fprintf(b.w, format, args...)
	}
}
