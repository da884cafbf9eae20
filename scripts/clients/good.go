package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A good client asks for /_/hello now and then and measures how long the whole answer takes.

// goodKinds are the ways in which it does so.
var goodKinds = []struct {
	name    string
	measure func(s *stage) ([]time.Duration, error)
}{
	{"kept", func(s *stage) ([]time.Duration, error) { return s.good(askArgs("kept")) }},
	{"new", func(s *stage) ([]time.Duration, error) { return s.good(askArgs("new")) }},
	{"curl", func(s *stage) ([]time.Duration, error) { return s.good(curlArgs, nil) }},
}

const (
	goodAsks  = 150              // requests of one measurement
	goodPause = time.Millisecond // between them
	goodLimit = 5 * time.Second  // no answer may take longer
)

// curlArgs let one curl ask again and again, on a new connection each time, and print how long each answer took.
var curlArgs = []string{
	"curl", "-sS", "-H", "Connection: close", "-m", strconv.Itoa(int(goodLimit.Seconds())), "-o", "hello",
	"-w", "%{http_code} %{size_download} %{time_total}\n", helloURL + "?[1-" + strconv.Itoa(goodAsks) + "]",
}

// askCommand makes this program a good client: `clients ask kept|new` prints what curl does.
const askCommand = "ask"

func askArgs(kind string) ([]string, error) {
	self, err := os.Executable()
	return []string{self, askCommand, kind}, err
}

// good runs a good client and returns how long its answers took.
func (s *stage) good(args []string, err error) ([]time.Duration, error) {
	if err != nil {
		return nil, err
	}
	args = slices.Concat(s.first, args)
	out, err := s.try(time.Minute, args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for line := range strings.Lines(out) {
		var code, size int
		var seconds float64
		if _, err := fmt.Sscan(line, &code, &size, &seconds); err != nil || code != http.StatusOK || size != len(helloBody) {
			return nil, fmt.Errorf("the good client says %q", line)
		}
		times = append(times, time.Duration(seconds*float64(time.Second)))
	}
	if len(times) != goodAsks {
		return nil, fmt.Errorf("the good client made %d of %d requests", len(times), goodAsks)
	}
	return times, nil
}

// ask measures requests on one connection, or on a new connection each, whose making counts.
func ask(args []string) error {
	if len(args) != 1 || args[0] != "kept" && args[0] != "new" {
		return errors.New("ask: on a connection that is kept, or on a new one each time?")
	}
	var c net.Conn
	for range goodAsks {
		time.Sleep(goodPause)
		start := time.Now()
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", serverAddr+":80", goodLimit); err != nil {
				return err
			}
		}
		c.SetDeadline(start.Add(goodLimit))
		code, size, err := askOnce(c)
		if err != nil {
			return err
		}
		fmt.Println(code, size, time.Since(start).Seconds())
		if args[0] == "new" {
			c.Close()
			c = nil
		}
	}
	return nil
}

func askOnce(c net.Conn) (code, size int, err error) {
	if _, err := io.WriteString(c, "GET /_/hello HTTP/1.1\r\nHost: "+serverAddr+"\r\n\r\n"); err != nil {
		return 0, 0, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, 0, err
	}
	body, err := io.ReadAll(answer.Body)
	if err == nil && string(body) != helloBody {
		err = fmt.Errorf("/_/hello says %q", body)
	}
	return answer.StatusCode, len(body), err
}

// latency is what one measurement, or the median of several, comes to.
type latency struct{ p50, mean, p99 time.Duration }

// sum makes a latency of what was measured.
func sum(times []time.Duration) latency {
	slices.Sort(times)
	var total time.Duration
	for _, t := range times {
		total += t
	}
	return latency{times[len(times)/2], total / time.Duration(len(times)), times[len(times)*99/100]}
}

// median takes each figure's median over several measurements.
func median(list []latency) latency {
	mid := func(figure func(latency) time.Duration) time.Duration {
		all := make([]time.Duration, 0, len(list))
		for _, l := range list {
			all = append(all, figure(l))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return latency{
		mid(func(l latency) time.Duration { return l.p50 }),
		mid(func(l latency) time.Duration { return l.mean }),
		mid(func(l latency) time.Duration { return l.p99 }),
	}
}
