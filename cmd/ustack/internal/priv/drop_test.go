package priv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// childEnv names the user that a child process of these tests becomes.
const childEnv = "USTACK_PRIV_TEST_USER"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		child(name)
		return
	}
	os.Exit(m.Run())
}

// child starts threads, drops privileges and prints the status of every thread.
func child(name string) {
	var started, done sync.WaitGroup
	stop := make(chan struct{})
	for range 6 {
		started.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			started.Done()
			<-stop
		})
	}
	started.Wait()
	u, err := Lookup(name)
	if err == nil {
		var notes []string
		notes, err = Drop(u)
		for _, n := range notes {
			fmt.Println("note:", n)
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Printf("thread\n%s", b)
	}
	fmt.Println("setuid(0):", syscall.Setuid(0))
	close(stop)
	done.Wait()
}

// build compiles this test without cgo, as the command is built.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "priv.test")
	cmd := exec.Command("go", "test", "-c", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	// The child may be somebody who cannot enter a private temporary directory.
	for dir := filepath.Dir(bin); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func run(t *testing.T, bin, name string, attr *syscall.SysProcAttr) string {
	t.Helper()
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// checkThreads expects every thread to have the given ids and no privileges whatever.
func checkThreads(t *testing.T, out string, uid, gid int) {
	t.Helper()
	threads := strings.Split(out, "thread\n")[1:]
	if len(threads) < 7 {
		t.Fatalf("only %d threads:\n%s", len(threads), out)
	}
	for _, want := range []string{
		fmt.Sprintf(`Uid:\s+%[1]d\s+%[1]d\s+%[1]d\s+%[1]d\n`, uid),
		fmt.Sprintf(`Gid:\s+%[1]d\s+%[1]d\s+%[1]d\s+%[1]d\n`, gid),
		`CapInh:\s+0+\n`, `CapPrm:\s+0+\n`, `CapEff:\s+0+\n`, `CapBnd:\s+0+\n`, `CapAmb:\s+0+\n`,
		`NoNewPrivs:\s+1\n`,
	} {
		re := regexp.MustCompile(want)
		for i, th := range threads {
			if !re.MatchString(th) {
				t.Errorf("thread %d does not have %s:\n%s", i, want, th)
			}
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func TestDropToUser(t *testing.T) {
	needRoot(t)
	out := run(t, build(t), "nobody", nil)
	u, err := Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	checkThreads(t, out, u.UID, u.GID)
	if strings.Contains(out, "note:") {
		t.Errorf("a note where all could be done:\n%s", out)
	}
	if !strings.Contains(out, "setuid(0): operation not permitted") {
		t.Errorf("root could be had again:\n%s", out)
	}
	if groups := regexp.MustCompile(`Groups:\s+65534 \n`); !groups.MatchString(out) {
		t.Errorf("supplementary groups were left:\n%s", out)
	}
}

func TestDropInUserNamespace(t *testing.T) {
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	probe := exec.Command("true")
	probe.SysProcAttr = attr
	if err := probe.Run(); err != nil && os.Getenv("USTACK_REQUIRE_TUN") == "" {
		t.Skipf("no user namespace is to be had here: %v", err)
	}
	out := run(t, build(t), "nobody", attr)
	checkThreads(t, out, 0, 0)
	if n := strings.Count(out, "note: user nobody (65534) is not mapped in this user namespace"); n != 1 {
		t.Errorf("%d notes about the mapping:\n%s", n, out)
	}
}

func TestDropStaysRootWithoutCapabilities(t *testing.T) {
	needRoot(t)
	checkThreads(t, run(t, build(t), "root", nil), 0, 0)
}

func TestDropAsOrdinaryUser(t *testing.T) {
	needRoot(t)
	out := run(t, build(t), "nobody", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}})
	if !strings.Contains(out, "note: not root: staying user 65533 instead of nobody") {
		t.Errorf("no note:\n%s", out)
	}
	for _, want := range []string{`CapEff:\s+0+\n`, `NoNewPrivs:\s+1\n`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s:\n%s", want, out)
		}
	}
}

func TestLookup(t *testing.T) {
	root, err := Lookup("root")
	if err != nil || root.UID != 0 || root.GID != 0 || root.Name != "root" {
		t.Errorf("root: %+v, %v", root, err)
	}
	if byID, err := Lookup("0"); err != nil || byID.Name != "root" {
		t.Errorf("0: %+v, %v", byID, err)
	}
	if free, err := Lookup("2000000001"); err != nil || free.UID != 2000000001 || free.GID != 2000000001 {
		t.Errorf("2000000001: %+v, %v", free, err)
	}
	for _, name := range []string{"", "no such user", "-1", "99999999999"} {
		if u, err := Lookup(name); err == nil {
			t.Errorf("%q: %+v", name, u)
		}
	}
}

func TestDefault(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		sudo string
		want int
	}{{"", 65534}, {"0", 65534}, {"1", 1}} {
		t.Setenv("SUDO_UID", tt.sudo)
		u, err := Default()
		if err != nil || u.UID != tt.want {
			t.Errorf("SUDO_UID=%q: %+v, %v", tt.sudo, u, err)
		}
	}
}

func TestChown(t *testing.T) {
	needRoot(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (User{Name: "nobody", UID: 65534, GID: 65534}).Chown(f); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 65534 {
		t.Errorf("the file belongs to %d:%d", st.Uid, st.Gid)
	}
}

func TestMapped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "map")
	maps := bytes.Join([][]byte{[]byte("         0       1000          1"), []byte("       100     100000        10"), nil}, []byte("\n"))
	if err := os.WriteFile(file, maps, 0o644); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int]bool{0: true, 1: false, 99: false, 100: true, 109: true, 110: false} {
		if got, err := mapped(file, id); err != nil || got != want {
			t.Errorf("%d: %v, %v", id, got, err)
		}
	}
	if got, err := mapped(filepath.Join(t.TempDir(), "none"), 7); err != nil || !got {
		t.Errorf("without a map: %v, %v", got, err)
	}
}
