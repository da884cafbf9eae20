// Package client is a small HTTP/1.1 client over any dial function: persistent connections,
// several at a time, and pipelining, which neither curl nor a browser does. It follows no
// redirect, sends no cookie and measures every request.
package client

import (
	"context"
	"errors"
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
	// Parallel is the largest number of connections to one host [1].
	Parallel int
	// Depth is how many requests may be unanswered on one connection [1]; above 1 is pipelining.
	Depth int
	// Timeout ends a connection on which nothing arrived for so long, and an attempt to connect [30 s].
	Timeout time.Duration
	// Header goes with every request.
	Header http.Header
	// Body returns where the body of response i goes; a nil function or writer discards it. A
	// writer that fails fails the request. Calls for different i may run at the same time.
	Body func(i int) io.Writer
}

// Result is what became of one request. Durations are zero where nothing was measured.
type Result struct {
	URL    string
	Status int    // 0: no response
	Proto  string // of the response
	Bytes  int64  // octets of body, without framing
	// Connection counts the connections of one Do from 1, Request the requests on it from 1.
	Connection, Request int
	Connect             time.Duration // dialling; 0 on a connection that was open already
	FirstByte           time.Duration // from the request's write to the first octet of the response
	Total               time.Duration // from the dial or, without one, the write, to the last octet
	Err                 error         // why there is no complete response
}

// Failed reports whether there is no complete response, or one with a status of 400 or above.
func (r *Result) Failed() bool { return r.Err != nil || r.Status >= 400 }

// maxAttempts is how often a request is sent before its connection's end is its own failure.
const maxAttempts = 3

// job is a request on its way to being a result.
type job struct {
	*Result
	index    int
	req      *http.Request
	start    time.Time // of the dial or the write
	sent     time.Time
	attempts int
}

// Do fetches every URL with GET and returns the results in the same order. The error is about
// the URLs themselves; then nothing was sent. All requests end when ctx does.
func (c *Client) Do(ctx context.Context, urls []string) ([]Result, error) {
	results := make([]Result, len(urls))
	queues, err := c.queues(urls, results)
	if err != nil {
		return nil, err
	}
	run := &run{Client: c, ctx: ctx}
	var workers sync.WaitGroup
	for _, q := range queues {
		for range min(max(c.Parallel, 1), len(q.jobs)) {
			workers.Go(func() {
				for run.session(q) {
				}
			})
		}
	}
	workers.Wait()
	return results, nil
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
		results[i].URL = req.URL.String()
		q.jobs = append(q.jobs, &job{Result: &results[i], index: i, req: req})
	}
	return list, nil
}

func (c *Client) request(s string) (*http.Request, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	req, err := http.NewRequest(http.MethodGet, s, nil)
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
	return req, nil
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// queue holds the requests to one host that nobody has taken yet.
type queue struct {
	addr string
	mu   sync.Mutex
	jobs []*job
}

func (q *queue) pop() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		return nil
	}
	j := q.jobs[0]
	q.jobs = q.jobs[1:]
	return j
}

// putBack makes jobs the next ones.
func (q *queue) putBack(jobs []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(jobs, q.jobs...)
}

// fail ends every job that is left.
func (q *queue) fail(err error) {
	for j := q.pop(); j != nil; j = q.pop() {
		j.Err = err
	}
}

var errHeaderTooLarge = errors.New("response header larger than 1 MiB")
