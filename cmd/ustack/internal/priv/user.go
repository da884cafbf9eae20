// Package priv gives up privileges once everything that needs them is open.
package priv

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// User is whom a process becomes.
type User struct {
	Name   string
	UID    int
	GID    int
	Groups []int // supplementary groups
}

// Lookup finds a user by name or numeric id. A numeric id without a passwd entry is taken as it is,
// with a group of the same number.
func Lookup(name string) (User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		id, notNumber := strconv.ParseUint(name, 10, 31)
		if notNumber != nil {
			return User{}, fmt.Errorf("user %q: no such user on this machine", name)
		}
		if u, err = user.LookupId(name); err != nil {
			return User{Name: name, UID: int(id), GID: int(id)}, nil
		}
	}
	out := User{Name: u.Username}
	if out.UID, err = strconv.Atoi(u.Uid); err != nil {
		return User{}, fmt.Errorf("user %q: uid %q: %w", name, u.Uid, err)
	}
	if out.GID, err = strconv.Atoi(u.Gid); err != nil {
		return User{}, fmt.Errorf("user %q: gid %q: %w", name, u.Gid, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("user %q: groups: %w", name, err)
	}
	for _, g := range groups {
		if gid, err := strconv.Atoi(g); err == nil {
			out.Groups = append(out.Groups, gid)
		}
	}
	return out, nil
}

// Default returns whom to become when nobody says: root becomes the user who called sudo, else nobody;
// anyone else stays who they are.
func Default() (User, error) {
	if os.Geteuid() != 0 {
		return Lookup(strconv.Itoa(os.Geteuid()))
	}
	if uid := os.Getenv("SUDO_UID"); uid != "" && uid != "0" {
		return Lookup(uid)
	}
	if u, err := Lookup("nobody"); err == nil {
		return u, nil
	}
	return User{Name: "nobody", UID: overflowID, GID: overflowID}, nil
}

// overflowID is the kernel's own number for nobody.
const overflowID = 65534

// Chown gives an open file to u. It is meant for files made before Drop. Where u means nothing to the
// file's system (an unmapped user) the file stays whose it is.
func (u User) Chown(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || os.Geteuid() == u.UID {
		return nil
	}
	if ok, err := mapped("/proc/self/uid_map", u.UID); err != nil || !ok {
		return err
	}
	err = f.Chown(u.UID, u.GID)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("give %s to %s: %w", f.Name(), u.Name, err)
	}
	return err
}
