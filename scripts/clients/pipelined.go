package main

import (
	"fmt"
	"strings"
	"time"
)

// pipelined reads a capture with tshark and expects a connection on which at least depth requests had been sent and not
// yet been answered. It notes how many there were at most, and returns how many connections had requests at all.
func (s *stage) pipelined(capture string, depth int) (connections int, err error) {
	out, err := s.try(2*time.Minute, "tshark", "-r", capture, "-Y", "http", "-T", "fields", "-e", "tcp.stream", "-e", "http.request.method", "-e", "http.response.code")
	if err != nil {
		return 0, err
	}
	most, connections, err := deepest(out)
	if err != nil {
		return 0, err
	}
	if most < depth {
		s.fault("at most %d requests were under way on a connection, want %d", most, depth)
	}
	s.note("up to %d requests under way on a connection", most)
	return connections, nil
}

// deepest returns how many requests were under way at most, and on how many connections there were any. Each line is a
// packet: its connection, its requests and its answers, several of a kind separated by commas. In the end all must have
// been answered.
func deepest(packets string) (most, connections int, err error) {
	open := map[string]int{}
	for line := range strings.Lines(packets) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(fields) != 3 {
			return 0, 0, fmt.Errorf("tshark says %q", line)
		}
		n := open[fields[0]] + items(fields[1]) - items(fields[2])
		open[fields[0]], most = n, max(most, n)
	}
	for connection, n := range open {
		if n != 0 {
			return 0, 0, fmt.Errorf("connection %s of the capture ends with %d requests under way", connection, n)
		}
	}
	return most, len(open), nil
}

// items counts what is separated by commas.
func items(list string) int {
	if list == "" {
		return 0
	}
	return 1 + strings.Count(list, ",")
}
