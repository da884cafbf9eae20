package httpserver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A requestContext is done when its handler has returned, the connection is dead or its parent is done; not when the
// client has sent a FIN. It costs nothing until somebody asks for Done.
type requestContext struct {
	c      *conn
	parent context.Context

	mu       sync.Mutex
	finished bool
	inner    context.Context // made by the first Done
	cancel   context.CancelFunc

	wanted, bodyRead, started atomic.Bool // of watchPlain
}

func (x *requestContext) Deadline() (time.Time, bool) { return x.parent.Deadline() }

func (x *requestContext) Done() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.inner == nil {
		x.inner, x.cancel = context.WithCancel(x.parent)
		if x.finished {
			x.cancel()
		} else {
			x.watch(x.inner, x.cancel)
		}
	}
	return x.inner.Done()
}

func (x *requestContext) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.inner != nil:
		return x.inner.Err()
	case x.finished || x.c.isDead():
		return context.Canceled
	}
	return x.parent.Err()
}

// Value defers to the inner context once there is one, so that package context finds it and derived contexts need no
// goroutine.
func (x *requestContext) Value(key any) any {
	x.mu.Lock()
	inner := x.inner
	x.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return x.parent.Value(key)
}

// finish ends the context: the handler has returned.
func (x *requestContext) finish() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.finished = true
	if x.cancel != nil {
		x.cancel()
	}
}

// isDead reports whether the connection is known to be reset or timed out.
func (c *conn) isDead() bool {
	if c.ev == nil {
		return false
	}
	select {
	case <-c.ev.Done():
		return true
	default:
		return false
	}
}

// watch calls cancel when the connection dies before ctx is done.
func (x *requestContext) watch(ctx context.Context, cancel context.CancelFunc) {
	if x.c.ev == nil {
		x.wanted.Store(true)
		x.watchPlain(cancel)
		return
	}
	dead := x.c.ev.Done()
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
		x.c.buffer.watch(cancel)
	}
}

// bodyDone tells that nothing is left of the request to be read.
func (x *requestContext) bodyDone() {
	if x.c.ev != nil {
		return
	}
	x.bodyRead.Store(true)
	if x.wanted.Load() {
		x.mu.Lock()
		cancel := x.cancel
		x.mu.Unlock()
		x.watchPlain(cancel)
	}
}
