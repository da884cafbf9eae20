package main

import (
	"context"
	"errors"
	"os"

	"ustack/cmd/ustack/internal/engine"

	"github.com/spf13/pflag"
)

// getDefaults keep the device of get apart from that of serve, so that both can run.
var getDefaults = nodeDefaults{"ustack1", "10.91.0.1/24", "10.91.0.2", "fd91::1/64", "fd91::2"}

// addEngineFlags adds the flags of the device that the engines ustack and gvisor run on, and
// returns what opens an engine by name. The kernel needs no device.
func addEngineFlags(flags *pflag.FlagSet) engine.Opener {
	f := nodeFlags{switches: defaultSwitches()}
	f.add(flags, getDefaults)
	return func(_ context.Context, name string) (engine.Engine, error) {
		f.engine = name
		p, err := f.plan()
		if err != nil {
			return nil, err
		}
		if p.pcap == toStdout {
			return nil, &usageError{errors.New("--pcap -: what get prints goes there; name a file")}
		}
		if name == "kernel" {
			return engine.Kernel(), nil
		}
		p.user = owner()
		n, err := openNode(p, newConsole(os.Stderr, os.Stderr))
		if err != nil {
			return nil, err
		}
		return n, nil
	}
}
