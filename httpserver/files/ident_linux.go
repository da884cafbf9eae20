package files

import (
	"os"
	"syscall"
)

func identOf(info os.FileInfo) ident {
	id := ident{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id.device, id.inode = uint64(s.Dev), s.Ino
		id.changed = s.Ctim.Nano()
	}
	return id
}
