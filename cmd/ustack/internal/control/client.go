package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// Client asks a running server.
type Client struct {
	path string
	http http.Client
}

// NotRunning tells that no server was found.
type NotRunning struct {
	Looked []string // where
	Stale  bool     // a server has been there
}

func (e *NotRunning) Error() string { return "no server runs here" }

// Denied tells that a server's socket is somebody else's.
type Denied struct{ Path, Owner string }

func (e *Denied) Error() string { return fmt.Sprintf("%s belongs to %s", e.Path, e.Owner) }

// Dial finds the server: at path, or, if that is empty, the one on the device.
func Dial(ctx context.Context, path, device string) (*Client, error) {
	places := []string{path}
	if path == "" {
		places = candidates(device)
	}
	missing := &NotRunning{Looked: places}
	var denied error
	for _, p := range places {
		err := probe(ctx, p)
		switch {
		case err == nil:
			return newClient(p), nil
		case errors.Is(err, syscall.ECONNREFUSED):
			missing.Stale = true
		case errors.Is(err, fs.ErrPermission):
			denied = deniedAt(p, err)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if denied != nil {
		return nil, denied
	}
	return nil, missing
}

func probe(ctx context.Context, path string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}

// deniedAt says whose the socket is, if that can be seen.
func deniedAt(path string, err error) error {
	info, statErr := os.Lstat(path)
	if statErr != nil {
		return err
	}
	return &Denied{path, userName(ownerOf(info))}
}

func newClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Path is the server's socket.
func (c *Client) Path() string { return c.path }

// About asks who answers.
func (c *Client) About(ctx context.Context) (About, error) { return ask[About](ctx, c, "/") }

// Conns asks for the connections.
func (c *Client) Conns(ctx context.Context) (Conns, error) { return ask[Conns](ctx, c, "/conns") }

// Stats asks for the counters.
func (c *Client) Stats(ctx context.Context) (Stats, error) { return ask[Stats](ctx, c, "/stats") }

func ask[T any](ctx context.Context, c *Client, path string) (answer T, err error) {
	body, err := c.get(ctx, path, nil)
	if err != nil {
		return answer, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("%s answers %s with %w", c.path, path, err)
	}
	return answer, nil
}

// ErrEnded tells that the server has ended since it was found.
var ErrEnded = errors.New("the server has ended")

// get asks for path and returns the content of the answer.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "ustack", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return nil, ErrEnded
	case err != nil:
		return nil, err
	}
	if err := c.judge(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// judge makes an error of an answer that refuses, or of one in another protocol.
func (c *Client) judge(resp *http.Response) error {
	switch v := resp.Header.Get(versionHeader); {
	case v == "":
		return fmt.Errorf("what listens at %s is no ustack", c.path)
	case v != Version:
		return fmt.Errorf("the server at %s speaks version %q of the control protocol, this program %q: use the program that runs the server", c.path, v, Version)
	case resp.StatusCode == http.StatusOK:
		return nil
	}
	var p problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Error == "" {
		return fmt.Errorf("%s answers %s", c.path, resp.Status)
	}
	return errors.New(p.Error)
}
