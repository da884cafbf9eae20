//go:build !linux

package files

import "os"

// identOf does without inode and time of change where they have other names.
func identOf(info os.FileInfo) ident {
	return ident{size: info.Size(), mtime: info.ModTime().UnixNano()}
}
