package sequence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// TestFirst holds the sequence to a figure that the server's own description gives.
func TestFirst(t *testing.T) {
	const want = "745a61217910af6538d6c942280e69221b6c78e7cec2f28d9ec70da5b3d59b10" // of 1 MiB, three octets more than a period
	sum := sha256.New()
	sum.Write(First(Period))
	sum.Write(First(1<<20 - Period))
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("SHA-256 of the first MiB is %s, want %s", got, want)
	}
}

func TestRead(t *testing.T) {
	whole := func() io.Reader { return io.MultiReader(bytes.NewReader(First(Period)), bytes.NewReader(First(100))) }
	if n, err := Read(whole()); n != Period+100 || err != nil {
		t.Errorf("%d octets, %v; want %d", n, err, Period+100)
	}
	if n, err := Read(io.MultiReader(whole(), strings.NewReader("x"))); n != Period || err == nil || !strings.HasPrefix(err.Error(), "octet 1048673 is 0x78, ") {
		t.Errorf("with an x behind it: %d, %v", n, err)
	}
	if n, err := Read(strings.NewReader("")); n != 0 || err != nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}
}
