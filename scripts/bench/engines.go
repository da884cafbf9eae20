package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ustack/scripts/netns"
)

// engine is one way to serve HTTP, in a process of its own.
type engine struct {
	Name string `json:"name"`
	What string `json:"what"` // one line for the legend
	// command makes the server's arguments; the first is a key of tools.programs.
	command []string
	// slow: every packet is of wire size, so bulk transfers are cut short.
	slow bool
	veth bool // else a TUN device that the server makes
	// raw: no TCP, so neither a handler that sleeps nor a fair rate to hold others to.
	raw bool
}

// Names of the engines, as in tables and flags.
const (
	rawOn    = "raw"
	rawOff   = "raw-wire"
	netHTTP  = "kernel-net/http"
	fastHTTP = "kernel-fasthttp"
	gvPlain  = "gvisor-plain"
	gvVirtio = "gvisor-virtio"
	ownOff   = "ustack-off"
	ownOn    = "ustack-on"
	ownOther = "ustack-other"
)

// engines lists everybody in the order they are measured in each round. Nothing is pinned to a
// processor, neither servers nor clients. GOMAXPROCS is what each engine takes by itself: Go's
// default, one per processor, for the kernel's servers and for gVisor, which is slower with the one
// that `serve` would take; for ustack as many as queues, one.
func engines() []engine {
	procs := strconv.Itoa(runtime.NumCPU())
	return []engine{
		{Name: rawOn, raw: true, What: "the device without TCP: a loop that answers, super-segments", command: []string{"self", "server", "raw"}},
		{Name: rawOff, raw: true, slow: true, What: "the same, every packet at most one MTU", command: []string{"self", "server", "raw-wire"}},
		{Name: netHTTP, veth: true, What: "kernel TCP over veth, net/http", command: []string{"self", "server", "net/http"}},
		{Name: fastHTTP, veth: true, What: "kernel TCP over veth, fasthttp", command: []string{"self", "server", "fasthttp"}},
		{Name: gvPlain, slow: true, What: "gVisor netstack as it ships: its fdbased endpoint on a plain TUN, net/http", command: []string{"self", "server", "gvisor"}},
		{Name: gvVirtio, What: "gVisor netstack with a virtio link endpoint: the best a gVisor user could write", command: []string{"ustack", "serve", "--engine", "gvisor", "--offload", "on", "--procs", procs}},
		{Name: ownOff, slow: true, What: "ustack, every packet at most one MTU, checksums our own", command: []string{"ustack", "serve", "--offload", "off"}},
		{Name: ownOn, What: "ustack, super-segments through the device", command: []string{"ustack", "serve", "--offload", "on"}},
	}
}

// variants gives the command what -other and -flags say.
func (c *config) variants(list []engine) []engine {
	extra := strings.Fields(c.flags)
	if c.other != "" {
		return append(list, engine{Name: ownOther, What: strings.Join(append([]string{c.other, "--offload on"}, extra...), " "),
			command: append([]string{"other", "serve", "--offload", "on"}, extra...)})
	}
	for i := range list {
		if e := &list[i]; e.Name == ownOn || e.Name == ownOff {
			e.command = append(e.command, extra...)
			e.What = strings.Join(append([]string{e.What}, extra...), " ")
		}
	}
	return list
}

// running is an engine at work.
type running struct {
	engine
	client *netns.Namespace // where its clients are started
	server *netns.Namespace
	cmd    *exec.Cmd
	log    bytes.Buffer
	exited chan struct{}

	clientCPU time.Duration // of the clients that run has waited for
}

// start starts the engine in fresh namespaces and waits until it answers.
func (e engine) start(ctx context.Context, tools *tools) (*running, error) {
	r := &running{engine: e, exited: make(chan struct{})}
	if err := r.ground(); err != nil {
		return nil, err
	}
	r.cmd = exec.Command(tools.programs[e.command[0]], e.command[1:]...)
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	if err := r.server.Do(r.cmd.Start); err != nil {
		r.leave()
		return nil, fmt.Errorf("start %s: %w", e.Name, err)
	}
	go func() { r.cmd.Wait(); close(r.exited) }()
	if err := r.ready(ctx); err != nil {
		r.stop()
		return nil, fmt.Errorf("%s: %w: %s", e.Name, err, r.log.Bytes())
	}
	return r, nil
}

func (r *running) ground() (err error) {
	if r.client, err = newNamespace(); err != nil {
		return err
	}
	r.server = r.client
	if !r.veth {
		return nil
	}
	if r.server, err = newNamespace(); err != nil {
		return err
	}
	return joinVeth(r.client, r.server)
}

// ready waits for the first answer.
func (r *running) ready(ctx context.Context) error {
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-r.exited:
			return errors.New("the server ended")
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		var out string
		if out, err = r.run(ctx, 2*time.Second, "curl", "-sS", "--noproxy", "*", "-m", "1", baseURL+"/_/hello"); err == nil && out == string(helloBody) {
			return nil
		}
	}
	return fmt.Errorf("no answer within ten seconds: %w", err)
}

// stop ends the server by its process id.
func (r *running) stop() {
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(8 * time.Second):
		r.cmd.Process.Kill()
		<-r.exited
	}
	r.leave()
}

func (r *running) leave() {
	if r.server != r.client {
		r.server.Close()
	}
	r.client.Close()
}

// alive reports an engine that has died.
func (r *running) alive() error {
	select {
	case <-r.exited:
		return fmt.Errorf("%s died: %s", r.Name, tail(r.log.String(), 2000))
	default:
		return nil
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// cpu returns the processor time that the server and its clients have used so far.
func (r *running) cpu() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		return r.clientCPU
	}
	_, after, _ := strings.Cut(string(b), ") ") // the name may contain anything
	fields := strings.Fields(after)
	const user, system = 11, 12
	if len(fields) <= system {
		return r.clientCPU
	}
	u, _ := strconv.Atoi(fields[user])
	k, _ := strconv.Atoi(fields[system])
	return r.clientCPU + time.Duration(u+k)*tick
}

// begin starts a client in the engine's namespace. The result's Wait is the caller's to call.
func (r *running) begin(ctx context.Context, name string, args ...string) (*exec.Cmd, *bytes.Buffer, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out, r.client.Do(cmd.Start)
}

// run runs a client to its end and returns what it printed.
func (r *running) run(ctx context.Context, limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd, out, err := r.begin(ctx, name, args...)
	if err == nil {
		err = cmd.Wait()
		r.clientCPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %v", limit)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(strings.TrimSpace(out.String()), 500))
	}
	return out.String(), err
}
