package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// tab is a page in a headless Chromium that is driven through its DevTools protocol, over a pair of pipes.
type tab struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	session string
	lastID  int
}

// chromium is the command of a browser without a window, with a profile of its own, that looks for nothing but what it
// is told to open. In a container /dev/shm may be too small for it: it keeps what it shares elsewhere.
func chromium(t *testing.T) []string {
	return []string{"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir()}
}

// openTab starts the browser with a page of that size. The end of the test ends it.
func openTab(t *testing.T, width, height int) *tab {
	t.Helper()
	need(t, "chromium")
	commands, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	arguments := append(chromium(t), fmt.Sprintf("--window-size=%d,%d", width, height), "--remote-debugging-pipe", "about:blank")
	cmd := exec.Command(arguments[0], arguments[1:]...)
	cmd.ExtraFiles = []*os.File{commands, answers} // descriptors 3 and 4, as the flag expects
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commands.Close()
	answers.Close()
	b := &tab{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close() // the browser ends with its pipe
		done := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		done.Stop()
		out.Close()
	})
	out.SetReadDeadline(time.Now().Add(3 * time.Minute))
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.size(width, height)
	return b
}

// call calls a method of the protocol and waits for its result.
func (b *tab) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.lastID++
	m, err := json.Marshal(map[string]any{"id": b.lastID, "method": method, "params": params, "sessionId": b.session})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.session == "" {
		m = bytes.Replace(m, []byte(`,"sessionId":""`), nil, 1)
	}
	if _, err := b.in.Write(append(m, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		m, err := b.out.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(m[:len(m)-1], &answer); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		if answer.ID != b.lastID { // an event
			continue
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// open loads a page.
func (b *tab) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

func (b *tab) size(width, height int) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// scheme sets the colours that the reader prefers: light or dark. They come at once, without a transition.
func (b *tab) scheme(name string) {
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{
		{"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
}

// eval returns the value of an expression in the page, or of what it promises.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	var v T
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Text)
	}
	if len(r.Result.Value) > 0 {
		if err := json.Unmarshal(r.Result.Value, &v); err != nil {
			b.t.Fatalf("%s: %v in %s", expression, err, r.Result.Value)
		}
	}
	return v
}

// await evaluates an expression until it is true.
func (b *tab) await(limit time.Duration, expression string) {
	b.t.Helper()
	for end := time.Now().Add(limit); !eval[bool](b, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not true within %v: %s\nthe page says:\n%s", limit, expression, eval[string](b, "document.body.innerText"))
		}
	}
}

// screenshot returns what is seen, as PNG.
func (b *tab) screenshot() []byte {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}
