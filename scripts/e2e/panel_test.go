package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// screenshotsEnv names a directory that TestPanel leaves its pictures in.
const screenshotsEnv = "USTACK_SCREENSHOTS"

// TestPanel watches lossy downloads in a browser: cwnd changes in the table and in the picture, segments are sent again,
// and the connection goes its way to TIME-WAIT. It goes on for as long as the page needs on a busy machine.
func TestPanel(t *testing.T) {
	b := openTab(t, 1200, 1000)
	s := serve(t, "--impair", "out:loss=2%,delay=10ms,seed=3")
	b.open("http://" + addr4 + "/_/")
	b.await(patience, `document.querySelector('#live')?.textContent === 'live'`)

	finish := keepFetching(t)
	b.await(patience, `document.querySelector('#conns tr.chosen td:nth-of-type(2)')?.textContent === 'ESTABLISHED'
		&& document.querySelector('#events .out') !== null`)
	cwnds, labels := map[string]bool{}, map[string]bool{}
	for end := time.Now().Add(patience); (len(cwnds) < 3 || len(labels) < 5) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		cwnds[eval[string](b, `document.querySelector('#conns tr.chosen td:nth-of-type(4)')?.textContent ?? ''`)] = true
		labels[eval[string](b, `document.querySelector('#windows').getAttribute('aria-label')`)] = true
	}
	if len(cwnds) < 3 || len(labels) < 5 {
		t.Errorf("cwnd does not change: %v, %v", cwnds, labels)
	}
	b.await(patience, `document.querySelector('#events .again') !== null`)
	lookAt(t, b)
	finish()
	b.await(patience, `document.querySelector('#state').textContent === 'TIME-WAIT'
		&& document.querySelector('.machine .now').dataset.state === 'TIME-WAIT'
		&& document.querySelector('#conns tr.chosen td:nth-of-type(2)').textContent === 'TIME-WAIT'`)
	been := eval[string](b, `[...document.querySelectorAll('.machine .been')].map(g => g.dataset.state).join(' ')`)
	for _, state := range []string{"SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1"} {
		if !strings.Contains(been, state) {
			t.Errorf("it did not come by %s: %s", state, been)
		}
	}
	if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 1200 {
		t.Errorf("the page is %d wide", wide)
	}
	endTwice(t, b)
	b.size(400, 800)
	if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 400 {
		t.Errorf("on a telephone the page is %d wide", wide)
	}
	s.stop() // with the stream still open
}

// patience is how long the page may take for what it does within a second on an idle machine.
const patience = 30 * time.Second

// keepFetching fetches one document after the other on one connection, until the function it returns is called: that
// expects the last one, with which the server closes first, and so comes to TIME-WAIT.
func keepFetching(t *testing.T) (finish func()) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr4+":80", patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	enough, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- fetchUntil(c, enough) }()
	return func() {
		t.Helper()
		close(enough)
		c.SetDeadline(time.Now().Add(patience))
		if err := <-done; err != nil {
			t.Fatalf("download: %v", err)
		}
	}
}

// fetchUntil fetches until enough is closed, and returns when the server has closed the connection thereupon.
func fetchUntil(c net.Conn, enough <-chan struct{}) error {
	r := bufio.NewReader(c)
	for last := false; !last; {
		field := ""
		select {
		case <-enough:
			last, field = true, "Connection: close\r\n"
		default:
		}
		if _, err := fmt.Fprintf(c, "GET /_/bytes/300000 HTTP/1.1\r\nHost: %s\r\n%s\r\n", addr4, field); err != nil {
			return err
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != 300000 {
			return fmt.Errorf("%d octets of 300000: %v", n, err)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("after the last answer: %v", err)
	}
	return c.Close()
}

// endTwice tells a store of its own, as the stream may: first that a connection is in no table any more, then of the events
// that led there, then of its last segment once more. None of that makes another connection of it, as a SYN does.
func endTwice(t *testing.T, b *tab) {
	t.Helper()
	got := eval[string](b, `import('/_/panel/store.js?another').then(store => {
		const id = '192.0.2.2:40000>192.0.2.1:80', said = [];
		const table = (...conns) => store.takeTable({ now: 0, more: 0, conns }, 1);
		const trace = (...states) => {
			store.takeTrace({ flows: { [id]: { states: states.map(s => [0, s]) } }, lines: [], skipped: 0, lost: 0 }, 2);
			said.push(store.conns.get(id).path.join(' '));
		};
		trace('LISTEN', 'SYN-RECEIVED', 'ESTABLISHED');
		table({ id, state: 'ESTABLISHED', bytes_in: 0, bytes_out: 0 });
		table();
		trace('FIN-WAIT-1', 'FIN-WAIT-2', 'TIME-WAIT');
		trace();
		trace('LISTEN', 'SYN-RECEIVED');
		table({ id, state: 'SYN-RECEIVED', bytes_in: 0, bytes_out: 0 });
		table();
		table();
		trace();
		return said.join('; ');
	})`)
	const first = "LISTEN SYN-RECEIVED ESTABLISHED"
	const over = first + " FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT"
	if want := first + "; " + over + "; " + over + "; LISTEN SYN-RECEIVED; LISTEN SYN-RECEIVED CLOSED"; got != want {
		t.Errorf("the page makes of the end of a connection\n%s\nwant\n%s", got, want)
	}
}

// lookAt takes pictures in light and dark, and expects the charts to be drawn in them.
func lookAt(t *testing.T, b *tab) {
	t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		drawn := `(id, name) => {
			const c = document.querySelector(id + ' canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
			const probe = document.createElement('canvas').getContext('2d');
			probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
			probe.fillRect(0, 0, 1, 1);
			const want = probe.getImageData(0, 0, 1, 1).data;
			let n = 0;
			for (let i = 0; i < d.length; i += 4) if (d[i] === want[0] && d[i + 1] === want[1] && d[i + 2] === want[2] && d[i + 3] > 200) n++;
			return n;
		}`
		for id, color := range map[string]string{"#windows": "--cwnd", "#sequence": "--flight"} {
			b.await(patience, "("+drawn+")('"+id+"', '"+color+"') >= 50")
		}
		picture := b.screenshot()
		if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
			t.Error(err)
		}
		if dir := os.Getenv(screenshotsEnv); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "panel-"+scheme+".png"), picture, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}
