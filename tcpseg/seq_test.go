package tcpseg

import (
	"testing"
	"testing/quick"
)

func TestSeqAcrossTheWrap(t *testing.T) {
	// req: U-01
	const start Seq = 0xffffff00
	for n := 0; n < 1<<10; n += 7 {
		s := start.Add(n)
		if s.Sub(start) != n || start.Sub(s) != -n {
			t.Fatalf("%d after %d: Sub gives %d and %d", n, start, s.Sub(start), start.Sub(s))
		}
		if start.Less(s) != (n > 0) || !start.LessEq(s) || s.Less(start) || s.LessEq(start) != (n == 0) {
			t.Fatalf("order of %d and %d is wrong", start, s)
		}
		if Max(start, s) != s || Min(start, s) != start || Max(s, start) != s || Min(s, start) != start {
			t.Fatalf("Max or Min of %d and %d is wrong", start, s)
		}
		if s.In(start, start.Add(512)) != (n < 512) || s.In(start, start) {
			t.Fatalf("In of %d octets after the left edge is wrong", n)
		}
	}
}

func TestSeqProperties(t *testing.T) {
	// req: U-01
	f := func(s uint32, d int32) bool {
		a := Seq(s)
		b := a.Add(int(d))
		return b.Sub(a) == int(d) && a.Less(b) == (d > 0) && a.LessEq(b) == (d >= 0)
	}
	if err := quick.Check(f, nil); err != nil {
		t.Error(err)
	}
}
