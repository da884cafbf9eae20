package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// dialEnv holds the socket that a child process of these tests dials.
const dialEnv = "USTACK_CONTROL_TEST_DIAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(dialEnv); path != "" {
		_, err := Dial(context.Background(), path, "")
		fmt.Println(err)
		return
	}
	os.Exit(m.Run())
}

// own makes a private directory the only place for sockets.
func own(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root's place is /run, which is not the test's to write to")
	}
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := Open(path, "test0", self(t))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 || ownerOf(info) != os.Geteuid() {
		t.Errorf("%v, %v: want a socket of mode 0600, ours", info.Mode(), err)
	}
	if _, err := Open(path, "test0", self(t)); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second server: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// TestSocketDirectory: without a path the socket gets a directory of its own, and both go at the end.
func TestSocketDirectory(t *testing.T) {
	base := t.TempDir()
	s, err := openIn(base, "test0", self(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(base, "ustack-test0", "control.sock"); s.Path() != want {
		t.Errorf("the socket is %s, want %s", s.Path(), want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
	if err := os.WriteFile(filepath.Join(base, "ustack-test1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openIn(base, "test1", self(t)); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a file in the directory's place: %v", err)
	}
}

// TestSocketForOthers: root gives the socket to who started the server, and the directory to whom it becomes.
func TestSocketForOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	who := self(t)
	who.Started.UID, who.Started.GID = 65533, 65533
	who.Serving.UID, who.Serving.GID = 65534, 65534
	base := t.TempDir()
	for range 2 { // the second time the directory is there, and somebody else's
		s, err := openIn(base, "test0", who)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]int{s.Path(): 65533, filepath.Dir(s.Path()): 65534} {
			if info, err := os.Lstat(path); err != nil || ownerOf(info) != want {
				t.Errorf("%s belongs to %d, %v: want %d", path, ownerOf(info), err, want)
			}
		}
		if _, err := openIn(base, "test0", who); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second server: %v", err)
		}
		if info, err := os.Lstat(filepath.Dir(s.Path())); err != nil || ownerOf(info) != 65534 {
			t.Errorf("the second server takes the directory: %d, %v", ownerOf(info), err)
		}
		s.UnixListener.Close() // as if killed
	}
}

func TestStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 2 {
		s, err := Open(path, "test0", self(t))
		if err != nil {
			t.Fatal(err)
		}
		s.UnixListener.Close() // as if killed: the socket stays
	}
	_, err := Dial(t.Context(), path, "")
	if missing := (*NotRunning)(nil); !errors.As(err, &missing) || !missing.Stale {
		t.Errorf("dial a stale socket: %v", err)
	}
}

// TestNotOurs: what is no socket stays, and so does a socket that has come in the place of ours.
func TestNotOurs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, "test0", self(t)); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "dear" {
		t.Errorf("the file is %q, %v", b, err)
	}
	os.Remove(path)
	s, err := Open(path, "test0", self(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("somebody else's socket was removed: %v", err)
	}
	if _, err := Open("@abstract", "test0", self(t)); err == nil {
		t.Error("a socket that everybody may use")
	}
}

// TestFind: a client finds the server by its device, and says where it looked.
func TestFind(t *testing.T) {
	dir := own(t)
	_, err := Dial(t.Context(), "", "test0")
	missing := (*NotRunning)(nil)
	if !errors.As(err, &missing) || missing.Looked[0] != filepath.Join(dir, "ustack-test0", "control.sock") || len(missing.Looked) < 3 {
		t.Fatalf("%v: %+v", err, missing)
	}
	s, err := Open("", "test0", self(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := Dial(t.Context(), "", "test0")
	if err != nil || c.Path() != s.Path() || s.Path() != missing.Looked[0] {
		t.Errorf("%+v, %v: want %s", c, err, s.Path())
	}
}

// TestDenied dials as a user who may not.
func TestDenied(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "s")
	s, err := Open(path, "test0", self(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "dial") // the go command's own directory is private
	if err := os.WriteFile(copied, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), dialEnv+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}}
	out, err := cmd.CombinedOutput()
	if want := path + " belongs to root"; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%q, %v: want %q", out, err, want)
	}
}
