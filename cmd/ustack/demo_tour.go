package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"ustack/cmd/ustack/internal/ground"
)

// step is one stop of the tour.
type step struct {
	title, words string
	command      []string
	show         func(out string) (string, error) // makes the output short, or refuses it; nil: as it is
}

// walk runs the steps and tells what they do.
func (v *venue) walk(ctx context.Context) error {
	for i, s := range v.steps() {
		v.console.say("%d. %s\n%s\n   $ %s", i+1, s.title, indent(s.words), quoted(s.command))
		out, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(s.command, " "), err, out)
		}
		v.console.say("%s\n", indent(out))
	}
	return nil
}

func (s *step) run(ctx context.Context) (string, error) {
	name := s.command[0]
	if name == "ustack" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		name = self
	}
	out, err := exec.CommandContext(ctx, name, s.command[1:]...).CombinedOutput()
	if err != nil || s.show == nil {
		return string(out), err
	}
	shown, err := s.show(string(out))
	if err != nil {
		return string(out), err
	}
	return shown, nil
}

func (v *venue) steps() []step {
	curl := func(args ...string) []string { return append([]string{"curl", "-sS", "--noproxy", "*"}, args...) }
	steps := []step{
		{
			"One request.",
			"Three packets open the connection, one carries the request, one the answer with the ACK of the\n" +
				"request riding on it; then each side says FIN.",
			curl(v.base + "_/hello"),
			expect("Hello, World!"),
		},
		{
			"Two requests on one connection.",
			"HTTP/1.1 keeps the connection: the second request needs no handshake. The numbers are the\n" +
				"connections that curl had to open.",
			curl("-w", "%{num_connects}\\n", "-o", os.DevNull, v.base+"_/hello", "-o", os.DevNull, v.base+"_/bytes/1000000"),
			expect("1\n0\n"),
		},
		{
			"Forty objects over parallel connections.",
			"What a browser does with a page: up to eight connections at a time, each used again and again.",
			curl("-Z", "--parallel-max", "8", "-w", "%{http_code} %{num_connects}\\n", "-o", os.DevNull, v.base+"_/objects/40/[0-39]?size=20000"),
			countObjects,
		},
		{
			"Sixteen requests without waiting for an answer.",
			"Pipelining: the requests leave together and the answers come back in order, many in one segment.\n" +
				"Neither curl nor a browser does this, so here is our own client.",
			[]string{"ustack", "get", "--pipeline", "-n", "16", v.base + "_/hello"},
			lastLines(2),
		},
	}
	if v.kind == ground.Memory {
		return steps
	}
	steps = append(steps, step{
		"The same over IPv6.",
		"Same stack, same port; forty octets of IP header instead of twenty. The neighbour is not asked\n" +
			"for: a TUN device has no link layer.",
		curl("-g", v.urls()[1]+"_/hello"),
		expect("Hello, World!"),
	})
	if _, err := exec.LookPath("ping"); err == nil {
		steps = append(steps, step{
			"A ping.",
			"ICMP is answered by the stack, too: no port, no connection.",
			[]string{"ping", "-c", "3", "-i", "0.2", v.plan.addrs[0].Addr().String()},
			lastLines(2),
		})
	}
	return steps
}

// expect refuses any other output.
func expect(want string) func(string) (string, error) {
	return func(out string) (string, error) {
		if out != want {
			return "", fmt.Errorf("expected %q", want)
		}
		return out, nil
	}
}

var objectLine = regexp.MustCompile(`(?m)^200 ([01])$`)

func countObjects(out string) (string, error) {
	conns, lines := 0, objectLine.FindAllStringSubmatch(out, -1)
	for _, l := range lines {
		if l[1] == "1" {
			conns++
		}
	}
	if len(lines) != 40 {
		return "", fmt.Errorf("%d of 40 objects came", len(lines))
	}
	return fmt.Sprintf("%d objects came over %d connections", len(lines), conns), nil
}

func lastLines(n int) func(string) (string, error) {
	return func(out string) (string, error) {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return strings.Join(lines[max(0, len(lines)-n):], "\n"), nil
	}
}

func indent(s string) string {
	return "   " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n   ")
}

// quoted is a command as one would type it.
func quoted(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if strings.ContainsAny(a, " *?[]{}\\&$") {
			a = "'" + a + "'"
		}
		b.WriteString(a)
	}
	return b.String()
}
