package control

import (
	"os"
	"path/filepath"
	"slices"
)

// socketName is the socket's name in the directory that the server makes for it.
const socketName = "control.sock"

// bases are where servers keep their sockets, the best first. What root makes belongs into /run, where no other user can
// take the name; an ordinary user has a directory of the session, and where there is none, /tmp.
func bases() []string {
	session := os.Getenv("XDG_RUNTIME_DIR")
	list := []string{session, "/run", "/tmp"}
	if os.Geteuid() == 0 {
		list = []string{"/run", session, "/tmp"}
	}
	return slices.DeleteFunc(list, func(dir string) bool { return !filepath.IsAbs(dir) })
}

// at is the socket of the server on a device, in one of the bases.
func at(base, device string) string { return filepath.Join(base, "ustack-"+device, socketName) }

// candidates are where the server on a device may have its socket. Root looks into everybody's sessions too.
func candidates(device string) []string {
	dirs := bases()
	if os.Geteuid() == 0 {
		sessions, _ := filepath.Glob("/run/user/*") // the pattern is a good one
		dirs = append(dirs, sessions...)
	}
	var list []string
	for _, base := range dirs {
		if path := at(base, device); !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	return list
}
