package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"ustack/cmd/ustack/internal/postmortem"
	"ustack/stack/trace/pcapng"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// captureFlags are the flags of captures as they were given.
type captureFlags struct {
	pcap    string
	snapLen int
	rotate  string
	keep    int
	dead    string
	last    int
}

func (f *captureFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.pcap, "pcap", "", "write every packet to this pcapng file, with a comment that says why; -: to standard output, for wireshark -k -i -")
	flags.IntVar(&f.snapLen, "pcap-snaplen", 0, "octets to write of each packet [all]")
	flags.StringVar(&f.rotate, "pcap-rotate", "", "begin a new file when one has this size, as 100m: FILE becomes FILE_00001_TIME, FILE_00002_TIME, …")
	flags.IntVar(&f.keep, "pcap-files", 0, "how many such files to keep, the last ones [all]")
	flags.StringVar(&f.dead, "pcap-dead", "", "write the last packets of each connection that dies, by a reset or a time-out, to a file of its own in this directory")
	flags.IntVar(&f.last, "pcap-dead-packets", defaultLast, "how many packets of each")
}

// capturePlan is what is to be captured.
type capturePlan struct {
	pcap    string // a file, or toStdout
	snapLen int    // octets of each packet; 0: all
	rotate  int64  // size of a file after which the next begins; 0: there is one
	keep    int    // so many files, the last ones; 0: all
	dead    string // directory for connections that die; "": none
	last    int    // packets of each
}

// toStdout is the --pcap of who pipes the capture into Wireshark.
const toStdout = "-"

const (
	defaultLast = 64
	minSnapLen  = 128 // holds the headers of a TCP segment over IPv6, options and all
	minRotate   = 64 << 10
)

// plan checks the flags. It touches nothing.
func (f *captureFlags) plan() (p capturePlan, err error) {
	p = capturePlan{pcap: f.pcap, snapLen: f.snapLen, keep: f.keep, dead: f.dead, last: f.last}
	switch {
	case f.snapLen != 0 && f.pcap == "" && f.dead == "":
		return p, errors.New("--pcap-snaplen goes with --pcap FILE or --pcap-dead DIR")
	case f.snapLen != 0 && (f.snapLen < minSnapLen || f.snapLen > pcapng.DefaultSnapLen):
		return p, fmt.Errorf("--pcap-snaplen %d: want %d to %d octets", f.snapLen, minSnapLen, pcapng.DefaultSnapLen)
	case f.last < 1 || f.last > postmortem.MaxPackets:
		return p, fmt.Errorf("--pcap-dead-packets %d: want 1 to %d", f.last, postmortem.MaxPackets)
	case f.last != defaultLast && f.dead == "":
		return p, errors.New("--pcap-dead-packets goes with --pcap-dead DIR")
	case f.keep < 0:
		return p, fmt.Errorf("--pcap-files %d: want 1 or more", f.keep)
	case f.rotate == "" && f.keep != 0:
		return p, errors.New("--pcap-files goes with --pcap-rotate SIZE")
	case f.rotate == "":
		return p, nil
	case f.pcap == "" || f.pcap == toStdout:
		return p, errors.New("--pcap-rotate goes with --pcap FILE")
	}
	if p.rotate, err = parseSize(f.rotate); err != nil || p.rotate < minRotate {
		return p, fmt.Errorf("--pcap-rotate %q: want a size from 64k, as 100m", f.rotate)
	}
	return p, nil
}

// checkDirectories refuses directories in which this process, as whoever it is now, cannot make the files that it is going
// to make later.
func (p *nodePlan) checkDirectories() error {
	if p.rotate > 0 {
		if err := p.mayMakeFiles("--pcap-rotate", filepath.Dir(p.pcap)); err != nil {
			return err
		}
	}
	if p.dead != "" {
		return p.mayMakeFiles("--pcap-dead", p.dead)
	}
	return nil
}

func (p *nodePlan) mayMakeFiles(flag, dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &hintError{
			fmt.Errorf("%s: %s, whom ustack becomes, has to make files in %s: %w", flag, p.user.Name, dir, err),
			fmt.Sprintf("choose a directory of theirs (sudo install -d -o %s DIR), or another user with --user", p.user.Name),
		}
	}
	return nil
}
