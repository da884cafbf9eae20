package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// curlRanges asks for parts of a file of --root.
func curlRanges(s *stage) error {
	root := filepath.Join(s.work, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	data := random(make([]byte, 32<<20))
	s.file("root/data.bin", data)
	if err := s.start("--root", root); err != nil {
		return err
	}
	n := len(data)
	for spec, want := range map[string][]byte{
		"0-0":                     data[:1],
		"1000-1999":               data[1000:2000],
		"-500":                    data[n-500:],
		strconv.Itoa(n-77) + "-":  data[n-77:],
		"1000000-999999999999999": data[1_000_000:],
	} {
		s.curl(time.Minute, "-r", spec, "-o", "part", baseURL+"/data.bin")
		s.content("part", want)
	}
	if err := s.manyRanges(data); err != nil {
		return err
	}
	if err := s.resume(data); err != nil {
		return err
	}
	s.answered()
	s.want("answers with a part", s.tally.count(func(a answer) bool { return a.Status == 206 }), s.requests-1)
	return nil
}

// manyRanges expects three parts in one answer.
func (s *stage) manyRanges(data []byte) error {
	s.curl(time.Minute, "-r", "0-99,5000-5999,-10", "-D", "heads", "-o", "parts", baseURL+"/data.bin")
	heads, err := os.ReadFile(filepath.Join(s.work, "heads"))
	if err != nil {
		return err
	}
	body, err := os.ReadFile(filepath.Join(s.work, "parts"))
	if err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(field(heads, "Content-Type"))
	if err != nil {
		return fmt.Errorf("several ranges: %w", err)
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	n := len(data)
	for _, want := range [][2]int{{0, 100}, {5000, 6000}, {n - 10, n}} {
		p, err := r.NextPart()
		if err != nil {
			return fmt.Errorf("several ranges: %w", err)
		}
		got, err := io.ReadAll(p)
		if err != nil {
			return err
		}
		span := fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, n)
		if p.Header.Get("Content-Range") != span || !bytes.Equal(got, data[want[0]:want[1]]) {
			return fmt.Errorf("several ranges: a part says %q, want %q, and has %d octets", p.Header.Get("Content-Range"), span, len(got))
		}
	}
	if _, err := r.NextPart(); err != io.EOF {
		return fmt.Errorf("several ranges: after the last part %v", err)
	}
	return nil
}

// field returns a field of the last head that curl has written to a file.
func field(heads []byte, name string) string {
	value := ""
	for line := range strings.SplitSeq(string(heads), "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && textproto.CanonicalMIMEHeaderKey(n) == name {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// resume breaks a slow download off and lets curl go on where it ended.
func (s *stage) resume(data []byte) error {
	const timedOut = 28 // curl's exit status
	args := []string{"-sS", "--limit-rate", "4M", "--max-time", "1.5", "-o", "whole", baseURL + "/data.bin"}
	_, err := s.try(time.Minute, "curl", args...)
	s.requests++
	if exit := exitStatus(err); exit != timedOut {
		return fmt.Errorf("a download that was to break off ended with %d: %v", exit, err)
	}
	info, err := os.Stat(filepath.Join(s.work, "whole"))
	if err != nil {
		return err
	}
	if info.Size() == 0 || info.Size() >= int64(len(data)) {
		return fmt.Errorf("a download broke off at %d of %d octets", info.Size(), len(data))
	}
	s.curl(time.Minute, "-C", "-", "-o", "whole", baseURL+"/data.bin")
	s.content("whole", data)
	s.note("resumed at %d of %d octets", info.Size(), len(data))
	return nil
}

func exitStatus(err error) int {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
