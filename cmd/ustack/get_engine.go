package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ustack/cmd/ustack/internal/engine"

	"github.com/spf13/pflag"
)

// addEngineFlags adds the flags that an engine with a device of its own needs, and returns what
// opens an engine by name.
func addEngineFlags(*pflag.FlagSet) engine.Opener {
	return func(_ context.Context, name string) (engine.Engine, error) {
		switch {
		case name == "kernel":
			return engine.Kernel(), nil
		case slices.Contains(engine.Names(), name):
			return nil, fmt.Errorf("engine %s: not available to get", name)
		}
		return nil, &usageError{fmt.Errorf("--engine must be one of %s, not %q", strings.Join(engine.Names(), ", "), name)}
	}
}
