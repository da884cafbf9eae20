// Package client is a small HTTP/1.1 client over any dial function: a connection a
// request, persistent ones, several at a time, and pipelining, which neither curl nor a browser
// does. With net/http's HTTP/2 it also multiplexes. It follows no redirect, sends no cookie and
// measures every request.
package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Client fetches. Its fields must not change while Do runs; Do may run several times at once.
type Client struct {
	// Dial makes connections: net.Dialer's method, or an engine's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialData, when set, connects and sends data that a server may see twice (RFC 7413). It is
	// used in place of Dial for idempotent requests.
	DialData func(ctx context.Context, network, addr string, data []byte) (net.Conn, error)
	// Serial asks for a new connection for each request.
	Serial bool
	// Parallel is the largest number of connections to one host [1].
	Parallel int
	// Depth is how many requests may be unanswered on one connection [1]; above 1 is pipelining,
	// which requests that are not idempotent never see (RFC 9112 §9.3.2).
	Depth int
	// Multiplexed speaks HTTP/2 in clear text: one connection to a host with all requests on it at
	// once, as far as the server allows. Serial, Parallel, Depth and DialData are of no use to it.
	Multiplexed bool
	// Timeout ends a connection on which nothing arrived for so long, and an attempt to connect [30 s].
	Timeout time.Duration
	// Method of every request [GET].
	Method string
	// Content goes with every request, unless it is empty.
	Content string
	// Header goes with every request.
	Header http.Header
	// Body returns where the body of response i goes; a nil function or writer discards it. A
	// writer that fails fails the request. Calls for different i may run at the same time.
	Body func(i int) io.Writer
	// Record keeps the header fields of every exchange in its Result.
	Record bool
}

// Do fetches every URL and reports the results in the same order. The error is about the URLs
// themselves; then nothing was sent. All requests end when ctx does.
func (c *Client) Do(ctx context.Context, urls []string) (*Report, error) {
	results := make([]Result, len(urls))
	queues, err := c.queues(urls, results)
	if err != nil {
		return nil, err
	}
	run := &run{Client: c, ctx: ctx, start: time.Now()}
	connection, parallel := run.session, max(c.Parallel, 1)
	if c.Multiplexed {
		connection, parallel = run.multiplex, 1
	}
	var workers sync.WaitGroup
	for _, q := range queues {
		for range min(parallel, len(q.jobs)) {
			workers.Go(func() {
				for connection(q) {
				}
			})
		}
	}
	workers.Wait()
	return &Report{
		Results: results, Start: run.start, Elapsed: time.Since(run.start),
		Connections: int(run.connections.Load()), Handshakes: time.Duration(run.handshakes.Load()),
	}, nil
}

// queues makes a job of each URL and sorts them by host, in order of appearance.
func (c *Client) queues(urls []string, results []Result) ([]*queue, error) {
	var list []*queue
	byHost := make(map[string]*queue)
	for i, s := range urls {
		req, err := c.request(s)
		if err != nil {
			return nil, err
		}
		addr := address(req.URL)
		q := byHost[addr]
		if q == nil {
			q = &queue{addr: addr}
			byHost[addr] = q
			list = append(list, q)
		}
		results[i].URL, results[i].Method = req.URL.String(), req.Method
		q.jobs = append(q.jobs, &job{Result: &results[i], index: i, req: req})
	}
	return list, nil
}

func (c *Client) request(s string) (*http.Request, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	var content io.Reader
	if c.Content != "" {
		content = strings.NewReader(c.Content)
	}
	req, err := http.NewRequest(c.Method, s, content)
	if err != nil {
		return nil, err
	}
	switch {
	case req.URL.Scheme != "http":
		return nil, fmt.Errorf("%s: only http is spoken here", s)
	case req.URL.Hostname() == "":
		return nil, fmt.Errorf("%s: no host", s)
	}
	if c.Header != nil {
		req.Header = c.Header.Clone()
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", "ustack")
	}
	req.Close = c.Serial
	return req, nil
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}
