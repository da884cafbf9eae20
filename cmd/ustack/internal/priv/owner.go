package priv

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

// Starter returns who started the process: the user who called sudo, else the user of the process.
func Starter() (User, error) {
	if uid := os.Getenv("SUDO_UID"); uid != "" && os.Geteuid() == 0 {
		return Lookup(uid)
	}
	return Lookup(strconv.Itoa(os.Geteuid()))
}

// Own gives what lies at path to u, as Chown does with an open file: it is for what cannot be opened.
func (u User) Own(path string) error {
	if os.Geteuid() == u.UID {
		return nil
	}
	if ok, err := mapped("/proc/self/uid_map", u.UID); err != nil || !ok {
		return err
	}
	err := os.Lchown(path, u.UID, u.GID)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("give %s to %s: %w", path, u.Name, err)
	}
	return err
}
