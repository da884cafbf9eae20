package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
)

// keptLog is how much of an access log is kept in a file, in octets. All of it is counted.
const keptLog = 1 << 20

// answer is what the access log tells of an answer, but for who got it and when.
type answer struct {
	Method, Target, Proto string // "-" as Method alone if the request could not be read
	Status                int
	Bytes                 int64 // of content
}

// tally counts the answers of an access log in Common Log Format as it is written, and keeps what is no line of
// the log: what the server says.
type tally struct {
	file string // for the lines; without any there is none

	mu      sync.Mutex
	kept    *os.File
	err     error
	partial []byte
	said    strings.Builder
	counts  map[string]int // by the line from the request on
	size    int64
}

func newTally(file string) *tally { return &tally{file: file, counts: map[string]int{}} }

// Write takes what the server prints.
func (t *tally) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, p...)
	rest := t.partial
	for {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			break
		}
		t.line(line)
		rest = after
	}
	t.partial = append(t.partial[:0], rest...)
	return len(p), nil
}

func (t *tally) line(line []byte) {
	_, request, ok := bytes.Cut(line, []byte(`] "`))
	if !ok || !bytes.Contains(line, []byte(" - - [")) {
		t.said.Write(line)
		t.said.WriteByte('\n')
		return
	}
	t.keep(line)
	t.counts[string(request)]++
}

func (t *tally) keep(line []byte) {
	if t.size += int64(len(line)) + 1; t.size > keptLog || t.err != nil {
		return
	}
	if t.kept == nil {
		if t.kept, t.err = os.Create(t.file); t.err != nil {
			return
		}
	}
	_, t.err = t.kept.Write(append(line, '\n'))
}

// close ends the file of the lines, writes what else the server has said to another, and returns what went wrong.
func (t *tally) close(words string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept != nil {
		t.err = errors.Join(t.err, t.kept.Close())
	}
	return errors.Join(t.err, os.WriteFile(words, []byte(t.said.String()), 0o644))
}

// words returns what the server has said so far.
func (t *tally) words() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.String()
}

// count returns how many answers are such.
func (t *tally) count(such func(a answer) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for line, k := range t.counts {
		if such(parseAnswer(line)) {
			n += k
		}
	}
	return n
}

// parseAnswer reads the end of a line in Common Log Format: `GET /_/hello HTTP/1.1" 200 13`.
func parseAnswer(line string) answer {
	quote := strings.LastIndexByte(line, '"')
	if quote < 0 {
		return answer{Method: line}
	}
	var a answer
	a.Method, a.Target, _ = strings.Cut(line[:quote], " ")
	if space := strings.LastIndexByte(a.Target, ' '); space >= 0 {
		a.Target, a.Proto = a.Target[:space], a.Target[space+1:]
	}
	status, size, _ := strings.Cut(strings.TrimSpace(line[quote+1:]), " ")
	a.Status, _ = strconv.Atoi(status)
	a.Bytes, _ = strconv.ParseInt(size, 10, 64) // "-" is none
	return a
}

// all takes every answer.
func all(answer) bool { return true }

// target takes what was asked of one address.
func target(t string) func(answer) bool { return func(a answer) bool { return a.Target == t } }

// failed takes what was answered with an error.
func failed(a answer) bool { return a.Status >= 400 }
