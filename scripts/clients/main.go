// Command clients lets the clients that people use talk to `ustack serve`: curl, a browser, load generators that
// pipeline, undici, apt-get, and slowhttptest beside a client that means well. Run it as root: `make clients`.
//
// Each client has a server of its own, on a real TUN device in a private network namespace, and is held to more than
// its own exit status: what it received is compared with what the site is known to serve, and how many requests it
// counted with the server's access log. One line is printed for each; what programs printed, and the server's log,
// are kept under bin/clients.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ustack/scripts/netns"
)

// insideEnv holds a directory for files, in the process that runs in private namespaces.
const insideEnv = "USTACK_CLIENTS_INSIDE"

func main() { netns.Main("clients", dispatch) }

// config is what the flags say.
type config struct {
	ustack string
	flags  []string
	out    string
	npm    string
	chosen *regexp.Regexp
	tries  int
	rounds int
}

// dispatch runs the clients or, in the processes that they start, the server that refuses and a client that means well.
func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case refuseCommand:
			return serveRefusals(ctx, args[1:])
		case askCommand:
			return ask(args[1:])
		}
	}
	c, err := parse(args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces and devices need root: sudo make clients")
	}
	dir := os.Getenv(insideEnv)
	if dir == "" {
		return netns.AgainIn(ctx, "ustack-clients", insideEnv)
	}
	if err := furnish(dir); err != nil {
		return err
	}
	return runAll(ctx, c, dir)
}

func parse(args []string) (*config, error) {
	c := new(config)
	flags := flag.NewFlagSet("clients", flag.ExitOnError)
	run := flags.String("run", "", "only clients whose name matches this regular expression; 'list' prints them")
	serve := flags.String("flags", "", "more flags for ustack serve, such as '--offload off'")
	flags.StringVar(&c.ustack, "ustack", "bin/ustack", "the command that serves")
	flags.StringVar(&c.out, "out", "bin/clients", "directory for what programs print, and for the server's logs")
	flags.StringVar(&c.npm, "npm", "bin/npm", "where scripts/setup has put autocannon and undici")
	flags.IntVar(&c.tries, "tries", 100, "how often each client meets a refused upload")
	flags.IntVar(&c.rounds, "rounds", 9, "measurements of a good client alone, and as many beside a slow one; the median counts")
	flags.Parse(args)
	if flags.NArg() > 0 || c.tries < 1 || c.rounds < 1 {
		return nil, errors.New("no arguments but flags; -tries and -rounds are 1 or more")
	}
	var err error
	if c.chosen, err = regexp.Compile(*run); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	c.flags = strings.Fields(*serve)
	for _, path := range []*string{&c.ustack, &c.out, &c.npm} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// furnish makes fresh namespaces fit to live in: loopback is up, files go to memory, and clients have all the ports there
// are and as many connections as the machine allows.
func furnish(dir string) error {
	if err := netns.Furnish(); err != nil {
		return err
	}
	if err := netns.Loopback(); err != nil {
		return err
	}
	if err := netns.AllPorts(); err != nil {
		return err
	}
	if err := netns.FilesIn(dir); err != nil {
		return err
	}
	return netns.OpenFiles(2048)
}
