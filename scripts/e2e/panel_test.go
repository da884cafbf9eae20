package e2e

import (
	"bytes"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// screenshotsEnv names a directory that TestPanel leaves its pictures in.
const screenshotsEnv = "USTACK_SCREENSHOTS"

// TestPanel watches a lossy download in a browser: cwnd changes in the table and in the picture, segments are sent again,
// and the connection goes its way to TIME-WAIT.
func TestPanel(t *testing.T) {
	b := openTab(t, 1200, 1000)
	need(t, "curl")
	s := serve(t, "--impair", "out:loss=2%,delay=10ms,seed=3")
	b.open("http://" + addr4 + "/_/")
	b.await(10*time.Second, `document.querySelector('#live')?.textContent === 'live'`)

	// By HTTP/1.0 the server closes first, and so comes to TIME-WAIT.
	download := exec.Command("curl", "-sS", "--noproxy", "*", "-0", "--limit-rate", "1M", "-o", "/dev/null", "http://"+addr4+"/_/bytes/4000000")
	if err := download.Start(); err != nil {
		t.Fatal(err)
	}
	b.await(10*time.Second, `document.querySelector('#conns tr.chosen td:nth-of-type(2)')?.textContent === 'ESTABLISHED'
		&& document.querySelector('#events .out') !== null`)
	cwnds, labels := map[string]bool{}, map[string]bool{}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		cwnds[eval[string](b, `document.querySelector('#conns tr.chosen td:nth-of-type(4)')?.textContent ?? ''`)] = true
		labels[eval[string](b, `document.querySelector('#windows').getAttribute('aria-label')`)] = true
	}
	if len(cwnds) < 3 || len(labels) < 5 {
		t.Errorf("cwnd does not change: %v, %v", cwnds, labels)
	}
	b.await(10*time.Second, `document.querySelector('#events .again') !== null`)
	lookAt(t, b)
	if err := download.Wait(); err != nil {
		t.Fatalf("curl: %v", err)
	}
	b.await(20*time.Second, `document.querySelector('#state').textContent === 'TIME-WAIT'
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
	b.size(400, 800)
	if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 400 {
		t.Errorf("on a telephone the page is %d wide", wide)
	}
	s.stop() // with the stream still open
}

// lookAt takes pictures in light and dark, and expects the charts to be drawn in them.
func lookAt(t *testing.T, b *tab) {
	t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		time.Sleep(300 * time.Millisecond)
		picture := b.screenshot()
		if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
			t.Error(err)
		}
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
			if n := eval[int](b, "("+drawn+")('"+id+"', '"+color+"')"); n < 50 {
				t.Errorf("%s: %d dots of the curve in %s", scheme, n, id)
			}
		}
		if dir := os.Getenv(screenshotsEnv); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "panel-"+scheme+".png"), picture, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}
