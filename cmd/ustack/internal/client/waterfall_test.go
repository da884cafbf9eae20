package client

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

const ms = time.Millisecond

// object is a result with the times of its phases.
func object(i, conn, request int, start, connect, wait, receive time.Duration) Result {
	return Result{
		URL: fmt.Sprintf("http://10.90.0.2/_/objects/40/%d?size=2000", i), Method: "GET", Status: 200, Proto: "HTTP/1.1", Bytes: 2000,
		Connection: conn, Request: request, Tries: 1,
		Start: start, Connect: connect, FirstByte: wait, Total: connect + wait + receive,
	}
}

func reportOf(elapsed time.Duration, connections int, results ...Result) *Report {
	r := &Report{Results: results, Elapsed: elapsed, Connections: connections, Start: time.Unix(1_800_000_000, 0).UTC()}
	for i := range results {
		r.Handshakes += results[i].Connect
	}
	return r
}

func serialReport() *Report {
	var list []Result
	for i := range 4 {
		list = append(list, object(i, i+1, 1, time.Duration(i)*30*ms, 10*ms, 12*ms, 8*ms))
	}
	return reportOf(120*ms, 4, list...)
}

func pipelinedReport() *Report {
	list := []Result{object(0, 1, 1, 0, 10*ms, 10*ms, 4*ms)}
	for i := 1; i < 5; i++ {
		list = append(list, object(i, 1, i+1, 10*ms, 0, time.Duration(10+4*i)*ms, 4*ms))
	}
	return reportOf(40*ms, 1, list...)
}

func failedReport() *Report {
	ok := object(0, 1, 1, 0, 10*ms, 10*ms, 30*ms)
	lost := Result{URL: "http://10.90.0.2/_/sink", Method: "POST", Connection: 2, Request: 1, Tries: 2, Start: 10 * ms, Connect: 5 * ms, Total: 20 * ms, Err: io.ErrUnexpectedEOF}
	refused := Result{URL: "http://10.90.0.3/_/", Start: 60 * ms, Total: 30 * ms, Err: io.ErrNoProgress}
	never := Result{URL: "http://10.90.0.2/_/hello", Err: io.ErrClosedPipe}
	tiny := object(7, 1, 2, 99900*time.Microsecond, 0, 50*time.Microsecond, 20*time.Microsecond)
	return reportOf(100*ms, 2, ok, lost, refused, never, tiny)
}

func longReport() *Report {
	var list []Result
	for i := range 70 {
		list = append(list, object(i, 1, i+1, time.Duration(i)*ms, 0, ms/2, ms/2))
	}
	list[65].Status = 503
	return reportOf(70*ms, 1, list...)
}

func TestWaterfall(t *testing.T) {
	for _, tt := range []struct {
		name   string
		report *Report
		look   Look
	}{
		{"serial", serialReport(), Look{}},
		{"pipelined", pipelinedReport(), Look{Width: 100}},
		{"ascii", pipelinedReport(), Look{ASCII: true}},
		{"color", serialReport(), Look{Color: true}},
		{"failed", failedReport(), Look{}},
		{"narrow", failedReport(), Look{Width: 20, ASCII: true}},
		{"long", longReport(), Look{Width: 70}},
		{"none", reportOf(ms, 0), Look{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			WriteWaterfall(&got, tt.report, tt.look)
			file := filepath.Join("testdata", "waterfall-"+tt.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
			fits(t, got.String(), tt.look)
		})
	}
}

// fits checks the rows of the chart, up to its legend, for width and alphabet.
func fits(t *testing.T, text string, look Look) {
	t.Helper()
	chart, _, _ := strings.Cut(text, " connecting")
	for line := range strings.Lines(chart) {
		width := utf8.RuneCountInString(strings.TrimRight(line, "\n"))
		if limit := max(look.Width, 8+rowNumbers+minBar); look.Width > 0 && width > limit && !strings.Contains(line, "more that went") {
			t.Errorf("%d columns, not %d: %s", width, limit, line)
		}
	}
	for _, r := range text {
		if look.ASCII && r >= utf8.RuneSelf {
			t.Errorf("%q is not ASCII", r)
		}
	}
}
