package httpserver

import (
	"errors"
	"net/http"
)

// ErrServerClosed is returned by [Server.Serve] after [Server.Shutdown] or [Server.Close]. It is net/http's own, so
// that callers may switch servers without changing their checks.
var ErrServerClosed = http.ErrServerClosed

// A protocolError is a request that is refused: the status of the answer and the reason, told to the client and to the
// log. The connection is closed after it, since nobody can say where the next request would start.
type protocolError struct {
	status int
	reason string
}

func (e *protocolError) Error() string { return "http: " + e.reason }

func refuse(status int, reason string) *protocolError {
	return &protocolError{status: status, reason: reason}
}

func bad(reason string) *protocolError { return refuse(http.StatusBadRequest, reason) }

var (
	errFinished  = errors.New("httpserver: ResponseWriter used after its handler returned")
	errTruncated = bad("the connection ended inside the request")
)
