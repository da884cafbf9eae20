package main

import (
	"errors"
	"fmt"
	"os"

	"ustack/stack/trace/pcapng"
)

// openCapture opens the capture file of p. The function it returns ends the capture.
func openCapture(p *nodePlan) (*pcapng.Writer, func() error, error) {
	f, err := os.Create(p.pcap)
	if err != nil {
		return nil, nil, fmt.Errorf("--pcap: %w", err)
	}
	if err := p.user.Chown(f); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("--pcap: %w", err), f.Close())
	}
	w, err := pcapng.NewWriter(f, pcapng.Options{Interface: p.device.Name})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("--pcap: %w", err), f.Close())
	}
	finish := func() error {
		if err := errors.Join(w.Close(), f.Close()); err != nil {
			return fmt.Errorf("--pcap: %w", err)
		}
		return nil
	}
	return w, finish, nil
}
