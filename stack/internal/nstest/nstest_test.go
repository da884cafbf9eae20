package nstest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

var hello = Register("hello", func(args []string) {
	ifis, _ := net.Interfaces()
	fmt.Print(args, len(ifis), os.Geteuid())
})

// The namespace has loopback, up, and nothing else; helpers live in it too.
func TestNamespace(t *testing.T) {
	Require(t)
	ifis, err := net.Interfaces()
	if err != nil || len(ifis) != 1 || ifis[0].Name != "lo" || ifis[0].Flags&net.FlagUp == 0 {
		t.Errorf("%+v, %v", ifis, err)
	}
	out, err := Helper(t, hello, "a", "b").Output()
	if err != nil || string(out) != "[a b] 1 0" {
		t.Errorf("helper: %q, %v", out, err)
	}
}

// A failing test fails the run as a whole, and output comes through.
func TestExitCode(t *testing.T) {
	if os.Getenv("NSTEST_FAIL") != "" {
		t.Fatal("as told")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=TestExitCode")
	outside := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envInside+"=") })
	cmd.Env = append(outside, "NSTEST_FAIL=1")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "as told") {
		t.Errorf("%v: %s", err, out)
	}
}

// fakeT records what Require does.
type fakeT struct {
	testing.TB
	said string
}

func (f *fakeT) Helper()                      {}
func (f *fakeT) Fatalf(s string, args ...any) { f.said = "fatal: " + fmt.Sprintf(s, args...) }
func (f *fakeT) Skipf(s string, args ...any)  { f.said = "skip: " + fmt.Sprintf(s, args...) }

func TestRequire(t *testing.T) {
	defer func(old string) { missing = old }(missing)
	for _, c := range []struct{ missing, env, want string }{
		{"", "1", ""},
		{"no luck", "", "skip: "},
		{"no luck", "0", "skip: "},
		{"no luck", "1", "fatal: "},
	} {
		missing = c.missing
		t.Setenv(envRequire, c.env)
		f := new(fakeT)
		Require(f)
		if !strings.HasPrefix(f.said, c.want) || !strings.HasSuffix(f.said, c.missing) {
			t.Errorf("%+v: %q", c, f.said)
		}
	}
}
