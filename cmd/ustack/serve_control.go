package main

import (
	"fmt"
	"os"
	"strings"

	"ustack/cmd/ustack/internal/control"
	"ustack/cmd/ustack/internal/priv"
)

// controlOff is the --control of who wants no socket.
const controlOff = "off"

// controlRoom is what others look through into a server: see package control.
type controlRoom struct {
	socket *control.Socket
	server *control.Server
}

// openControl opens the control socket, while there still are the rights to give it to who started the server. A server
// that has not been told where it shall be does without one rather than not serve.
func (s *server) openControl() error {
	if s.plan.control == controlOff {
		return nil
	}
	who, err := s.plan.controlOwners()
	if err != nil {
		return fmt.Errorf("--control: %w", err)
	}
	socket, err := control.Open(s.plan.control, s.plan.device.Name, who)
	switch {
	case err == nil:
	case s.plan.control != "":
		return fmt.Errorf("--control: %w", err)
	default:
		s.console.note("no control socket, so that `ustack ss`, `top` and `trace` find nothing (--control PATH puts it elsewhere): %s",
			strings.ReplaceAll(err.Error(), "\n", "; "))
		return nil
	}
	c := control.Config{Engine: s.plan.engine, Device: s.plan.device.Name, ErrorLog: s.console.logger()}
	if s.node.stack != nil {
		c.Source, c.Hub = s.node.stack, s.node.hub
	}
	s.control = &controlRoom{socket, control.NewServer(c)}
	return nil
}

func (p *plan) controlOwners() (who control.Owners, err error) {
	if who.Started, err = priv.Starter(); err != nil {
		return who, err
	}
	who.Serving = p.user
	if os.Geteuid() != 0 {
		who.Serving = who.Started // and stays so
	}
	return who, nil
}

func (r *controlRoom) start(s *server) {
	if r == nil {
		return
	}
	s.serving.Go(func() {
		if err := r.server.Serve(r.socket); err != nil {
			s.console.note("control socket: %v", err)
		}
	})
}

func (r *controlRoom) close() error {
	if r == nil {
		return nil
	}
	// The socket goes first: nobody new comes in while the streams end.
	err := r.socket.Close()
	r.server.Close()
	return err
}

// flags are what a command needs to find the server.
func (r *controlRoom) flags(p *plan) string {
	switch {
	case p.control != "":
		return " --control " + r.socket.Path()
	case p.device.Name != serveDefaults.tun:
		return " --tun " + p.device.Name
	}
	return ""
}
