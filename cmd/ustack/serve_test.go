package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ustack/cmd/ustack/internal/ground"
	"ustack/stack"
	"ustack/stack/link"

	"github.com/spf13/pflag"
)

// planOf makes a plan of a serve command line.
func planOf(t testing.TB, args ...string) (*plan, error) {
	t.Helper()
	f := serveFlags{nodeFlags: nodeFlags{switches: defaultSwitches()}}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.add(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.plan()
}

func TestPlan(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	p, err := planOf(t, "--listen", ":80", "--listen", "10.90.0.2:81?nagle=classic", "--impair", "loss=1%", "--queues", "2", "--procs", "1")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.addrs) != 2 || p.addrs[0] != netip.MustParsePrefix("10.90.0.2/24") || p.addrs[1] != netip.MustParsePrefix("fd90::2/64") {
		t.Errorf("addresses %v", p.addrs)
	}
	if len(p.listeners) != 2 || p.listeners[0].tcp.Nagle == p.listeners[1].tcp.Nagle {
		t.Errorf("listeners %+v", p.listeners)
	}
	if !p.impaired || p.impair.In.Loss != 1 || p.procs != 1 || p.device.Queues != 2 || !p.builtin {
		t.Errorf("plan %+v", p)
	}
	if p, err = planOf(t, "--addr6", ""); err != nil || len(p.addrs) != 1 || p.device.HostAddr6.IsValid() {
		t.Errorf("without IPv6: %+v, %v", p, err)
	}
	t.Setenv("GOMAXPROCS", "3")
	if p, err = planOf(t, "--procs", "1"); err != nil || p.procs != 0 {
		t.Errorf("the environment does not win: %+v, %v", p, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, args := range []string{
		"--addr=10.91.0.2", "--addr=fd90::2", "--addr6=10.90.0.2", "--addr=x", "--host-addr=10.90.0.1", "--host-addr6=fd90::1", "--addr= --addr6=",
		"--offload=maybe", "--impair=loss", "--impair=loss=1% --offload=on", "--engine=bsd", "--engine=kernel --pcap=f", "--engine=kernel --impair=loss=1%",
		"--listen=80", "--listen=10.90.0.3:80", "--procs=-1", "--user=no-such-user", "--listen=",
		"--access-log-format=json", "--access-log=- --access-log-format=clf", "--access-log=- --access-log-format=JSON",
	} {
		p, err := planOf(t, strings.Fields(args)...)
		if u := (*usageError)(nil); err == nil {
			t.Errorf("%s: %+v", args, p)
		} else if ok := errors.As(err, &u); !ok {
			t.Errorf("%s: %v is no usage error", args, err)
		}
	}
}

// quiet is a console that nobody reads.
func quiet() *console { return newConsole(io.Discard, io.Discard) }

// memoryServer starts a server on one end of a memory link and returns a client on the other.
func memoryServer(t testing.TB, args ...string) (*server, *http.Client, *stack.Stack) {
	t.Helper()
	p, err := planOf(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	near, far := link.Pair(link.PairConfig{})
	s, err := prepare(p, quiet(), func(p *nodePlan, c *console) (*node, error) { return newNode(near, p, c) })
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	client, err := stack.New(stack.Config{Links: []link.Link{far}, Addrs: []netip.Prefix{p.device.HostAddr, p.device.HostAddr6}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return s, &http.Client{Transport: &http.Transport{DialContext: client.DialContext}, Timeout: 10 * time.Second}, client
}

func fetchText(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServer(t *testing.T) {
	dir := t.TempDir()
	access, pcap := filepath.Join(dir, "access.log"), filepath.Join(dir, "p.pcapng")
	for _, engine := range []string{"ustack", "gvisor"} {
		t.Run(engine, func(t *testing.T) {
			s, c, _ := memoryServer(t, "--engine", engine, "--access-log", access, "--pcap", pcap, "--listen", ":80", "--listen", ":81?max-requests=1")
			want := []string{"http://10.90.0.2/", "http://[fd90::2]/", "http://10.90.0.2:81/", "http://[fd90::2]:81/"}
			if got := s.urls(); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("urls %q, want %q", got, want)
			}
			for _, u := range s.urls() {
				if got := fetchText(t, c, u+"_/hello"); got != "Hello, World!" {
					t.Errorf("%s: %q", u, got)
				}
			}
			c.CloseIdleConnections()
			if err := s.shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			log, err := os.ReadFile(access)
			if err != nil || bytes.Count(log, []byte("GET /_/hello HTTP/1.1\" 200 13")) < 4 {
				t.Errorf("access log %q, %v", log, err)
			}
			if packets, _, err := countPackets(pcap); err != nil || packets < 4*6 {
				t.Errorf("%d packets in the capture, %v", packets, err)
			}
		})
	}
}

// TestServerFinishes shuts down in the middle of an answer, and expects all of it.
func TestServerFinishes(t *testing.T) {
	s, c, client := memoryServer(t)
	r, err := c.Get("http://10.90.0.2/_/writes/20x1000?gap=20ms")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	done := make(chan error, 1)
	go func() { done <- s.shutdown(context.Background()) }()
	time.Sleep(50 * time.Millisecond)
	if conn, err := client.Dial("tcp", "10.90.0.2:80"); err == nil {
		conn.Close()
		t.Error("a new connection was taken during shutdown")
	}
	if b, err := io.ReadAll(r.Body); err != nil || len(b) != 20_000 {
		t.Errorf("%d octets, %v", len(b), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// failingLink is a link whose device can end by itself.
type failingLink struct {
	link.Link
	broken atomic.Bool
}

var errDevice = errors.New("somebody removed the device")

func (l *failingLink) Queues() []link.Queue {
	return []link.Queue{&failingQueue{l.Link.Queues()[0], l}}
}

func (l *failingLink) fail() {
	l.broken.Store(true)
	l.Link.Queues()[0].Wake()
}

type failingQueue struct {
	link.Queue
	l *failingLink
}

func (q *failingQueue) Read(f *link.Frame) (bool, error) {
	if q.l.broken.Load() {
		return false, errDevice
	}
	return q.Queue.Read(f)
}

// TestServerDeviceFails expects a device that ends by itself to end the server, and to say why.
func TestServerDeviceFails(t *testing.T) {
	near, _ := link.Pair(link.PairConfig{})
	l := &failingLink{Link: near}
	p, err := planOf(t)
	if err != nil {
		t.Fatal(err)
	}
	s, err := prepare(p, quiet(), func(p *nodePlan, c *console) (*node, error) { return newNode(l, p, c) })
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	l.fail()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.wait(ctx); !errors.Is(err, errDevice) {
		t.Errorf("the server ends with %v, want %v", err, errDevice)
	}
}

func TestPrepareRefuses(t *testing.T) {
	near, _ := link.Pair(link.PairConfig{})
	open := func(p *nodePlan, c *console) (*node, error) { return newNode(near, p, c) }
	for args, want := range map[string]string{
		"--root=/nowhere":                      "/nowhere",
		"--access-log=/nowhere/a":              "access log",
		"--pcap=/nowhere/p":                    "--pcap",
		"--listen=:80 --listen=10.90.0.2:80":   "in use",
		"--listen=:80 --listen=0.0.0.0:80":     "in use",
		"--listen=[fd90::2]:8 --listen=:8":     "in use",
		"--listen=[fd90::2]:8 --listen=[::]:8": "in use",
	} {
		p, err := planOf(t, strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := prepare(p, quiet(), open); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// TestMemoryDemo takes the tour without a device.
func TestMemoryDemo(t *testing.T) {
	pcap := filepath.Join(t.TempDir(), "demo.pcapng")
	v, err := newVenue(ground.Memory, pcap, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"_/hello", "_/bytes/1000000"} {
		r, err := http.Get(v.base + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil || n < 13 {
			t.Errorf("%s: %d octets, %v", path, n, err)
		}
	}
	if err := v.close(); err != nil {
		t.Error(err)
	}
	if packets, octets, err := countPackets(pcap); err != nil || packets < 500 || octets < 1_000_000 {
		t.Errorf("%d packets, %d octets, %v", packets, octets, err)
	}
	if c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(v.base, "http://"), "/")); err == nil {
		c.Close()
		t.Error("the relay is still there")
	}
}

func TestRunUsage(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"":                               {exitOK, "Available Commands"},
		"serve --help":                   {exitOK, "--delayed-ack"},
		"serve --nope":                   {exitUsage, "unknown flag"},
		"serve --cc=bbr":                 {exitUsage, "want one of cubic, reno"},
		"serve now":                      {exitUsage, "now"},
		"demo now":                       {exitUsage, "now"},
		"dance":                          {exitUsage, "dance"},
		"serve --spa":                    {exitUsage, "--root DIR"},
		"serve --root=. --header=Date:x": {exitUsage, "settled by each answer"},
		"serve --access-log=- --access-log-format=x": {exitUsage, `--access-log-format "x": want one of combined|common|json`},
		"serve --access-log-format=json":             {exitUsage, "--access-log FILE|-"},
		"serve --addr=10.90.0.x":                     {exitUsage, "10.90.0.x"},
	} {
		var out bytes.Buffer
		if code := run(strings.Fields(args), &out, &out); code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("ustack %s: %d, want %d with %q:\n%s", args, code, want.code, want.text, out.String())
		}
	}
}
