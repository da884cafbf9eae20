package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// maxRows is how many requests a table shows one by one.
const maxRows = 60

// WriteTable prints the results for people: a row a request, the first 60 and all that failed,
// then a summary.
func WriteTable(w io.Writer, report *Report) {
	results := report.Results
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "no.\tstatus\tconnect\tfirst octet\ttotal\toctets\tconnection\trequest\t  URL")
	hidden := eachRow(results, func(i int, r *Result) {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t  %s\n", i+1, dash(r.Status), short(r.Connect), short(r.FirstByte),
			short(r.Total), r.Bytes, dash(r.Connection), dash(r.Request), r.URL)
	})
	t.Flush()
	writeHidden(w, hidden)
	writeSummary(w, report)
}

// eachRow calls row for each result that has one, and returns how many have none.
func eachRow(results []Result, row func(i int, r *Result)) (hidden int) {
	for i := range results {
		if r := &results[i]; i < maxRows || r.Failed() {
			row(i, r)
		} else {
			hidden++
		}
	}
	return hidden
}

// writeHidden says how many results have no row.
func writeHidden(w io.Writer, n int) {
	if n > 0 {
		fmt.Fprintf(w, "… and %d more that went well (--json shows all)\n", n)
	}
}

// writeSummary prints what failed, and the totals.
func writeSummary(w io.Writer, report *Report) {
	var octets int64
	var failed, again int
	results := report.Results
	var waits []time.Duration
	for i := range results {
		r := &results[i]
		octets += r.Bytes
		again += max(r.Tries-1, 0)
		if r.Failed() {
			failed++
		}
		if r.Err != nil {
			fmt.Fprintf(w, "no. %d: %v\n", i+1, r.Err)
		}
		if r.FirstByte != 0 {
			waits = append(waits, r.FirstByte)
		}
	}
	if again > 0 {
		fmt.Fprintf(w, "%s sent again after a connection had ended\n", count(again, "request"))
	}
	seconds := report.Elapsed.Seconds()
	fmt.Fprintf(w, "%s, %d failed, over %s; %d octets in %s: %.0f requests/s, %.2f Mbit/s\n",
		count(len(results), "request"), failed, count(report.Connections, "connection"), octets, short(report.Elapsed),
		float64(len(results))/seconds, float64(octets)*8/seconds/1e6)
	if len(waits) > 1 {
		slices.SortFunc(waits, cmp.Compare)
		fmt.Fprintf(w, "handshakes: %s in all; first octet after: %s at best, %s median, %s at worst\n",
			short(report.Handshakes), short(waits[0]), short(waits[len(waits)/2]), short(waits[len(waits)-1]))
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func dash(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// short gives a duration three digits or so.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", max(d.Microseconds(), 1))
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// jsonResult is a Result as WriteJSON prints it. Times are microseconds.
type jsonResult struct {
	URL         string `json:"url"`
	Method      string `json:"method"`
	Status      int    `json:"status,omitempty"`
	Proto       string `json:"proto,omitempty"`
	Bytes       int64  `json:"bytes"`
	Connection  int    `json:"connection,omitempty"`
	Request     int    `json:"request,omitempty"`
	Tries       int    `json:"tries,omitempty"`
	StartUS     int64  `json:"start_us"`
	ConnectUS   int64  `json:"connect_us"`
	FirstByteUS int64  `json:"first_byte_us"`
	TotalUS     int64  `json:"total_us"`
	Error       string `json:"error,omitempty"`
}

// WriteJSON prints the results for programs: an object a line, in the order of the requests.
func WriteJSON(w io.Writer, results []Result) error {
	enc := json.NewEncoder(w)
	for i := range results {
		r := &results[i]
		j := jsonResult{
			URL: r.URL, Status: r.Status, Proto: r.Proto, Bytes: r.Bytes, Connection: r.Connection, Request: r.Request,
			Method: r.Method, Tries: r.Tries, StartUS: r.Start.Microseconds(),
			ConnectUS: r.Connect.Microseconds(), FirstByteUS: r.FirstByte.Microseconds(), TotalUS: r.Total.Microseconds(),
		}
		if r.Err != nil {
			j.Error = r.Err.Error()
		}
		if err := enc.Encode(j); err != nil {
			return err
		}
	}
	return nil
}
