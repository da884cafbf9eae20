package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ustack/scripts/netns"
)

// Where serve is by default, and from where its clients come.
const (
	serverAddr = "10.90.0.2"
	clientAddr = "10.90.0.1"
	device     = "ustack0"
	baseURL    = "http://" + serverAddr
)

// stage is where one client meets its server.
type stage struct {
	ctx  context.Context
	c    *config
	dir  string // for what is kept
	work string // for what is not: in memory

	requests int      // as the client counted them
	faults   []string // what was not as it should be
	notes    []string // what else is worth telling

	first  []string // the program that serve and good clients are started with; nil: none
	server *exec.Cmd
	far    *netns.Namespace // the server's, if it is not the clients'
	tally  *tally
	exited chan struct{}
	exit   error // of the server, once exited is closed
	steps  int
}

// newStage makes the directories of a client, without what an earlier run has left in them.
func newStage(ctx context.Context, c *config, work, name string) (*stage, error) {
	s := &stage{ctx: ctx, c: c, dir: filepath.Join(c.out, name), work: filepath.Join(work, name)}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, err
	}
	for _, dir := range []string{s.dir, s.work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// fault notes that something is wrong. The client goes on: one fault may explain the next.
func (s *stage) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func (s *stage) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// want notes a fault unless what was counted is what was expected.
func (s *stage) want(what string, got, want int) {
	if got != want {
		s.fault("%s: %d, want %d", what, got, want)
	}
}

// start starts `ustack serve` with these flags and waits until it says that it serves.
func (s *stage) start(flags ...string) error {
	args := slices.Concat([]string{"serve", "--access-log", "-"}, flags, s.c.flags)
	args = slices.Concat(s.first, []string{s.c.ustack}, args)
	return s.launch(exec.Command(args[0], args[1:]...), "Ctrl-C ends it.\n")
}

// launch starts a server and waits until it says that it is ready.
func (s *stage) launch(cmd *exec.Cmd, ready string) error {
	s.server, s.tally, s.exited = cmd, newTally(filepath.Join(s.dir, "access.log")), make(chan struct{})
	cmd.Stdout, cmd.Stderr = s.tally, s.tally
	if err := cmd.Start(); err != nil {
		s.server = nil
		return err
	}
	go func() { s.exit = cmd.Wait(); close(s.exited) }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(s.tally.words(), ready) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended: %v: %s", s.exit, s.tally.words())
		default:
		}
	}
	return fmt.Errorf("the server does not get ready: %s", s.tally.words())
}

// stop ends the server, which must go in good order; then its log is whole.
func (s *stage) stop() {
	if s.server == nil {
		return
	}
	s.server.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
		if s.exit != nil {
			s.fault("the server ended with %v", s.exit)
		}
	case <-time.After(20 * time.Second):
		s.server.Process.Kill()
		<-s.exited
		s.fault("the server did not end within 20 s of SIGTERM")
	}
	s.server = nil
	if s.far != nil {
		s.far.Close()
	}
	if err := s.tally.close(filepath.Join(s.dir, "server.log")); err != nil {
		s.fault("%v", err)
	}
}

// run runs a program to its end, keeps all that it printed, and returns what it printed to its standard output. It
// notes a fault if the program fails.
func (s *stage) run(limit time.Duration, name string, args ...string) string {
	out, err := s.try(limit, name, args...)
	if err != nil {
		s.fault("%v", err)
	}
	return out
}

// try is run for programs that may fail.
func (s *stage) try(limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %v", limit)
	}
	if kept := s.keep(cmd, stdout.Bytes(), stderr.Bytes()); kept != nil {
		return "", kept
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(name), err, lastLine(stderr.String()+stdout.String()))
	}
	return stdout.String(), err
}

// command prepares a program to run in an environment without proxies, settings or a language.
func (s *stage) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.work
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + s.work, "LC_ALL=C", "TERM=dumb"}
	cmd.WaitDelay = time.Second
	return cmd
}

// keep writes what a program printed to a file of its own, numbered in order.
func (s *stage) keep(cmd *exec.Cmd, stdout, stderr []byte) error {
	s.steps++
	file := filepath.Join(s.dir, fmt.Sprintf("%02d-%s.txt", s.steps, filepath.Base(cmd.Path)))
	line := strings.Join(cmd.Args, " ")
	return os.WriteFile(file, fmt.Appendf(nil, "$ %.2000s\n%s%s", line, stdout, stderr), 0o644)
}

// module returns where a module of npm is.
func (s *stage) module(name string) (string, error) {
	path := filepath.Join(s.c.npm, "node_modules", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w; scripts/setup clients puts it there", err)
	}
	return path, nil
}

// file makes a file of the working directory and returns its path.
func (s *stage) file(name string, data []byte) string {
	path := filepath.Join(s.work, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		s.fault("%v", err)
	}
	return path
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
