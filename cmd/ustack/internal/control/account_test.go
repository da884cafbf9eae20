package control

import (
	"reflect"
	"testing"

	"ustack/stack"
	"ustack/stack/tcb"
)

// TestAccount: all that a connection accounts for is told, each under its own name: numbers as they are, times in
// microseconds, and those of what never was as -1.
func TestAccount(t *testing.T) {
	var info stack.Info
	from := reflect.ValueOf(&info.Account).Elem()
	for i := range from.NumField() {
		switch f := from.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint32, reflect.Uint64:
			f.SetUint(uint64(1000 * (i + 1)))
		default:
			f.SetInt(int64(1000 * (i + 1)))
		}
	}
	got := accountOf(&info)
	names := map[string]string{"OutOfOrder": "SegsOutOfOrder", "SendMSS": ""} // MSS and PathMTU say the last one
	for i := range from.NumField() {
		field := from.Type().Field(i)
		name, other := names[field.Name]
		if !other {
			name = field.Name
		}
		if name == "" {
			continue
		}
		f := reflect.ValueOf(got).FieldByName(name)
		if !f.IsValid() {
			t.Errorf("%s is not told", field.Name)
			continue
		}
		want := int64(1000 * (i + 1))
		if field.Type == reflect.TypeFor[tcb.Time]() {
			want /= 1000
		}
		if f.Kind() == reflect.Bool && !f.Bool() || f.CanInt() && f.Int() != want || f.CanUint() && f.Uint() != uint64(want) {
			t.Errorf("%s is %v, want %d", name, f, want)
		}
	}
	info.SinceDataSent, info.SinceReceived, info.DelayedACK = -1, -1, -1
	if got := accountOf(&info); got.SinceDataSent != -1 || got.SinceReceived != -1 || got.DelayedACK != -1 {
		t.Errorf("%+v: want -1 for what never was", got)
	}
}
