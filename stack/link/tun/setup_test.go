package tun

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ustack/stack/internal/nstest"
	"ustack/stack/link"
)

func ip(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// needIP skips a test that sets its scene with ip(8).
func needIP(t testing.TB) {
	t.Helper()
	nstest.Require(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip(8) on this system")
	}
}

// The kernel sends nothing of its own on the device, whether it is a host or a router.
// req: P2P-01 P2P-02 P2P-03 P2P-05
func TestQuiet(t *testing.T) {
	nstest.Require(t)
	t.Run("host", testQuiet)
	t.Run("router", func(t *testing.T) {
		setSysctl(t, "ipv6/conf/all/forwarding", "1")
		testQuiet(t)
	})
}

func testQuiet(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		// Addresses of its own: what is left of other tests' connections may still send.
		own4, own6 := netip.MustParsePrefix("10.92.0.1/24"), netip.MustParsePrefix("fd92::1/64")
		c := Config{Offload: m, HostAddr: own4}
		want := []string{own4.String()}
		if nstest.HasIPv6() {
			c.HostAddr6 = own6
			want = append(want, own6.String())
		}
		d := openDevice(t, c)
		deadline := time.Now().Add(1200 * time.Millisecond)
		f := link.NewFrame()
		for time.Now().Before(deadline) {
			ok, err := d.Queues()[0].Read(f)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				t.Fatalf("the kernel sends %x", f.Packet)
			}
			time.Sleep(5 * time.Millisecond)
		}
		ifi, err := net.InterfaceByName(d.Name())
		if err != nil {
			t.Fatal(err)
		}
		addrs, _ := ifi.Addrs()
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("addresses %q, want %q", got, want)
		}
		if ifi.MTU != 1500 || ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagMulticast != 0 || ifi.Index != d.Index() {
			t.Errorf("%+v", ifi)
		}
	})
}

// An address is usable the moment Open returns: the very first packet gets its answer, which the
// kernel drops for as long as it does not know its own address.
// req: P2P-03
func TestAddressesAreReady(t *testing.T) {
	nstest.Require(t)
	for range 25 {
		d := openDevice(t, Config{MTU: 1400})
		if d.MTU() != 1400 {
			t.Errorf("MTU = %d", d.MTU())
		}
		serve(t, d.Queues()[0])
		families(t, func(t *testing.T, host, peer netip.Addr) {
			c := listenUDP(t, host)
			c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(peer, 7))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
		d.Close()
	}
}

// Each obstacle has its kind, names what is in the way and says what to do.
func TestObstacles(t *testing.T) {
	needIP(t)
	ip(t, "link", "add", "other0", "type", "veth", "peer", "name", "other1")
	defer ip(t, "link", "del", "other0")
	ip(t, "addr", "add", "10.95.0.1/24", "dev", "other0")
	ip(t, "-6", "addr", "add", "fd95::1/64", "dev", "other0", "nodad")
	ip(t, "link", "set", "other0", "up")
	ip(t, "route", "add", "10.96.0.128/25", "dev", "other0")
	ip(t, "route", "add", "10.0.0.0/8", "dev", "other0") // wider ones do not matter
	openDevice(t, Config{Name: "running0", HostAddr: netip.MustParsePrefix("10.97.0.1/24")})

	a, p := netip.MustParseAddr, netip.MustParsePrefix
	for _, c := range []struct {
		name   string
		config Config
		kind   error
		says   string
	}{
		{"host address elsewhere", Config{HostAddr: p("10.95.0.1/28")}, ErrAddrInUse, "10.95.0.1 belongs to other0"},
		{"stack address elsewhere", Config{HostAddr: p("10.90.0.1/24"), Addrs: []netip.Addr{a("10.95.0.1")}}, ErrAddrInUse, "other0"},
		{"IPv6 address elsewhere", Config{HostAddr6: p("fd95::1/64")}, ErrAddrInUse, "fd95::1 belongs to other0"},
		{"same prefix", Config{HostAddr: p("10.95.0.9/24")}, ErrRouteInUse, "10.95.0.0/24 goes to other0"},
		{"same IPv6 prefix", Config{HostAddr6: p("fd95::9/64")}, ErrRouteInUse, "other0"},
		{"part of the prefix", Config{HostAddr: p("10.96.0.1/24")}, ErrRouteInUse, "10.96.0.128/25"},
		{"prefix of another ustack", Config{HostAddr: p("10.97.0.5/24")}, ErrRouteInUse, "running0"},
		{"name of another kind", Config{Name: "other0"}, ErrNotTUN, "veth"},
		{"loopback", Config{Name: "lo"}, ErrNotTUN, "lo exists"},
		{"running", Config{Name: "running0"}, ErrBusy, "running0"},
		{"MTU too small", Config{MTU: 67}, ErrConfig, "67"},
		{"MTU too small for IPv6", Config{MTU: 1279, HostAddr6: host6}, ErrConfig, "1280"},
		{"MTU too large", Config{MTU: 65536}, ErrConfig, "65536"},
		{"name too long", Config{Name: "sixteen-letters-"}, ErrConfig, "sixteen"},
		{"name with slash", Config{Name: "a/b"}, ErrConfig, "slash"},
		{"queues", Config{Queues: 257}, ErrConfig, "257"},
		{"families mixed up", Config{HostAddr: host6}, ErrConfig, "not IPv4"},
		{"families mixed up 6", Config{HostAddr6: host4}, ErrConfig, "not IPv6"},
		{"same address twice", Config{HostAddr: host4, Addrs: []netip.Addr{host4.Addr()}}, ErrConfig, "10.90.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(c.config)
			if err == nil {
				d.Close()
				t.Fatal("no error")
			}
			var e *Error
			if !errors.Is(err, c.kind) || !errors.As(err, &e) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; want %v with %q", err, c.kind, c.says)
			}
			if e.Hint == "" && c.kind != ErrConfig {
				t.Error("no hint")
			}
			if _, err := net.InterfaceByName("ustack0"); err == nil {
				t.Error("the device was left behind")
			}
		})
	}
	openDevice(t, Config{HostAddr: netip.MustParsePrefix("10.98.0.1/24")}) // inside 10.0.0.0/8
}

// Without IPv6 the device works with IPv4 and says so.
func TestWithoutIPv6(t *testing.T) {
	nstest.Require(t)
	if !nstest.HasIPv6() {
		t.Skip("IPv6 is disabled on this system anyway")
	}
	for _, name := range []string{"ipv6/conf/default/disable_ipv6", "ipv6/conf/all/disable_ipv6"} {
		setSysctl(t, name, "1")
	}
	d := openDevice(t, Config{HostAddr: host4, HostAddr6: host6})
	if notes := strings.Join(d.Notes(), "\n"); !strings.Contains(notes, "IPv4 only") {
		t.Errorf("notes %q", notes)
	}
	serve(t, d.Queues()[0])
	c := listenUDP(t, host4.Addr())
	c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(stack4, 7))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// An existing persistent device is used and stays, with what it had.
func TestPersistentDevice(t *testing.T) {
	needIP(t)
	modesTest(t, func(t *testing.T, m Mode) {
		for _, flags := range [][]string{nil, {"multi_queue"}} {
			ip(t, append([]string{"tuntap", "add", "kept0", "mode", "tun"}, flags...)...)
			ip(t, "addr", "add", "10.90.0.1/24", "dev", "kept0")
			ip(t, "link", "set", "kept0", "mtu", "1400", "txqueuelen", "700", "addrgenmode", "random")
			before := ip(t, "-details", "addr", "show", "kept0")

			for range 2 {
				d := openDevice(t, Config{Name: "kept0", Offload: m, MTU: 1300, HostAddr: host4, HostAddr6: host6})
				if d.Made() || d.MTU() != 1300 {
					t.Errorf("Made = %v, MTU = %d, %q", d.Made(), d.MTU(), d.Notes())
				}
				serve(t, d.Queues()[0])
				c := listenUDP(t, host4.Addr())
				c.WriteToUDPAddrPort(nil, netip.AddrPortFrom(stack4, 7))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				d.Close()
			}
			after := ip(t, "-details", "addr", "show", "kept0")
			if settings(before) != settings(after) {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			ip(t, "link", "del", "kept0")
		}
		ip(t, "tuntap", "add", "kept0", "mode", "tun")
		defer ip(t, "link", "del", "kept0")
		if _, err := Open(Config{Name: "kept0", Queues: 2}); !errors.Is(err, ErrConfig) {
			t.Errorf("two queues of one: %v", err)
		}
	})
}

// settings leaves out what an attachment changes for good without harm: header flags of the
// last owner, and the operational state.
func settings(show string) string {
	var keep []string
	fields := strings.Fields(show)
	for i, f := range fields {
		switch {
		case f == "vnet_hdr", f == "pi", f == "on", f == "off", f == "state", i > 0 && fields[i-1] == "state", strings.Contains(f, "LOWER_UP"),
			strings.HasPrefix(f, "<"), i > 0 && (fields[i-1] == "qlen" || fields[i-1] == "qdisc"):
			if strings.HasPrefix(f, "<") {
				keep = append(keep, fmt.Sprint(strings.Contains(f, "MULTICAST"), strings.Contains(f, ",UP"), strings.Contains(f, "NOARP")))
			}
			if i > 0 && fields[i-1] == "qlen" {
				keep = append(keep, "qlen "+f)
			}
		default:
			keep = append(keep, f)
		}
	}
	return strings.Join(keep, " ")
}

// holder opens a device, says so, and waits to be killed.
var holder = nstest.Register("holder", func(args []string) {
	mode, _ := ParseMode(args[1])
	if _, err := Open(Config{Name: args[0], Offload: mode, HostAddr: host4}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("open")
	select {}
})

// After SIGKILL no device is left.
func TestKillRemoves(t *testing.T) {
	modesTest(t, func(t *testing.T, m Mode) {
		nstest.Require(t)
		cmd := nstest.Helper(t, holder, "killed0", m.String())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 5)
		if _, err := io.ReadFull(out, line); string(line) != "open\n" {
			t.Fatalf("helper: %q, %v", line, err)
		}
		if _, err := net.InterfaceByName("killed0"); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		for range 100 {
			if _, err = net.InterfaceByName("killed0"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("the device outlives its process")
	})
}

// user is what an ordinary user gets from Open; its arguments are the uid, the device node's
// mode (or none, for no node at all), the device and whether to send.
var user = nstest.Register("user", func(args []string) {
	say := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(0)
		}
	}
	var uid, mode int
	fmt.Sscan(args[0], &uid)
	runtime.LockOSThread() // the mounts are of this thread
	say(unix.Unshare(unix.CLONE_NEWNS))
	say(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	say(unix.Mount("none", "/dev/net", "tmpfs", 0, ""))
	if _, err := fmt.Sscanf(args[1], "%o", &mode); err == nil {
		say(unix.Mknod("/dev/net/tun", unix.S_IFCHR, int(unix.Mkdev(10, 200))))
		say(unix.Chmod("/dev/net/tun", uint32(mode)))
	}
	say(syscall.Setgroups(nil))
	say(syscall.Setresgid(uid, uid, uid))
	say(syscall.Setresuid(uid, uid, uid))
	d, err := Open(Config{Name: args[2], HostAddr: host4})
	var e *Error
	if errors.As(err, &e) {
		fmt.Printf("%v\nhint: %s\n", err, e.Hint)
		return
	}
	say(err)
	fmt.Println("open", d.Made(), d.Virtio(), d.Notes())
	say(d.Queues()[0].Write(linkNone, packet4(stack4, host4.Addr(), 253, nil), noPayload))
	say(d.Close())
})

// A user without rights is told what to do; one who owns a persistent device works with it.
func TestOrdinaryUser(t *testing.T) {
	needIP(t)
	if m, err := os.ReadFile("/proc/self/uid_map"); err != nil || len(strings.Fields(string(m))) < 3 || strings.Fields(string(m))[2] == "1" {
		t.Skip("a user namespace with one user cannot have an ordinary one")
	}
	run := func(args ...string) string {
		out, err := nstest.Helper(t, user, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	ip(t, "tuntap", "add", "mine0", "mode", "tun", "user", "12345")
	defer ip(t, "link", "del", "mine0")
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"no node", []string{"12345", "none", "new0"}, []string{ErrNoTUN.Error(), "modprobe tun", "--device /dev/net/tun"}},
		{"closed node", []string{"12345", "600", "new0"}, []string{ErrTUNMode.Error(), "mode 0600", "chmod 0666"}},
		{"no rights", []string{"12345", "666", "new0"}, []string{ErrNotPermitted.Error(), "ustack demo", "ip tuntap add new0 mode tun user"}},
		{"another's device", []string{"12346", "666", "mine0"}, []string{ErrNotPermitted.Error()}},
		{"own device, not configured", []string{"12345", "666", "mine0"}, []string{ErrNotPermitted.Error(), "ip link set mine0 up"}},
	} {
		out := run(c.args...)
		for _, s := range c.says {
			if !strings.Contains(out, s) {
				t.Errorf("%s: no %q in:\n%s", c.name, s, out)
			}
		}
	}
	ip(t, "link", "set", "mine0", "up")
	if out := run("12345", "666", "mine0"); !strings.Contains(out, "sudo ip addr add 10.90.0.1/24 dev mine0") {
		t.Errorf("own device without address:\n%s", out)
	}
	ip(t, "addr", "add", host4.String(), "dev", "mine0")
	if out := run("12345", "666", "mine0"); !strings.HasPrefix(out, "open false true") {
		t.Errorf("own device:\n%s", out)
	}
	if show := ip(t, "addr", "show", "mine0"); !strings.Contains(show, "10.90.0.1/24") {
		t.Errorf("afterwards:\n%s", show)
	}
}
