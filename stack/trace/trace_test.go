package trace

import (
	"testing"

	"ustack/stack/tcb"
)

// TestTexts: there is a text for everything that can be told.
func TestTexts(t *testing.T) {
	for c := tcb.CauseSYN; c <= tcb.CauseReset; c++ {
		if causeTexts[c] == "" {
			t.Errorf("no text for cause %v", c)
		}
	}
	for h := tcb.HeldIdle; h <= tcb.HeldMTUProbe; h++ {
		if heldTexts[h] == "" {
			t.Errorf("no text for %v", h)
		}
	}
	for p := tcb.SlowStart; p <= tcb.LossRecovery; p++ {
		if phaseTexts[p] == "" {
			t.Errorf("no text for phase %v", p)
		}
	}
}

// TestMillis: three digits that count.
func TestMillis(t *testing.T) {
	for ns, want := range map[tcb.Time]string{50_000: " x 0.05 ms", 1_234_567: " x 1.23 ms", 12_345_678: " x 12.3 ms", 212_400_000: " x 212 ms"} {
		if got := string(appendMillis(nil, " x ", ns)); got != want {
			t.Errorf("%d ns: %q, want %q", ns, got, want)
		}
	}
}
