package tcpseg

import (
	"bytes"
	"testing"
	"time"
)

// req: 5482-01
func TestUserTimeout(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		wire UserTimeout
		back time.Duration
	}{
		{0, 1, time.Second},
		{time.Nanosecond, 1, time.Second},
		{time.Second, 1, time.Second},
		{1500 * time.Millisecond, 2, 2 * time.Second},
		{5 * time.Minute, 300, 5 * time.Minute},
		{32767 * time.Second, 0x7fff, 32767 * time.Second},
		{32768 * time.Second, 0x8000 | 547, 547 * time.Minute},
		{32767 * time.Minute, 0xffff, 32767 * time.Minute},
		{1<<63 - 1, 0xffff, 32767 * time.Minute},
	} {
		if got := ToUserTimeout(c.d); got != c.wire || got.Duration() != c.back {
			t.Errorf("%v: %#x, which is %v; want %#x, %v", c.d, uint16(got), got.Duration(), uint16(c.wire), c.back)
		}
	}
}

// req: 5482-01 5482-03
func TestUserTimeoutOption(t *testing.T) {
	for _, c := range []struct {
		option []byte
		want   UserTimeout
	}{
		{[]byte{28, 4, 0x01, 0x2c}, 300},
		{[]byte{28, 4, 0x80, 0x05}, 0x8005},
		{[]byte{28, 4, 0, 0}, 0},       // without a number
		{[]byte{28, 4, 0x80, 0}, 0},    // of minutes too
		{[]byte{28, 3, 1, 1}, 0},       // too short
		{[]byte{28, 6, 0, 9, 0, 0}, 0}, // too long
	} {
		var o Options
		o.parse(c.option, false)
		if o.UserTimeout != c.want {
			t.Errorf("% x: %#x, want %#x", c.option, uint16(o.UserTimeout), uint16(c.want))
		}
		if c.want != 0 && (!bytes.Equal(o.appendTo(nil), c.option) || o.Len() != 4) {
			t.Errorf("% x is written as % x, %d octets", c.option, o.appendTo(nil), o.Len())
		}
	}
	h := Header{Flags: ACK, Options: Options{HasTimestamps: true, UserTimeout: 7, SACKCount: 4}}
	if n := len(h.AppendTo(nil)); n > MaxHeaderLen {
		t.Errorf("a header of %d octets", n)
	}
}
