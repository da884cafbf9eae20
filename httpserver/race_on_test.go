//go:build race

package httpserver

const raceEnabled = true // a sync.Pool then forgets at random
