package main

import (
	"fmt"
	"io"
	"log"
	"sync"
)

// console is where the command talks to people. Its methods may be called from any goroutine.
type console struct {
	mu  sync.Mutex
	out io.Writer
	err io.Writer
}

func newConsole(out, err io.Writer) *console {
	c := &console{out: out}
	c.err = &lockedWriter{c, err}
	return c
}

// say prints a line of the story.
func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format+"\n", args...)
}

// note prints a remark beside the story.
func (c *console) note(format string, args ...any) {
	fmt.Fprintf(c.err, "ustack: "+format+"\n", args...)
}

// logger returns a logger of remarks.
func (c *console) logger() *log.Logger { return log.New(c.err, "ustack: ", 0) }

// lockedWriter keeps the lines of a console whole.
type lockedWriter struct {
	c *console
	w io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.w.Write(p)
}
