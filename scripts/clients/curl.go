package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ustack/scripts/sequence"
)

// curls are what curl does.
func curls() []client {
	tools := []string{"curl"}
	return []client{
		{"curl", "80 addresses and 256 MiB over one connection", tools, curlPersistent},
		{"curl-parallel", "-Z --parallel-max 4, 400 addresses", tools, curlParallel},
		{"curl-http1.0", "--http1.0, without keep-alive and with", tools, curlOld},
		{"curl-ranges", "ranges, and a download that broke off and goes on", tools, curlRanges},
		{"curl-upload", "100 MiB by PUT, POST and chunked, with Expect and without", tools, curlUpload},
	}
}

// report is what curl tells of each transfer.
const report = `%{num_connects} %{http_code} %{size_download} %{url_effective}\n`

// curl runs curl, which counts its transfers as requests, and returns how many connections it made.
func (s *stage) curl(limit time.Duration, args ...string) (connects int) {
	out := s.run(limit, "curl", append([]string{"-sS", "-w", report}, args...)...)
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 4 {
			s.fault("curl says %q", line)
			continue
		}
		s.requests++
		n, _ := strconv.Atoi(fields[0])
		connects += n
		if fields[1] != "200" && fields[1] != "206" {
			s.fault("%s: status %s", fields[3], fields[1])
		}
	}
	return connects
}

// content compares a file with what it is to hold.
func (s *stage) content(name string, want []byte) {
	got, err := os.ReadFile(filepath.Join(s.work, name))
	if err != nil {
		s.fault("%v", err)
		return
	}
	if !bytes.Equal(got, want) {
		s.fault("%s has %d octets that are not the %d expected", name, len(got), len(want))
	}
}

// answered expects as many answers in the server's log as the client counted, all of them good.
func (s *stage) answered() {
	s.stop()
	s.want("answers in the server's log", s.tally.count(all), s.requests)
	s.want("errors in the server's log", s.tally.count(failed), 0)
}

func curlPersistent(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	const big = 256 << 20
	connects := s.curl(time.Minute,
		baseURL+"/_/objects/40/[0-39]", "-o", "tile-#1",
		baseURL+"/_/bytes/[1000-1039]", "-o", "bytes-#1",
		baseURL+"/_/bytes/"+strconv.Itoa(big), "-o", "big")
	s.want("connections", connects, 1)
	s.want("transfers", s.requests, 81)
	s.tiles(40)
	s.byteFiles(1000, 1039)
	f, err := os.Open(filepath.Join(s.work, "big"))
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := sequence.Read(f); err != nil || n != big {
		s.fault("%d of %d octets are right: %v", n, big, err)
	}
	s.answered()
	return nil
}

// tiles expects n files tile-0, tile-1, …
func (s *stage) tiles(n int) {
	for i := range n {
		body, err := os.ReadFile(filepath.Join(s.work, "tile-"+strconv.Itoa(i)))
		if err == nil {
			err = checkTile(body, i)
		}
		if err != nil {
			s.fault("%v", err)
		}
	}
}

// byteFiles expects files bytes-N that hold the first N octets of the sequence, N from first to last.
func (s *stage) byteFiles(first, last int) {
	for n := first; n <= last; n++ {
		s.content("bytes-"+strconv.Itoa(n), sequence.First(n))
	}
}

func curlParallel(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	const most = 4
	connects := s.curl(time.Minute, "-Z", "--parallel-max", strconv.Itoa(most),
		baseURL+"/_/objects/200/[0-199]", "-o", "tile-#1",
		baseURL+"/_/bytes/[100000-100199]", "-o", "bytes-#1")
	if connects < 2 || connects > most {
		s.fault("%d connections, want 2 to %d", connects, most)
	}
	s.want("transfers", s.requests, 400)
	s.tiles(200)
	s.byteFiles(100_000, 100_199)
	s.note("%d connections", connects)
	s.answered()
	return nil
}

func curlOld(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	const n = 20
	address := fmt.Sprintf("%s/_/bytes/[%d-%d]", baseURL, 500, 500+n-1)
	s.want("connections without keep-alive", s.curl(time.Minute, "--http1.0", address, "-o", "bytes-#1"), n)
	s.byteFiles(500, 500+n-1)
	connects := s.curl(time.Minute, "--http1.0", "-H", "Connection: keep-alive", "-D", "heads",
		fmt.Sprintf("%s/_/bytes/[%d-%d]", baseURL, 600, 600+n-1), "-o", "bytes-#1")
	s.want("connections with keep-alive", connects, 1)
	s.byteFiles(600, 600+n-1)
	heads, err := os.ReadFile(filepath.Join(s.work, "heads"))
	if err != nil {
		return err
	}
	s.want("answers that say keep-alive", strings.Count(strings.ToLower(string(heads)), "\r\nconnection: keep-alive\r\n"), n)
	s.answered()
	s.want("requests of HTTP/1.0", s.tally.count(func(a answer) bool { return a.Proto == "HTTP/1.0" }), 2*n)
	return nil
}

// uploadSize is how much is uploaded at a time, in octets.
const uploadSize = 100 << 20

func curlUpload(s *stage) error {
	if err := s.start(); err != nil {
		return err
	}
	body := random(make([]byte, uploadSize))
	file := s.file("upload", body)
	const noExpect = "Expect:"
	for _, up := range []struct {
		name   string
		expect bool
		args   []string
	}{
		{"PUT", true, []string{"-T", file}},
		{"PUT", false, []string{"-T", file, "-H", noExpect}},
		{"POST", true, []string{"--data-binary", "@" + file}},
		{"POST", false, []string{"--data-binary", "@" + file, "-H", noExpect}},
		{"PUT", true, []string{"-T", "-"}},
		{"PUT", false, []string{"-T", "-", "-H", noExpect}},
	} {
		s.upload(file, up.expect, append(up.args, baseURL+"/_/sink"))
	}
	if err := s.echo(body[:8<<20]); err != nil {
		return err
	}
	s.answered()
	return nil
}

// upload expects the sink to count the whole upload, and 100 Continue if the client waited for it. curl gets the file
// at its standard input as well.
func (s *stage) upload(file string, expect bool, args []string) {
	args = append([]string{"-sS", "-D", "heads", "-H", "Content-Type: application/octet-stream"}, args...)
	out := s.run(time.Minute, "sh", append([]string{"-c", `exec curl "$@" <"$0"`, file}, args...)...)
	s.requests++
	if out != strconv.Itoa(uploadSize)+"\n" {
		s.fault("curl %s: the sink counted %q", strings.Join(args, " "), out)
	}
	heads, err := os.ReadFile(filepath.Join(s.work, "heads"))
	if err != nil {
		s.fault("%v", err)
	}
	if got := bytes.HasPrefix(heads, []byte("HTTP/1.1 100 Continue\r\n")); got != expect {
		s.fault("curl %s: 100 Continue: %v, want %v", strings.Join(args, " "), got, expect)
	}
}

// echo expects the very octets back: the sink only counts.
func (s *stage) echo(body []byte) error {
	s.curl(time.Minute, "--data-binary", "@"+s.file("echo", body), "-H", "Content-Type: application/octet-stream",
		"-o", "echoed", baseURL+"/_/echo")
	got, err := os.ReadFile(filepath.Join(s.work, "echoed"))
	if err != nil {
		return err
	}
	if _, back, ok := bytes.Cut(got, []byte("\r\n\r\n")); !ok || !bytes.Equal(back, body) {
		return errors.New("what /_/echo sent back is not what was sent")
	}
	return nil
}
