package client

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxAttempts is how often a request is the one that its connection died on before that is its own failure.
const maxAttempts = 3

// maxRefusals is how often a request may be refused, or find that its connection takes no more, before that is its failure.
const maxRefusals = 100

// ErrUnknown is in the error of a request that may have been carried out: it was sent, no answer
// came, and its method does not let it be sent again.
var ErrUnknown = errors.New("outcome unknown")

var (
	errHeaderTooLarge = errors.New("response header larger than 1 MiB")
	errUnasked        = errors.New("the server sent octets that answer no request")
)

// idempotent are the methods that may be sent again without asking (RFC 9110 §9.2.2).
var idempotent = []string{
	http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace,
}

// job is a request on its way to being a result.
type job struct {
	*Result
	index    int
	req      *http.Request
	start    time.Time // of the dial or the write
	sent     time.Time
	attempts int
	refusals int // how often it was not even begun with
}

func (j *job) idempotent() bool { return slices.Contains(idempotent, j.req.Method) }

// reset makes j a request that was never answered.
func (j *job) reset() {
	*j.Result = Result{URL: j.URL, Method: j.Method, Tries: j.Tries}
	j.start = time.Time{}
}

// fail ends j without a complete response.
func (j *job) fail(err error) {
	if j.Status == 0 && j.Tries > 0 && !j.idempotent() {
		err = fmt.Errorf("%w: %s may have been carried out and must not be sent again: %w", ErrUnknown, j.Method, err)
	}
	j.Err = err
	if !j.start.IsZero() {
		j.Total = time.Since(j.start)
	}
}

// queue holds the requests to one host that nobody has taken yet.
type queue struct {
	addr string
	mu   sync.Mutex
	jobs []*job
	// wary: the last connection died with requests unanswered, so the next must not pipeline
	// before its first answer: the request that is first now may be what killed the other
	// (RFC 9112 §9.3.2).
	wary bool
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

// putBack makes jobs the next ones. wary: their connection died.
func (q *queue) putBack(jobs []*job, wary bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(jobs, q.jobs...)
	q.wary = q.wary || wary && len(jobs) > 0
}

// takeWary reports whether to be wary, once.
func (q *queue) takeWary() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	wary := q.wary
	q.wary = false
	return wary
}

// fail ends every job that is left.
func (q *queue) fail(err error) {
	for j := q.pop(); j != nil; j = q.pop() {
		j.Err = err
	}
}
