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

	"github.com/gopacket/gopacket"
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
	_ = eachPacket(file, func(_ gopacket.CaptureInfo, o pcapgo.NgPacketOptions) bool { // what could be read is as good
		comment := ""
		if c := o.Comments; len(c) > 0 {
			comment = c[len(c)-1]
		}
		comments = append(comments, comment)
		return len(comments) < n
	})
	return comments
}

func countPackets(file string) (packets, octets int, err error) {
	err = eachPacket(file, func(info gopacket.CaptureInfo, _ pcapgo.NgPacketOptions) bool {
		packets++
		octets += info.Length
		return true
	})
	return packets, octets, err
}

// eachPacket shows f the packets of a capture, until it returns false or there are no more.
func eachPacket(file string, f func(gopacket.CaptureInfo, pcapgo.NgPacketOptions) bool) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := pcapgo.NewNgReader(bufio.NewReader(in), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return err
	}
	for {
		_, info, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !f(info, options) {
			return nil
		}
	}
}
