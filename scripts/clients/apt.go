package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// packages is apt-get.
func packages() []client {
	return []client{{"apt-get", "update, and install 30 packages with Pipeline-Depth=10", []string{"apt-get", "dpkg-deb", "apt-ftparchive", "tshark"}, aptGet}}
}

// debCount is how many packages are installed.
const debCount = 30

// aptDepth is how many requests apt may have under way.
const aptDepth = 10

// aptSettings are all that apt knows: nothing of this machine's packages or sources, and a root of its own to install into.
const aptSettings = `
Dir "%[1]s/apt/";
Dir::State::status "%[1]s/root/var/lib/dpkg/status";
Dir::Bin::methods "/usr/lib/apt/methods/";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dpkg::Options { "--root=%[1]s/root"; "--force-script-chrootless"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::http::Pipeline-Depth "%[2]d";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Proxy "DIRECT";
`

func aptGet(s *stage) error {
	repo, err := s.repository()
	if err != nil {
		return err
	}
	capture := filepath.Join(s.dir, "capture.pcapng")
	if err := s.start("--root", repo, "--pcap", capture); err != nil {
		return err
	}
	if err := s.aptRoot(); err != nil {
		return err
	}
	apt := func(args ...string) (string, error) {
		return s.try(2*time.Minute, "env", append([]string{"APT_CONFIG=" + filepath.Join(s.work, "apt.conf"), "apt-get", "-y", "-q"}, args...)...)
	}
	if _, err := apt("update"); err != nil {
		return err
	}
	if _, err := apt(append([]string{"install"}, debNames()...)...); err != nil {
		return err
	}
	s.installed()
	s.stop()
	s.requests = s.tally.count(all)
	debs := s.tally.count(func(a answer) bool { return a.Status == 200 && strings.HasSuffix(a.Target, ".deb") })
	s.want("packages that went out", debs, debCount)
	_, err = s.pipelined(capture, aptDepth/2)
	return err
}

// debNames names the packages.
func debNames() []string {
	names := make([]string, debCount)
	for i := range names {
		names[i] = "ustack-small-" + strconv.Itoa(i+1)
	}
	return names
}

// debFile is the one file that a package brings, below the root.
func debFile(name string) string { return filepath.Join("usr/share", name, "data") }

// debData is what stands in it: octets that do not compress, more with each package.
func debData(i int) []byte { return random(make([]byte, (i+1)*700))[i*100:] }

// repository makes a flat repository of small packages and returns its directory.
func (s *stage) repository() (string, error) {
	repo := filepath.Join(s.work, "repo")
	if err := os.Mkdir(repo, 0o755); err != nil {
		return "", err
	}
	for i, name := range debNames() {
		tree := filepath.Join(s.work, "tree", name)
		control := fmt.Sprintf("Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: number %d\n", name, i)
		for file, body := range map[string][]byte{"DEBIAN/control": []byte(control), debFile(name): debData(i)} {
			path := filepath.Join(tree, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return "", err
			}
			if err := os.WriteFile(path, body, 0o644); err != nil {
				return "", err
			}
		}
		if _, err := s.try(time.Minute, "dpkg-deb", "--root-owner-group", "--build", tree, repo); err != nil {
			return "", err
		}
	}
	return repo, s.index(repo)
}

// index writes what apt reads first: the hashes of the packages, and the hash of those.
func (s *stage) index(repo string) error {
	for _, file := range []string{"Packages", "Release"} {
		_, err := s.try(time.Minute, "sh", "-c", `cd "$1" && apt-ftparchive "$2" . >"$3"`, "sh", repo, strings.ToLower(file), file)
		if err != nil {
			return err
		}
	}
	return nil
}

// aptRoot makes a root without any package, and the directories that apt works in.
func (s *stage) aptRoot() error {
	for _, dir := range []string{
		"root/var/lib/dpkg/info", "root/var/lib/dpkg/updates", "root/var/lib/dpkg/triggers", "apt/etc/apt/apt.conf.d", "apt/etc/apt/preferences.d",
		"apt/etc/apt/trusted.gpg.d", "apt/var/lib/apt/lists/partial", "apt/var/cache/apt/archives/partial", "apt/var/log/apt",
	} {
		if err := os.MkdirAll(filepath.Join(s.work, dir), 0o755); err != nil {
			return err
		}
	}
	s.file("root/var/lib/dpkg/status", nil)
	s.file("apt/etc/apt/sources.list", []byte("deb [trusted=yes] "+baseURL+" ./\n"))
	s.file("apt.conf", fmt.Appendf(nil, aptSettings, s.work, aptDepth))
	return nil
}

// installed expects each package's file, whole, under the root.
func (s *stage) installed() {
	for i, name := range debNames() {
		s.content(filepath.Join("root", debFile(name)), debData(i))
	}
}
