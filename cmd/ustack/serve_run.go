package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"ustack/cmd/ustack/internal/priv"
	"ustack/cmd/ustack/internal/site"
	"ustack/httpserver"
	"ustack/stack"
)

// serve does what p says until a signal ends it.
func serve(p *plan, c *console) error {
	if p.procs > 0 {
		runtime.GOMAXPROCS(p.procs)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	s, err := prepare(p, c, openNode)
	if err != nil {
		return err
	}
	if err := s.openControl(); err != nil {
		return errors.Join(err, s.shutdown(context.Background()))
	}
	notes, err := priv.Drop(p.user)
	for _, n := range notes {
		c.note("%s", n)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("giving up root: %w", err), s.shutdown(context.Background()))
	}
	if err := p.checkDirectories(); err != nil {
		return errors.Join(err, s.shutdown(context.Background()))
	}
	defer s.log.reopenOnSignal(p, c)()
	s.start()
	s.introduce()
	ctx, stop := context.WithCancelCause(context.Background())
	go func() {
		sig := <-signals
		c.note("%v: finishing what has begun; once more ends at once", sig)
		stop(nil)
		<-signals
		os.Exit(exitFailed)
	}()
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.shutdown(context.Background())
}

// server is a node with web servers on it.
type server struct {
	plan    *plan
	console *console
	node    *node
	open    []net.Listener // one for each of the plan's
	https   []webServer
	log     *accessLog
	control *controlRoom // nil: none
	serving sync.WaitGroup
	broken  chan error // the first failure while serving
	glass   glass
}

// prepare opens everything that a server needs; nothing is served before start. open makes the node: on
// a device, or on something else.
func prepare(p *plan, c *console, open func(*nodePlan, *console) (*node, error)) (*server, error) {
	s := &server{plan: p, console: c, broken: make(chan error, 1)}
	handler, err := site.Handler(site.Config{
		Root: p.root, Header: p.header, SPA: p.spa, Builtin: p.builtin, Engine: p.engine, More: s.glass.endpoints(),
	})
	if err != nil {
		return nil, err
	}
	if s.log, err = openAccessLog(p, c); err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	if s.node, err = open(p.nodePlan, c); err != nil {
		return nil, errors.Join(err, s.closeLog())
	}
	for _, l := range p.listeners {
		if err := s.listen(&l, handler); err != nil {
			return nil, errors.Join(err, s.shutdown(context.Background()))
		}
	}
	s.traceHTTP()
	s.glass.open(s)
	return s, nil
}

// fastOpenPending is how many clients may send requests with their SYN before they have proved to be there.
const fastOpenPending = 256

// listen opens a listener and makes the web server for it.
func (s *server) listen(l *listener, handler http.Handler) error {
	lc := stack.ListenConfig{Options: &l.tcp, SynCookies: l.synCookies}
	if l.fastOpen {
		lc.FastOpen = fastOpenPending
	}
	ln, err := s.node.listen("tcp", l.address, &lc)
	if errors.Is(err, syscall.EADDRINUSE) {
		return &hintError{err, fmt.Sprintf("port %d is in use already: choose another with --listen :PORT", l.port)}
	}
	if err != nil {
		return err
	}
	if l.serverTiming {
		handler = serverTiming(handler)
	}
	if l.h2c {
		s.open, s.https = append(s.open, ln), append(s.https, s.http2Server(l, handler))
		return nil
	}
	h := &httpserver.Server{
		Handler:           handler,
		IdleTimeout:       l.idleTimeout,
		MaxRequests:       l.maxRequests,
		MaxParallel:       l.maxParallel,
		MinRate:           l.minRate,
		MaxConnsPerClient: l.maxPerClient,
		CloseMode:         l.closeMode,
		ErrorLog:          s.console.logger(),
		// The site and the access log keep nothing of a request.
		ReuseRequests: true,
	}
	if s.log != nil {
		h.AccessLog = s.log.add
	}
	if l.serverTiming {
		h.ConnContext = withStackConn
	}
	s.open, s.https = append(s.open, ln), append(s.https, h)
	return nil
}

// start serves.
func (s *server) start() {
	s.control.start(s)
	for i, ln := range s.open {
		s.serving.Go(func() {
			err := s.https[i].Serve(ln)
			// A listener that was closed under the server went with its device: the node tells why.
			if !errors.Is(err, httpserver.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				s.fail(fmt.Errorf("serve %s: %w", s.plan.listeners[i].address, err))
			}
		})
	}
}

func (s *server) fail(err error) {
	select {
	case s.broken <- err:
	default: // the first failure is the one to tell
	}
}

// wait returns nil when ctx is done, or why serving has ended by itself.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.broken:
		return errors.Join(err, s.shutdown(context.Background()))
	case err := <-s.node.failure():
		ended, cancel := context.WithCancel(ctx)
		cancel()              // nobody can be waited for any more
		_ = s.shutdown(ended) // what fails here fails for the same reason
		return err
	}
}

// shutdown takes nobody new, finishes what has begun, and closes everything. When ctx is done it no
// longer waits for anybody.
func (s *server) shutdown(ctx context.Context) error {
	s.glass.close()
	var err error
	for _, h := range s.https {
		if e := h.Shutdown(ctx); e != nil {
			err = errors.Join(err, e, h.Close())
		}
	}
	// Who watches sees the end.
	err = errors.Join(err, s.node.Close(), s.control.close())
	s.serving.Wait()
	return errors.Join(err, s.closeLog())
}

func (s *server) closeLog() error {
	if s.log == nil {
		return nil
	}
	if err := s.log.close(); err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	return nil
}

// urls returns where the site is, the first listener's addresses first.
func (s *server) urls() []string {
	var urls []string
	for _, l := range s.plan.listeners {
		host, port, err := net.SplitHostPort(l.address)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			urls = append(urls, siteURL(a, port))
			continue
		}
		for _, a := range s.plan.addrs {
			urls = append(urls, siteURL(a.Addr(), port))
		}
	}
	return urls
}

func siteURL(a netip.Addr, port string) string {
	host := a.String()
	if a.Is6() {
		host = "[" + host + "]"
	}
	if port != "80" {
		host += ":" + port
	}
	return "http://" + host + "/"
}

// introduce tells where the site is, and what to do with it.
func (s *server) introduce() {
	urls := s.urls()
	watch := s.plan.device.Name
	if s.plan.engine == "kernel" {
		watch = "lo"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ustack serves on %s:\n\n", s.describe())
	for _, u := range urls {
		fmt.Fprintf(&b, "    %s\n", u)
	}
	fmt.Fprintf(&b, "\nTalk to it, and watch:\n\n")
	fmt.Fprintf(&b, "    curl -g %s_/hello\n", urls[0])
	fmt.Fprintf(&b, "    curl -g -o /dev/null %s_/bytes/1073741824\n", urls[0])
	fmt.Fprintf(&b, "    sudo wireshark -k -i %s        (or: sudo tshark -i %s)\n", watch, watch)
	switch {
	case s.plan.rotate > 0:
		fmt.Fprintf(&b, "    wireshark %s        (every packet so far; the next files are in its File Set)\n", s.plan.fileOfSet("00001", "*"))
	case s.plan.pcap != "":
		fmt.Fprintf(&b, "    wireshark %s        (every packet so far)\n", s.plan.pcap)
	}
	if s.control != nil && s.node.stack != nil {
		fmt.Fprintf(&b, "    ustack ss%[1]s        ustack top%[1]s        ustack trace%[1]s\n", s.control.flags(s.plan))
	}
	fmt.Fprintf(&b, "\nCtrl-C ends it.")
	s.console.say("%s", b.String())
}

func (s *server) describe() string {
	d := s.plan.device
	switch {
	case s.plan.engine == "kernel":
		return "the kernel's own TCP, for comparison (its packets pass lo, not " + d.Name + ")"
	case s.plan.engine == "gvisor":
		return "gVisor's TCP over " + d.Name + ", for comparison"
	}
	return fmt.Sprintf("its own TCP over %s", d.Name)
}
