package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with a program on it.
type terminal struct {
	*os.File
	cmd *exec.Cmd
	log *logBuffer
}

// openTerminal runs a command of ustack on a terminal of 80 by 24.
func openTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	near, far, err := terminalPair()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	term := &terminal{File: near, cmd: exec.Command(os.Getenv(insideEnv), args...), log: newLogBuffer()}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = far, far, far
	term.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := near.Read(b)
			term.log.Write(b[:n])
			if err != nil { // EIO, once the program has gone
				return
			}
		}
	}()
	t.Cleanup(func() {
		term.cmd.Process.Kill()
		term.cmd.Wait()
		near.Close()
	})
	return term
}

// terminalPair opens both ends of a pseudo-terminal.
func terminalPair() (near, far *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("/dev/ptmx: %w", err)
	}
	near = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		return nil, nil, fmt.Errorf("size of the terminal: %w", err)
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, fmt.Errorf("the terminal's other end: %w", errno)
	}
	return near, os.NewFile(peer, "terminal"), nil
}

// expect waits until the program has written a text.
func (term *terminal) expect(t *testing.T, text string) {
	t.Helper()
	select {
	case <-term.log.seen(text):
	case <-time.After(10 * time.Second):
		t.Fatalf("no %q on the terminal:\n%q", text, term.log)
	}
}

// awaitConnection waits until the server has a connection.
func awaitConnection(t *testing.T) {
	t.Helper()
	for range 100 {
		if ustack(t, "ss", "-H", "state", "established") != "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nobody connects")
}

// TestTopOnTerminal draws the page, takes keys, and leaves the terminal as it was.
func TestTopOnTerminal(t *testing.T) {
	need(t, "curl")
	serve(t)
	slow := exec.Command("curl", "-sS", "--noproxy", "*", "--limit-rate", "500k", "-o", "/dev/null", "http://"+addr4+"/_/bytes/1000000000")
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { slow.Process.Kill(); slow.Wait() }()
	awaitConnection(t)
	// The other commands ask nothing of a terminal.
	plain := openTerminal(t, "ss")
	plain.expect(t, ":80 ")
	if err := plain.cmd.Wait(); err != nil || !strings.HasPrefix(plain.log.String(), "State ") || strings.Contains(plain.log.String(), "\x1b") {
		t.Errorf("%v: %q", err, plain.log)
	}
	term := openTerminal(t, "top", "--interval", "100ms")
	term.expect(t, "\x1b[?1049h") // the alternate screen
	for _, want := range []string{"ustack: connections 1 · half-open 0", host4 + ":", "ESTAB", "█", "q quit"} {
		term.expect(t, want)
	}
	term.Write([]byte(" "))
	term.expect(t, "paused")
	term.Write([]byte("q"))
	term.expect(t, "\x1b[?1049l")
	if err := term.cmd.Wait(); err != nil {
		t.Errorf("top ends with %v", err)
	}
	if strings.Contains(term.log.String(), "panic") {
		t.Errorf("%q", term.log)
	}
}
