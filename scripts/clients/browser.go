package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// browsers is headless Chromium.
func browsers() []client {
	return []client{{"chromium", "the demo site, and a page of 40 objects", []string{"chromium"}, chromium}}
}

// pageTiles is how many objects the page has.
const pageTiles = 40

func chromium(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	home := s.page("/")
	for _, want := range []string{"This page just crossed a TCP you can read", `<ol class="ladder" id="ladder"><li`, ">SYN, ACK<"} {
		if !strings.Contains(home, want) {
			s.fault("/ as its scripts left it is without %q", want)
		}
	}
	objects := s.page("/_/objects/" + strconv.Itoa(pageTiles))
	whole := strconv.Itoa(pageTiles) + " of " + strconv.Itoa(pageTiles)
	if m := loaded.FindStringSubmatch(objects); m == nil || m[1] != whole {
		s.fault("the page of objects says that %q are loaded, want %s", m, whole)
	}
	s.stop()
	s.requests = s.tally.count(all)
	for i := range pageTiles {
		tile := "/_/objects/" + strconv.Itoa(pageTiles) + "/" + strconv.Itoa(i) + "?size=" + strconv.Itoa(tileSize)
		s.want("requests of "+tile, s.tally.count(target(tile)), 1)
	}
	for _, path := range []string{"/", "/style.css", "/wire.js", "/_/objects/" + strconv.Itoa(pageTiles)} {
		s.want("requests of "+path, s.tally.count(target(path)), 1)
	}
	s.want("errors in the server's log", s.tally.count(failed), 0)
	return nil
}

// loaded is what the page of objects says of itself.
var loaded = regexp.MustCompile(`<span[^>]*>loaded</span><b[^>]*>([^<]*)</b>`)

// page loads a page in a browser that knows nothing yet and returns its document, as the scripts have left it.
func (s *stage) page(path string) string {
	return s.run(time.Minute, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--user-data-dir="+s.work+"/profile"+strconv.Itoa(s.steps), "--virtual-time-budget=20000", "--dump-dom", baseURL+path)
}
