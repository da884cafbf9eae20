package httpserver

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

type contextKey struct{}

// ConnInfoKey is the key under which the context of a request holds the [ConnInfo] of its connection.
var ConnInfoKey any = contextKey{}

// A ConnInfo is what a handler may ask about the connection while it runs.
type ConnInfo struct {
	ID       uint64 // counts the server's connections from 1, as Entry.Conn does
	Requests int    // how many this connection has carried, up to this one
}

// A localContext adds to a context what is asked of a connection only when somebody wants it.
type localContext struct {
	context.Context
	c *conn
}

func (l *localContext) Value(key any) any {
	switch key {
	case http.LocalAddrContextKey:
		return l.c.nc.LocalAddr()
	case ConnInfoKey:
		return ConnInfo{l.c.id, l.c.requests}
	}
	return l.Context.Value(key)
}

// A connContext is the connection as the context of its requests, if no ConnContext has made another.
type connContext conn

func (c *connContext) Deadline() (time.Time, bool) { return c.ctx.Deadline() }
func (c *connContext) Done() <-chan struct{}       { return c.ctx.Done() }
func (c *connContext) Err() error                  { return c.ctx.Err() }

func (c *connContext) Value(key any) any {
	l := localContext{c.ctx, (*conn)(c)}
	return l.Value(key)
}

// context returns the parent of the contexts of all requests.
func (c *conn) context() context.Context {
	if c.srv.ConnContext != nil {
		return c.ctx
	}
	return (*connContext)(c)
}

// A requestContext is done when its handler has returned, the connection is dead or its parent is done; not when the
// client has sent a FIN. It costs nothing until somebody asks for Done.
type requestContext struct {
	c      *conn
	number int // of the request on its connection
	parent context.Context

	finished atomic.Bool
	mu       sync.Mutex                 // of those who make inner
	inner    atomic.Pointer[cancelable] // made by the first Done

	wanted, bodyRead, started atomic.Bool // of watchPlain
}

type cancelable struct {
	context.Context
	cancel context.CancelFunc
}

func (x *requestContext) Deadline() (time.Time, bool) { return x.parent.Deadline() }

func (x *requestContext) Done() <-chan struct{} {
	if inner := x.inner.Load(); inner != nil {
		return inner.Done()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	inner := x.inner.Load()
	if inner == nil {
		inner = new(cancelable)
		inner.Context, inner.cancel = context.WithCancel(x.parent)
		x.inner.Store(inner) // before the look at finished: finish looks the other way round
		if x.finished.Load() {
			inner.cancel()
		} else {
			x.watch(inner.Context, inner.cancel)
		}
	}
	return inner.Done()
}

func (x *requestContext) Err() error {
	if inner := x.inner.Load(); inner != nil {
		return inner.Err()
	}
	if x.finished.Load() || x.c.isDead() {
		return context.Canceled
	}
	return x.parent.Err()
}

// Value defers to the inner context once there is one, so that package context finds it and derived contexts need no
// goroutine.
func (x *requestContext) Value(key any) any {
	if key == ConnInfoKey {
		return ConnInfo{x.c.id, x.number}
	}
	if inner := x.inner.Load(); inner != nil {
		return inner.Value(key)
	}
	return x.parent.Value(key)
}

// finish ends the context: the handler has returned.
func (x *requestContext) finish() {
	x.finished.Store(true)
	if inner := x.inner.Load(); inner != nil {
		inner.cancel()
	}
}

// isDead reports whether the connection is known to be reset or timed out.
func (c *conn) isDead() bool {
	ev := c.events()
	if ev == nil {
		return false
	}
	select {
	case <-ev.Done():
		return true
	default:
		return false
	}
}

// watch calls cancel when the connection dies before ctx is done.
func (x *requestContext) watch(ctx context.Context, cancel context.CancelFunc) {
	ev := x.c.events()
	if ev == nil {
		x.wanted.Store(true)
		x.watchPlain(cancel)
		return
	}
	dead := ev.Done()
	go func() {
		select {
		case <-dead:
			cancel()
		case <-ctx.Done():
		}
	}()
}

// watchPlain reads ahead on a connection that cannot tell that it is dead, as soon as the request's body is read and
// Done was asked for. What is received first ends the watch: a pipelined request hides a reset behind it.
func (x *requestContext) watchPlain(cancel context.CancelFunc) {
	if x.wanted.Load() && x.bodyRead.Load() && x.started.CompareAndSwap(false, true) {
		x.c.buffer().watch(cancel)
	}
}

// bodyDone tells that nothing is left of the request to be read.
func (x *requestContext) bodyDone() {
	if x.c.buffer() == nil {
		return
	}
	x.bodyRead.Store(true)
	if x.wanted.Load() {
		x.watchPlain(x.inner.Load().cancel)
	}
}
