package priv

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Drop makes every thread of the process u: supplementary groups, group and user; no capability left in
// any set, the bounding set included; no_new_privs set, so that no program run from here can gain any.
//
// The notes say, one line each, what could not be done and was not needed to go on: a user namespace
// in which u is not mapped (the process keeps its user, without capabilities), or a binary built with
// cgo. An error means that privileges may still be there: the caller should end.
//
// Every thread has to agree, which needs a binary built with CGO_ENABLED=0 (see syscall.AllThreadsSyscall).
// System calls that other threads are blocked in return EINTR.
func Drop(u User) (notes []string, err error) {
	everyThread := true
	if err := dropBounding(); errors.Is(err, syscall.ENOTSUP) {
		everyThread = false
		notes = append(notes, "built with cgo: no_new_privs and the bounding set stay as they are; build with CGO_ENABLED=0, as make does")
	} else if err != nil {
		return notes, err
	}
	note, err := become(u)
	if err != nil {
		return notes, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	if !everyThread {
		if note != "" && os.Geteuid() == 0 {
			return notes, errors.New("capabilities cannot be cleared: build with CGO_ENABLED=0, as make does")
		}
		return notes, nil
	}
	return notes, clearCapabilities()
}

// become changes user and groups, or says why it is not possible here.
func become(u User) (note string, err error) {
	if os.Geteuid() == u.UID && os.Getegid() == u.GID && os.Getuid() == u.UID {
		return "", nil
	}
	if os.Geteuid() != 0 {
		return fmt.Sprintf("not root: staying user %d instead of %s", os.Geteuid(), u.Name), nil
	}
	known, err := mapped("/proc/self/uid_map", u.UID)
	if err != nil {
		return "", err
	}
	knownGroup, err := mapped("/proc/self/gid_map", u.GID)
	if err != nil {
		return "", err
	}
	if !known || !knownGroup {
		return fmt.Sprintf("user %s (%d) is not mapped in this user namespace: staying user %d, without capabilities", u.Name, u.UID, os.Geteuid()), nil
	}
	groups := u.Groups
	if len(groups) == 0 {
		groups = []int{u.GID}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return "", fmt.Errorf("set the groups of %s: %w", u.Name, err)
	}
	if err := syscall.Setgid(u.GID); err != nil {
		return "", fmt.Errorf("set the group of %s: %w", u.Name, err)
	}
	if err := syscall.Setuid(u.UID); err != nil {
		return "", fmt.Errorf("become %s: %w", u.Name, err)
	}
	return "", nil
}

// dropBounding empties the bounding set, as far as the process may.
func dropBounding() error {
	for c := uintptr(0); ; c++ {
		switch err := prctl(unix.PR_CAPBSET_DROP, c); err {
		case nil:
		case syscall.EINVAL: // beyond the last capability that this kernel knows
			return nil
		case syscall.EPERM: // no CAP_SETPCAP: no_new_privs keeps the set out of reach
			return nil
		default:
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
}

func clearCapabilities() error {
	if err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil && err != syscall.EINVAL {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return fmt.Errorf("clear the capabilities: %w", errno)
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// prctl calls prctl(2) on every thread.
func prctl(option, arg uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, arg, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// mapped reports whether id means something in the user namespace that a map of /proc describes.
func mapped(file string, id int) (bool, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil // a kernel without user namespaces
	}
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil && uint64(id) >= first && uint64(id)-first < count {
			return true, nil
		}
	}
	return false, nil
}
