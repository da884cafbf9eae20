package stack

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/link"
)

// lockedText is a text that is read while it is written.
type lockedText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestLife: the logger hears of the beginning and the end, and of what runs short: once, and again later.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text lockedText
		h := newHosts(t, link.PairConfig{}, func(cfg *Config) {
			if cfg.Addrs[0].Addr() == netip.MustParseAddr(addrB4) {
				cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
			}
		})
		l, err := (&ListenConfig{Stack: h.b, Backlog: 1}).Listen(context.Background(), "tcp", addrB4+":80")
		if err != nil {
			t.Fatal(err)
		}
		crowd := func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			for range 5 {
				go h.a.DialContext(ctx, "tcp", addrB4+":80")
			}
			<-ctx.Done()
		}
		crowd()
		crowd()
		synctest.Wait()
		short := `level=WARN msg="connections are dropped: nobody accepts them fast enough"`
		if n := strings.Count(text.String(), short); n != 1 {
			t.Errorf("%d warnings within ten seconds:\n%s", n, text.String())
		}
		time.Sleep(time.Minute)
		crowd()
		l.Close()
		h.b.Close()
		want := `level=INFO msg="link up" mtu=\d+ queues=1
.*level=INFO msg="stack started" addrs=.*
.*level=INFO msg=listening addr=10\..*:80
(.*level=WARN .*\n)+.*level=INFO msg="listener closed" addr=10\..*:80
.*level=INFO msg="stack closed" after=1m\S+ segments_in=\d+ segments_out=\d+
$`
		if !regexp.MustCompile(want).MatchString(text.String()) || strings.Count(text.String(), short) < 2 {
			t.Errorf("%s", text.String())
		}
	})
}
