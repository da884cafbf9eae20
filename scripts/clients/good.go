package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
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
	{"kept", func(*stage) ([]time.Duration, error) { return ask(false) }},
	{"new", func(*stage) ([]time.Duration, error) { return ask(true) }},
	{"curl", curlTimes},
}

const (
	goodAsks  = 200                // requests of one measurement
	goodPause = time.Millisecond   // between them
	goodLimit = 5 * time.Second    // no answer may take longer
	goodAddr  = serverAddr + ":80" // whom it asks
)

// ask measures requests on one connection, or on a new connection each, whose making counts.
func ask(anew bool) ([]time.Duration, error) {
	var c net.Conn
	var r *bufio.Reader
	times := make([]time.Duration, 0, goodAsks)
	for range goodAsks {
		time.Sleep(goodPause)
		start := time.Now()
		if c == nil || anew {
			if c != nil {
				c.Close()
			}
			var err error
			if c, err = net.DialTimeout("tcp", goodAddr, goodLimit); err != nil {
				return nil, err
			}
			r = bufio.NewReader(c)
		}
		c.SetDeadline(start.Add(goodLimit))
		if err := askOnce(c, r); err != nil {
			c.Close()
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	return times, c.Close()
}

func askOnce(c net.Conn, r *bufio.Reader) error {
	if _, err := io.WriteString(c, "GET /_/hello HTTP/1.1\r\nHost: "+serverAddr+"\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || string(body) != helloBody {
		return fmt.Errorf("%s, %q, %v", answer.Status, body, err)
	}
	return nil
}

// curlTimes lets one curl ask again and again, on a new connection each time.
func curlTimes(s *stage) ([]time.Duration, error) {
	const asks = 300
	out, err := s.try(time.Minute, "curl", "-sS", "-H", "Connection: close", "-m", "5", "-o", "hello",
		"-w", "%{http_code} %{size_download} %{time_total}\n", helloURL+"?[1-"+strconv.Itoa(asks)+"]")
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for line := range strings.Lines(out) {
		var code, size int
		var seconds float64
		if _, err := fmt.Sscan(line, &code, &size, &seconds); err != nil || code != http.StatusOK || size != len(helloBody) {
			return nil, fmt.Errorf("curl says %q", line)
		}
		times = append(times, time.Duration(seconds*float64(time.Second)))
	}
	if len(times) != asks {
		return nil, fmt.Errorf("curl made %d of %d requests", len(times), asks)
	}
	return times, nil
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
