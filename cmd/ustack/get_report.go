package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ustack/cmd/ustack/internal/client"

	"golang.org/x/sys/unix"
)

// print reports to people or to programs, on w.
func (o *getOptions) print(w io.Writer, done *client.Report) error {
	b := bufio.NewWriter(w)
	switch {
	case o.json:
		client.WriteJSON(b, done.Results)
	case o.table || len(done.Results) == 1:
		client.WriteTable(b, done)
	default:
		client.WriteWaterfall(b, done, lookOf(w, os.Getenv, o.ascii))
	}
	return b.Flush() // with the error of any write before it
}

// lookOf is what suits w: as wide as a terminal, in colour on one that has any, in ASCII where the
// locale does not say UTF-8.
func lookOf(w io.Writer, getenv func(string) string, ascii bool) client.Look {
	locale := cmp.Or(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG"))
	upper := strings.ToUpper(locale)
	look := client.Look{ASCII: ascii || !strings.Contains(upper, "UTF-8") && !strings.Contains(upper, "UTF8")}
	f, ok := w.(*os.File)
	if !ok {
		return look
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return look // no terminal
	}
	look.Width = int(size.Col)
	look.Color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	return look
}

func writeHAR(f io.Writer, done *client.Report) error {
	b := bufio.NewWriter(f)
	return errors.Join(client.WriteHAR(b, done), b.Flush())
}

// verdict is an error when a request failed.
func (o *getOptions) verdict(results []client.Result) error {
	failed, unknown := 0, 0
	for i := range results {
		r := &results[i]
		if r.Err != nil || r.Failed() && !o.anyStatus {
			failed++
		}
		if errors.Is(r.Err, client.ErrUnknown) {
			unknown++
		}
	}
	switch {
	case unknown > 0:
		return fmt.Errorf("%d of %d requests failed, %d of them: %w", failed, len(results), unknown, client.ErrUnknown)
	case failed > 0:
		return fmt.Errorf("%d of %d requests failed", failed, len(results))
	}
	return nil
}
