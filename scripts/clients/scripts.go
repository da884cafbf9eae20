package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"ustack/scripts/sequence"
)

// scripts are HTTP libraries that pipeline, each driven by a script of ours.
func scripts() []client {
	return []client{
		{"undici", "a Client with pipelining 10: tiles and octets, a POST after every 50", []string{"node", "tshark"}, undici},
		{"Net-Async-HTTP", "pipelining on one connection", []string{"perl", "tshark"}, netAsync},
	}
}

var (
	//go:embed undici.cjs
	undiciScript []byte
	//go:embed pipeline.pl
	perlScript []byte
)

// tallied is what the scripts print: how many requests they made, and what was wrong.
type tallied struct {
	Requests int
	Wrong    []string
}

// scripted runs a script, which compares each answer with what its own request asks for, and expects that many requests
// on one connection, pipelined to that depth at least.
func (s *stage) scripted(requests, depth int, name string, args ...string) error {
	capture := filepath.Join(s.dir, "capture.pcapng")
	if err := s.start("--pcap", capture); err != nil {
		return err
	}
	out, err := s.try(time.Minute, name, args...)
	if err != nil {
		return err
	}
	var r tallied
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return fmt.Errorf("the script says %q: %w", out, err)
	}
	s.requests = r.Requests
	s.want("requests", r.Requests, requests)
	for _, w := range r.Wrong {
		s.fault("%s", w)
	}
	s.answered()
	connections, err := s.pipelined(capture, depth)
	s.want("connections", connections, 1)
	return err
}

func undici(s *stage) error {
	const n, posts, depth = 1000, 20, 10
	module, err := s.module("undici")
	if err != nil {
		return err
	}
	script, octets := s.file("undici.cjs", undiciScript), s.file("sequence", sequence.First(n*37))
	return s.scripted(n+posts, depth, "node", script, module, baseURL, octets, strconv.Itoa(n), strconv.Itoa(depth))
}

func netAsync(s *stage) error {
	const n, depth = 300, 3
	script, octets := s.file("pipeline.pl", perlScript), s.file("sequence", sequence.First(n*37))
	return s.scripted(n, depth, "perl", script, baseURL, octets, strconv.Itoa(n))
}
