package e2e

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// TestBrowser lets Chromium load the page of objects in each of its ways, and expects the connections that the server
// counted for it: the page shows them. In the browser's virtual time, which does not wait for timers, durations say nothing.
func TestBrowser(t *testing.T) {
	need(t, "chromium")
	serve(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			arguments := append(chromium(t), "--virtual-time-budget=30000", "--dump-dom", f.url("/_/objects/20?way=all"))
			page := run(t, time.Minute, arguments[0], arguments[1:]...)
			for way, connections := range map[string]int{"serial": 20, "parallel": 20, "persistent": 1} {
				row := regexp.MustCompile(fmt.Sprintf(`<tr><td[^>]*>%s</td><td[^>]*>[^<]*</td><td[^>]*>%d</td>`, way, connections))
				if !row.MatchString(page) {
					t.Errorf("%s: no row with %d connections in\n%s", way, connections, page)
				}
			}
		})
	}
}
