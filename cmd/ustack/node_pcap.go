package main

import (
	"errors"
	"fmt"
	"os"

	"ustack/stack/link"
	"ustack/stack/trace/pcapng"
)

// tapTo shows the packets of l to the capture file of p. The function it returns ends the capture.
func tapTo(l link.Link, p *nodePlan) (link.Link, func() error, error) {
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
	return link.Tap(l, w.Tap), finish, nil
}
