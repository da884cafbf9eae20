package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ustack/cmd/ustack/internal/priv"
)

// Socket is a listening unix socket. Only its owner, and root, may connect.
type Socket struct {
	*net.UnixListener
	path string
	made os.FileInfo // the socket's file, to be known again
	dir  string      // the directory made for it; "": none
}

// Owners are whom a socket is for.
type Owners struct {
	Started priv.User // who started the server: may connect
	Serving priv.User // whom the server becomes: must be able to remove the socket
}

// Open makes the socket at path, or "": where clients look for the server on the device.
func Open(path, device string, who Owners) (*Socket, error) {
	if path != "" {
		return listen(path, who.Started)
	}
	var problems []error
	for _, base := range bases() {
		s, err := openIn(base, device, who)
		if err == nil || errors.Is(err, syscall.EADDRINUSE) {
			return s, err
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// openIn makes the socket in a directory of its own. The directory becomes that of whom the server becomes: nobody else
// can remove a file from it, and there is no other way to remove a socket that lies in /run once root is given up.
func openIn(base, device string, who Owners) (*Socket, error) {
	path := at(base, device)
	dir := filepath.Dir(path)
	if err := inUse(path); err != nil { // before the directory is taken from whom it is
		return nil, err
	}
	if err := ownDirectory(dir); err != nil {
		return nil, err
	}
	s, err := listen(path, who.Started)
	if err != nil {
		return nil, err
	}
	s.dir = dir
	if err := who.Serving.Own(dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ownDirectory makes dir, or takes it over from an earlier server. Until the socket is there nobody else may change it.
func ownDirectory(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	uid := os.Geteuid()
	owner := ownerOf(info)
	switch {
	case owner == uid:
		return nil
	case uid == 0:
		return errors.Join(os.Lchown(dir, 0, 0), os.Chmod(dir, 0o755))
	}
	return fmt.Errorf("%s belongs to %s", dir, userName(owner))
}

// listen makes a socket that only its owner may use. One that nobody listens on any more gives way.
func listen(path string, owner priv.User) (*Socket, error) {
	if strings.HasPrefix(path, "@") {
		return nil, fmt.Errorf("%s: want the path of a file: sockets without one have no owner", path)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Between bind and chmod a socket would be everybody's.
	mask := syscall.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(mask)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // Close looks first whether it is still ours
	s := &Socket{UnixListener: l, path: path}
	if s.made, err = os.Lstat(path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := owner.Own(path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// staleTime is how long a server may take to answer a connect.
const staleTime = time.Second

// inUse is an error if somebody listens at path, or may do so.
func inUse(path string) error {
	c, err := net.DialTimeout("unix", path, staleTime)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Close()
	return fmt.Errorf("%s: another server listens there: %w", path, syscall.EADDRINUSE)
}

// removeStale removes the socket of a server that has ended. Anything else at path is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there already, and is no socket", path)
	}
	if err := inUse(path); err != nil {
		return err
	}
	return os.Remove(path)
}

// Path is where the socket is.
func (s *Socket) Path() string { return s.path }

// Close ends listening and removes the socket.
func (s *Socket) Close() error {
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	now, gone := os.Lstat(s.path)
	if gone != nil || !os.SameFile(now, s.made) {
		return err
	}
	if e := os.Remove(s.path); e != nil {
		return errors.Join(err, fmt.Errorf("the next server replaces the control socket: %w", e))
	}
	if s.dir != "" {
		_ = os.Remove(s.dir) // in /run the empty directory stays: only root can remove it
	}
	return err
}

// ownerOf returns the user of a file.
func ownerOf(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// userName is what people call a user.
func userName(uid int) string {
	u, err := priv.Lookup(fmt.Sprint(uid))
	if err != nil {
		return fmt.Sprintf("user %d", uid)
	}
	return u.Name
}
