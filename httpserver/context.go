package httpserver

import (
	"context"
	"sync"
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
			x.c.watch(x.inner, x.cancel)
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
func (c *conn) watch(ctx context.Context, cancel context.CancelFunc) {
	if c.ev == nil {
		return
	}
	dead := c.ev.Done()
	go func() {
		select {
		case <-dead:
			cancel()
		case <-ctx.Done():
		}
	}()
}
