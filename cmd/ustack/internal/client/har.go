package client

import (
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The HTTP Archive format 1.2, as browsers' network panels read it. What is not known, such as the
// octets that a header took, is -1 there. Times are milliseconds.
type (
	harLog struct {
		Version string     `json:"version"`
		Creator harCreator `json:"creator"`
		Pages   []struct{} `json:"pages"`
		Entries []harEntry `json:"entries"`
	}
	harCreator struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	harEntry struct {
		Started    time.Time   `json:"startedDateTime"`
		Time       float64     `json:"time"` // the sum of the timings that apply
		Request    harRequest  `json:"request"`
		Response   harResponse `json:"response"`
		Cache      struct{}    `json:"cache"`
		Timings    harTimings  `json:"timings"`
		ServerIP   string      `json:"serverIPAddress,omitempty"`
		Connection string      `json:"connection,omitempty"`
		// Names of our own begin with an underscore, as the format wants them.
		Number int    `json:"_requestOnConnection,omitempty"`
		Tries  int    `json:"_tries,omitempty"`
		Error  string `json:"_error,omitempty"`
	}
	harRequest struct {
		Method      string     `json:"method"`
		URL         string     `json:"url"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []struct{} `json:"cookies"`
		Headers     []harField `json:"headers"`
		QueryString []harField `json:"queryString"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
	}
	harResponse struct {
		Status      int        `json:"status"`
		StatusText  string     `json:"statusText"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []struct{} `json:"cookies"`
		Headers     []harField `json:"headers"`
		Content     harContent `json:"content"`
		RedirectURL string     `json:"redirectURL"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
	}
	harContent struct {
		Size     int64  `json:"size"`
		MIMEType string `json:"mimeType"`
	}
	harField struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	harTimings struct {
		Blocked float64 `json:"blocked"` // for the requests ahead of it
		DNS     float64 `json:"dns"`
		Connect float64 `json:"connect"` // -1 on a connection that was open already
		SSL     float64 `json:"ssl"`
		Send    float64 `json:"send"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	}
)

// WriteHAR writes an HTTP Archive of a Do with Record, in the order of the requests' starts.
func WriteHAR(w io.Writer, report *Report) error {
	log := harLog{Version: "1.2", Creator: harCreator{"ustack", "1"}, Pages: []struct{}{}, Entries: []harEntry{}}
	for i := range report.Results {
		log.Entries = append(log.Entries, report.entry(&report.Results[i]))
	}
	slices.SortStableFunc(log.Entries, func(a, b harEntry) int { return a.Started.Compare(b.Started) })
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(map[string]any{"log": log})
}

func (report *Report) entry(r *Result) harEntry {
	e := harEntry{
		Started: report.Start.Add(r.Start), Timings: r.harTimings(), Number: r.Request, Tries: r.Tries,
		Request: r.harRequest(), Response: r.harResponse(),
	}
	// The sum of what is written down, not of what was measured: readers compare.
	for _, t := range []float64{e.Timings.Connect, e.Timings.Send, e.Timings.Wait, e.Timings.Receive} {
		e.Time += max(t, 0)
	}
	if r.Connection != 0 {
		e.Connection = strconv.Itoa(r.Connection)
	}
	if x := r.Exchange; x != nil {
		e.ServerIP, _, _ = net.SplitHostPort(x.Server)
	}
	if r.Err != nil {
		e.Error = r.Err.Error()
	}
	return e
}

func (r *Result) harTimings() harTimings {
	connect, wait, receive := r.times()
	t := harTimings{Blocked: -1, DNS: -1, SSL: -1, Connect: -1, Wait: milliseconds(wait), Receive: milliseconds(receive)}
	if connect > 0 {
		t.Connect = milliseconds(connect)
	}
	return t
}

func (r *Result) harRequest() harRequest {
	h := harRequest{
		Method: r.Method, URL: r.URL, HTTPVersion: "HTTP/1.1", HeadersSize: -1,
		Cookies: []struct{}{}, Headers: []harField{}, QueryString: []harField{},
	}
	if strings.HasPrefix(r.Proto, "HTTP/2") { // else the answer may be of an older version than the request
		h.HTTPVersion = r.Proto
	}
	if x := r.Exchange; x != nil {
		h.Headers = harFields(x.Request)
		h.BodySize = x.Sent
	}
	if u, err := url.Parse(r.URL); err == nil {
		h.QueryString = harFields(map[string][]string(u.Query()))
	}
	return h
}

func (r *Result) harResponse() harResponse {
	h := harResponse{
		Status: r.Status, HTTPVersion: r.Proto, HeadersSize: -1, BodySize: -1,
		Cookies: []struct{}{}, Headers: []harField{}, Content: harContent{Size: r.Bytes, MIMEType: "x-unknown"},
	}
	x := r.Exchange
	if x == nil {
		return h
	}
	_, h.StatusText, _ = strings.Cut(x.Status, " ")
	h.Headers = harFields(x.Response)
	h.RedirectURL = x.Response.Get("Location")
	h.Content.MIMEType = cmp.Or(x.Response.Get("Content-Type"), h.Content.MIMEType)
	return h
}

func harFields(from http.Header) []harField {
	list := []harField{}
	for name, values := range from {
		for _, v := range values {
			list = append(list, harField{name, v})
		}
	}
	slices.SortStableFunc(list, func(a, b harField) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
