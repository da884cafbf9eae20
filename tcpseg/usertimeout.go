package tcpseg

import (
	"encoding/binary"
	"time"
)

// UserTimeout is the value of a user timeout option as it is on the wire (RFC 5482 §3): a granularity bit, set for
// minutes and clear for seconds, and 15 bits of the number. A number of 0 means nothing.
type UserTimeout uint16

const (
	inMinutes      UserTimeout = 1 << 15
	maxUserTimeout             = 1<<15 - 1
)

// ToUserTimeout returns d rounded up, to seconds where they can say it, else to minutes; at least one second and at most
// 32767 minutes.
func ToUserTimeout(d time.Duration) UserTimeout {
	if s := (max(d, 1)-1)/time.Second + 1; s <= maxUserTimeout {
		return UserTimeout(s)
	}
	return inMinutes | UserTimeout(min((d-1)/time.Minute+1, maxUserTimeout))
}

// Duration returns the time that u says.
func (u UserTimeout) Duration() time.Duration {
	n := time.Duration(u &^ inMinutes)
	if u&inMinutes != 0 {
		return n * time.Minute
	}
	return n * time.Second
}

// setUserTimeout takes the value of an option; one without a number is as good as none.
func (o *Options) setUserTimeout(v []byte) {
	o.UserTimeout = UserTimeout(binary.BigEndian.Uint16(v))
	if o.UserTimeout&^inMinutes == 0 {
		o.UserTimeout = 0
	}
}
