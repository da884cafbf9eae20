package main

import (
	"context"
	"os"

	"ustack/cmd/ustack/internal/engine"

	"github.com/spf13/pflag"
)

// getDefaults keep out of the way of a serve that runs beside.
var getDefaults = nodeDefaults{"ustackget0", "10.91.0.1/24", "10.91.0.2", "fd91::1/64", "fd91::2"}

// addEngineFlags adds the flags of the device that an engine other than the kernel's brings up, and
// returns what opens an engine by name. What can be reached over such a device is the kernel of this
// machine, and what it forwards to.
func addEngineFlags(flags *pflag.FlagSet) engine.Opener {
	f := &nodeFlags{switches: defaultSwitches()}
	f.add(flags, getDefaults)
	f.switches.addFlags(flags, tcpSwitches)
	return func(_ context.Context, name string) (engine.Engine, error) {
		f.engine = name
		p, err := f.plan()
		if err != nil {
			return nil, err
		}
		if name == "kernel" {
			return engine.Kernel(), nil
		}
		p.user = owner()
		return openNode(p, newConsole(os.Stdout, os.Stderr))
	}
}
