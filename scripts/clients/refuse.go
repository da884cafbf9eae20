package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ustack/scripts/sequence"
)

// refusal is the error answer: 1 MiB, more than a buffer takes at once.
var refusal = slices.Concat(sequence.First(sequence.Period), sequence.First(1<<20-sequence.Period))

// refusalLimit is how long a refused upload may take.
const refusalLimit = 8 * time.Second

// A refuser is a server whose handler refuses uploads without reading any of them.
type refuser struct {
	name   string
	server string // one of refuseServers
	engine string // one of refuseEngines
	all    bool   // every refusal must be received whole; else it is counted for comparison
}

func refusals() []client {
	var list []client
	for _, r := range []refuser{
		{"refused-httpserver", "httpserver", "ustack", true},
		{"refused-httpserver-k", "httpserver", "kernel", true},
		{"refused-nethttp", "net/http", "ustack", false},
		{"refused-nethttp-k", "net/http", "kernel", false},
	} {
		what := fmt.Sprintf("%s on %s refuses 100 MiB with 1 MiB, received whole", r.server, r.engine)
		list = append(list, client{r.name, what, []string{"curl", "python3"}, r.run})
	}
	return list
}

// uploader uploads a file to a server that refuses it, and returns the status and the whole answer.
type uploader struct {
	name   string
	upload func(s *stage, file string) (status int, body []byte, err error)
}

var uploaders = []uploader{
	{"curl", func(s *stage, file string) (int, []byte, error) { return curlRefused(s, file) }},
	{"curl without Expect", func(s *stage, file string) (int, []byte, error) { return curlRefused(s, file, "-H", "Expect:") }},
	{"Go", func(s *stage, file string) (int, []byte, error) { return goRefused(s, file, nil) }},
	{"Go with Expect", func(s *stage, file string) (int, []byte, error) {
		return goRefused(s, file, http.Header{"Expect": {"100-continue"}})
	}},
	{"Python", pythonRefused},
}

// enoughFailures ends the tries with a server that is there for comparison: each failure takes seconds.
const enoughFailures = 5

// run lets each client upload again and again.
func (r refuser) run(s *stage) error {
	file := s.file("upload", random(make([]byte, uploadSize)))
	if err := r.start(s); err != nil {
		return err
	}
	for _, u := range uploaders {
		whole, tries, failures := 0, 0, map[string]int{}
		for tries < s.c.tries && (r.all || tries-whole < enoughFailures) {
			tries++
			if err := u.refused(s, file); err != nil {
				failures[err.Error()]++
			} else {
				whole++
			}
		}
		s.requests += tries
		s.note("%s %d of %d%s", u.name, whole, tries, tell(failures))
		if r.all && whole < tries {
			s.fault("%s: not every refusal was received whole", u.name)
		}
	}
	return nil
}

// tell says in brackets what went wrong and how often.
func tell(failures map[string]int) string {
	var list []string
	for text, n := range failures {
		list = append(list, fmt.Sprintf("%d × %s", n, text))
	}
	if list == nil {
		return ""
	}
	slices.Sort(list)
	return " (" + strings.Join(list, ", ") + ")"
}

// refused uploads once and expects the refusal, whole.
func (u uploader) refused(s *stage, file string) error {
	status, body, err := u.upload(s, file)
	switch {
	case err != nil:
		return err
	case status != http.StatusRequestEntityTooLarge:
		return fmt.Errorf("status %d", status)
	case !bytes.Equal(body, refusal):
		return fmt.Errorf("%d octets that are not the refusal", len(body))
	}
	return nil
}

// curlRefused uploads with curl, which waits for 100 Continue by itself before it sends so much.
func curlRefused(s *stage, file string, args ...string) (int, []byte, error) {
	answer := filepath.Join(s.work, "answer")
	return programRefused(s, answer, "curl", append([]string{"-sS", "-X", "POST", "-T", file, "-o", answer, "-w", "%{http_code}", baseURL + "/"}, args...)...)
}

//go:embed upload.py
var pythonScript string

// pythonRefused uploads with Python's http.client, which does not look for an answer before it has sent everything.
func pythonRefused(s *stage, file string) (int, []byte, error) {
	answer := filepath.Join(s.work, "answer")
	return programRefused(s, answer, "python3", "-c", pythonScript, serverAddr, file, answer)
}

// programRefused runs a program that prints the status and writes the rest of the answer to a file.
func programRefused(s *stage, answer, name string, args ...string) (int, []byte, error) {
	os.Remove(answer)
	ctx, cancel := context.WithTimeout(s.ctx, refusalLimit)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
	}
	status, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return 0, nil, err
	}
	body, err := os.ReadFile(answer)
	return status, body, err
}

// goRefused uploads with Go's client, on a connection of its own.
func goRefused(s *stage, file string, header http.Header) (int, []byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(s.ctx, refusalLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+"/", f)
	if err != nil {
		return 0, nil, err
	}
	request.ContentLength = uploadSize
	for name, values := range header {
		request.Header[name] = values
	}
	transport := &http.Transport{ExpectContinueTimeout: time.Second}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, innermost(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("after %d octets: %w", len(body), innermost(err))
	}
	return answer.StatusCode, body, nil
}

// innermost returns what is at the bottom of an error, which does not tell ports, so that equal errors count as one.
func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
