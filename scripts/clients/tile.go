package main

import (
	"bytes"
	"fmt"
)

// tileSize is the size of a tile of /_/objects when none is asked for, in octets.
const tileSize = 2000

// checkTile expects tile i of a page: an SVG picture of tileSize octets with its number on it.
func checkTile(body []byte, i int) error {
	switch {
	case len(body) != tileSize:
		return fmt.Errorf("tile %d has %d octets, want %d", i, len(body), tileSize)
	case !bytes.HasPrefix(body, []byte("<svg ")) || !bytes.HasSuffix(body, []byte("-->\n")):
		return fmt.Errorf("tile %d is not whole: %.60q", i, body)
	case !bytes.Contains(body, fmt.Appendf(nil, ">%d</text>", i)):
		return fmt.Errorf("tile %d is another: %.200q", i, body)
	}
	return nil
}

// random fills b with octets that do not compress and are the same in each run.
func random(b []byte) []byte {
	x := uint64(0x9E3779B97F4A7C15)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
