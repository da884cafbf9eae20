package main

import (
	"bytes"
	"context"
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
		list = append(list, client{r.name, what, []string{"curl"}, r.run})
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
}

// run lets each client upload again and again.
func (r refuser) run(s *stage) error {
	file := s.file("upload", random(make([]byte, uploadSize)))
	if err := r.start(s); err != nil {
		return err
	}
	for _, u := range uploaders {
		whole, failures := 0, map[string]int{}
		for range s.c.tries {
			s.requests++
			if err := u.refused(s, file); err != nil {
				failures[err.Error()]++
			} else {
				whole++
			}
		}
		s.note("%s %d of %d", u.name, whole, s.c.tries)
		if r.all && whole < s.c.tries {
			s.fault("%s: not every refusal was received whole", u.name)
		}
		if err := s.tell(u.name, failures); err != nil {
			return err
		}
	}
	return nil
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

// tell keeps what went wrong, and how often.
func (s *stage) tell(name string, failures map[string]int) error {
	if len(failures) == 0 {
		return nil
	}
	var b strings.Builder
	for text, n := range failures {
		fmt.Fprintf(&b, "%4d  %s\n", n, text)
	}
	return os.WriteFile(filepath.Join(s.dir, strings.ReplaceAll(name, " ", "-")+".txt"), []byte(b.String()), 0o644)
}

// curlRefused uploads with curl, which waits for 100 Continue by itself before it sends so much.
func curlRefused(s *stage, file string, args ...string) (int, []byte, error) {
	answer := filepath.Join(s.work, "answer")
	os.Remove(answer)
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	cmd := s.command(ctx, "curl", append([]string{"-sS", "-X", "POST", "-T", file, "-o", answer, "-w", "%{http_code}", baseURL + "/"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	status, err := strconv.Atoi(string(out))
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
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
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
