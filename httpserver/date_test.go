package httpserver

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// TestDate: the Date field is that of the second in which the answer was made, or the handler's own.
func TestDate(t *testing.T) { // req: 9110-6.6.1
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/own":
			w.Header().Set("Date", "yesterday")
		case "/none":
			w.Header()["Date"] = nil
		case "/slow":
			time.Sleep(3 * time.Second)
		}
	}
	inWorld(t, h, nil, func(w *world) {
		time.Sleep(300 * time.Millisecond)
		c, _ := w.l.dial()
		for _, pause := range []time.Duration{0, 300 * time.Millisecond, time.Second, 59 * time.Second} {
			time.Sleep(pause)
			now := time.Now().UTC()
			io.WriteString(c, get("/")+get("/404")+get("/slow")+get("/own")+get("/none"))
			time.Sleep(3 * time.Second)
			all := w.answers(arrived(c), "GET", "GET", "GET", "GET", "GET")
			for i, want := range []string{now.Format(http.TimeFormat), now.Format(http.TimeFormat),
				now.Add(3 * time.Second).Format(http.TimeFormat), "yesterday", ""} {
				if got := all[i].Header.Get("Date"); got != want || len(all[i].Header.Values("Date")) > 1 {
					w.t.Errorf("answer %d: %q, want %q", i, all[i].Header.Values("Date"), want)
				}
			}
		}
	})
}
