package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/gopacket/gopacket/pcapgo"
)

// firstPackets is how much of the first connection the tour shows.
const firstPackets = 9

// look opens the capture that the tour has left.
func (v *venue) look(ctx context.Context) error {
	packets, octets, err := countPackets(v.plan.pcap)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	v.console.say("The capture holds %d packets, %d octets.", packets, octets)
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		v.console.say("   (with tshark installed you would see the first connection here)\n")
		return nil
	}
	out, err := exec.CommandContext(ctx, tshark, "-r", v.plan.pcap, "-Y", "tcp.stream == 0", "-c", fmt.Sprint(firstPackets)).Output()
	if err != nil {
		v.console.say("   (tshark could not show it: %v)\n", err)
		return nil
	}
	v.console.say("This is the first connection, SYN to FIN, and what the stack said of each packet:\n%s\n",
		indent(explained(string(out), v.plan.pcap)))
	return nil
}

// explained puts under each line that tshark says of a packet what the comment in the file says, but for what the
// connection was like.
func explained(lines, file string) string {
	comments := firstComments(file, 100)
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(line)
		var number int
		if _, err := fmt.Sscan(line, &number); err == nil && 0 < number && number <= len(comments) {
			what, _, _ := strings.Cut(comments[number-1], " · cwnd ")
			fmt.Fprintf(&b, "           %s\n", what)
		}
	}
	return b.String()
}

// firstComments returns the last comment of each of the first n packets of a file, as far as they can be read.
func firstComments(file string, n int) (comments []string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(bufio.NewReader(f), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return nil
	}
	for range n {
		_, _, options, err := r.ReadPacketDataWithOptions()
		if err != nil {
			break
		}
		comment := ""
		if c := options.Comments; len(c) > 0 {
			comment = c[len(c)-1]
		}
		comments = append(comments, comment)
	}
	return comments
}

func countPackets(file string) (packets, octets int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(bufio.NewReader(f), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return 0, 0, err
	}
	for {
		_, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets, octets, nil
		}
		if err != nil {
			return packets, octets, err
		}
		packets++
		octets += info.Length
	}
}
