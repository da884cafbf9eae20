package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ustack/cmd/ustack/internal/explain"

	"github.com/spf13/cobra"
)

func newExplainCommand() *cobra.Command {
	var only int
	cmd := &cobra.Command{
		Use:   "explain FILE|HEX|-",
		Short: "take packets apart, field by field, with the RFC section of each",
		Long: "explain reads the packets of a capture (pcapng or pcap), or one IP packet in hexadecimal digits, from the\n" +
			"argument or from standard input, and prints every field with what it says and the section that defines it,\n" +
			"and whether a stack takes the packet.",
		Example: "  ustack explain --packet 1 ustack-demo.pcapng\n  ustack explain 4500001c000040004001262b0a5a00010a5a00020800f7ff00000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("explain what? name a capture, give a packet in hexadecimal digits, or - for standard input")}
			}
			if only < 0 {
				return &usageError{fmt.Errorf("--packet %d: packets count from 1", only)}
			}
			in, err := openExplained(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			defer in.Close()
			out := bufio.NewWriter(cmd.OutOrStdout())
			defer out.Flush()
			return explainAll(out, in, only)
		},
	}
	cmd.Flags().IntVar(&only, "packet", 0, "explain only this packet of a capture, from 1 [all]")
	return cmd
}

// openExplained opens what the arguments name: digits are read as they are.
func openExplained(stdin io.Reader, args []string) (io.ReadCloser, error) {
	if len(args) == 1 && args[0] == "-" {
		return io.NopCloser(stdin), nil
	}
	text := strings.Join(args, " ")
	f, err := os.Open(text)
	if err == nil {
		return f, nil
	}
	if _, hexErr := unhex(text); hexErr == nil {
		return io.NopCloser(strings.NewReader(text)), nil
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is neither a file nor hexadecimal digits", text)
	}
	return nil, err
}

// unhex reads hexadecimal digits, with blanks and colons between them.
func unhex(s string) ([]byte, error) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "0x")
	return hex.DecodeString(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == ':' }), ""))
}

func explainAll(w io.Writer, in io.Reader, only int) error {
	r := bufio.NewReader(in)
	start, _ := r.Peek(4)
	if !explain.IsCapture(start) {
		text, err := io.ReadAll(io.LimitReader(r, 1<<20))
		if err != nil {
			return err
		}
		packet, err := unhex(string(bytes.TrimSpace(text)))
		if err != nil || len(packet) == 0 {
			return errors.New("that is neither a capture nor hexadecimal digits")
		}
		return printPacket(w, packet, len(packet))
	}
	n := 0
	err := explain.Capture(r, func(p *explain.Captured) error {
		if n++; only != 0 && n != only {
			return nil
		}
		if only == 0 && n > 1 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "Packet %d, %.6f s, %d octets%s\n", n, p.At.Seconds(), p.Length, p.Cut())
		for _, c := range p.Comments {
			fmt.Fprintf(w, "“%s”\n", c)
		}
		return printPacket(w, p.Data, p.Length)
	})
	if err == nil && only > n {
		return fmt.Errorf("the capture has %d packets", n)
	}
	return err
}

func printPacket(w io.Writer, packet []byte, length int) error {
	layers, verdict := explain.Packet(packet, length)
	return explain.Write(w, layers, verdict)
}
