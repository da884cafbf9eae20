package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"

	"ustack/httpserver"
	"ustack/scripts/netns"
	"ustack/stack"
	"ustack/stack/link"
	"ustack/stack/link/tun"
)

// refuseCommand makes this program the server that refuses.
const refuseCommand = "refuse"

// refuseReady is what it says when it listens.
const refuseReady = "listening\n"

// webServer is what http.Server and httpserver.Server have in common.
type webServer interface {
	Serve(l net.Listener) error
	Close() error
}

// refuseServers serve the handler.
var refuseServers = map[string]func(h http.Handler) webServer{
	"httpserver": func(h http.Handler) webServer { return &httpserver.Server{Handler: h} },
	"net/http":   func(h http.Handler) webServer { return &http.Server{Handler: h} },
}

// refuseEngines are the TCPs underneath. Each returns what to close in the end.
var refuseEngines = map[string]func() (net.Listener, func() error, error){
	"ustack": listenOwn,
	"kernel": listenKernel,
}

// serveRefusals serves until ctx is done: `clients refuse SERVER ENGINE`.
func serveRefusals(ctx context.Context, args []string) error {
	if len(args) != 2 || refuseServers[args[0]] == nil || refuseEngines[args[1]] == nil {
		return errors.New("refuse: which server, and on which engine?")
	}
	ln, end, err := refuseEngines[args[1]]()
	if err != nil {
		return err
	}
	web := refuseServers[args[0]](http.HandlerFunc(refuse))
	context.AfterFunc(ctx, func() { web.Close() })
	fmt.Print(refuseReady)
	err = web.Serve(ln)
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, end())
}

// refuse is the handler: an error and nothing read.
func refuse(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(refusal)))
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	w.Write(refusal)
}

func listenOwn() (net.Listener, func() error, error) {
	d, err := tun.Open(tun.Config{Name: device, HostAddr: netip.MustParsePrefix(clientAddr + "/24")})
	if err != nil {
		return nil, nil, err
	}
	s, err := stack.New(stack.Config{Links: []link.Link{d}, Addrs: []netip.Prefix{netip.MustParsePrefix(serverAddr + "/24")}})
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	ln, err := s.Listen("tcp", ":80")
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return ln, s.Close, nil
}

func listenKernel() (net.Listener, func() error, error) {
	ln, err := net.Listen("tcp4", serverAddr+":80")
	return ln, func() error { return nil }, err
}

// start starts the server: ustack beside the client, the kernel in a namespace of its own, at the other end of a veth.
func (r refuser) start(s *stage) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, refuseCommand, r.server, r.engine)
	if r.engine == "ustack" {
		return s.launch(cmd, refuseReady)
	}
	if s.far, err = netns.New(); err != nil {
		return err
	}
	near, far := netns.End{Device: device, Addr: clientAddr + "/24"}, netns.End{Device: "server0", Addr: serverAddr + "/24"}
	if err := netns.Join(near, s.far, far); err != nil {
		return err
	}
	return s.far.Do(func() error { return s.launch(cmd, refuseReady) })
}
