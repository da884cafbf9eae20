package engine

import (
	"context"
	"errors"
	"net"
	"time"

	"ustack/stack"
)

// UStack starts a stack of our own. Unlike with the other engines, Close closes the links as well.
func UStack(c stack.Config) (Engine, error) {
	s, err := stack.New(c)
	if err != nil {
		return nil, err
	}
	return &ustack{s}, nil
}

// drainTime is how long Close waits for peers to take what was written and the FIN.
const drainTime = 5 * time.Second

type ustack struct{ stack *stack.Stack }

func (u *ustack) Name() string { return "ustack" }

func (u *ustack) Listen(network, addr string) (net.Listener, error) {
	l, err := u.stack.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (u *ustack) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return u.stack.DialContext(ctx, network, addr)
}

func (u *ustack) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := u.stack.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // a peer that is gone keeps nobody waiting
	}
	return err
}
