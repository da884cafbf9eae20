package files

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// ident is what changes when a file changes. The time of change is part of it because the time of modification
// can be set: who copies over a file and keeps its old date and size would go unnoticed.
type ident struct {
	device, inode  uint64
	size           int64
	mtime, changed int64 // nanoseconds since 1970
	torn           bool  // the file changed while it was read
}

// clockTick is more than the grain of the times of any file system's clock: within it a file may change again and
// keep its times.
const clockTick = 20 * time.Millisecond

// settled reports whether a change from now on shows in the times. A time of modification that was set, to the future
// perhaps, says nothing about that where there is a time of change.
func (id ident) settled(now time.Time) bool {
	last := id.changed
	if last == 0 {
		last = id.mtime
	}
	return now.UnixNano()-last > int64(clockTick)
}

// etag is the entity tag of the file. It is made of what Stat tells and not of the content, because a
// large file would have to be read for each HEAD and each 304, and small ones shall not differ from
// large ones: a file keeps its tag when it grows past the cache's limit and back. It is hashed, because
// inode numbers are not the public's. It is weak when the content may still change under it.
func (id ident) etag(now time.Time) etag {
	var b [40]byte
	for i, v := range []uint64{id.device, id.inode, uint64(id.size), uint64(id.mtime), uint64(id.changed)} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	sum := sha256.Sum256(b[:])
	return etag{opaque: `"` + hex.EncodeToString(sum[:12]) + `"`, weak: id.torn || !id.settled(now)}
}
