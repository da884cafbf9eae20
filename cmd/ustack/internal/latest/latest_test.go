package latest

import (
	"slices"
	"testing"
)

func TestList(t *testing.T) {
	l := New[int](3)
	for i := range 8 {
		*l.Place() = i
		var want []int
		for x := max(i-2, 0); x <= i; x++ {
			want = append(want, x)
		}
		if got := l.Slice(); !slices.Equal(got, want) || l.Forgotten() != uint64(i+1-len(want)) {
			t.Errorf("after %d: %v, want %v; %d are forgotten", i, got, want, l.Forgotten())
		}
	}
}

// TestClear: what comes after it is on its own, in the places of before.
func TestClear(t *testing.T) {
	l := New[*int](2)
	for i := range 3 {
		*l.Place() = &i
	}
	l.Clear()
	if l.Len() != 0 || l.Forgotten() != 0 {
		t.Errorf("%d values, %d forgotten", l.Len(), l.Forgotten())
	}
	if p := l.Place(); *p == nil || l.Len() != 1 {
		t.Errorf("%d values, the place is a new one: %v", l.Len(), *p == nil)
	}
}
