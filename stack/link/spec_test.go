package link

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseSpec(t *testing.T) {
	both := func(f Faults) Spec { return Spec{In: f, Out: f} }
	for _, c := range []struct {
		text string
		want Spec
	}{
		{"", Spec{}},
		{"loss=1%,delay=20ms,jitter=5ms,rate=100mbit,queue=64k,reorder=1%,duplicate=0.1%,corrupt=0.01%,mtu=1280,seed=7",
			Spec{Seed: 7,
				In: Faults{Loss: 1, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 100e6, Queue: 65536,
					Reorder: 1, Duplicate: 0.1, Corrupt: 0.01, MTU: 1280},
				Out: Faults{Loss: 1, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 100e6, Queue: 65536,
					Reorder: 1, Duplicate: 0.1, Corrupt: 0.01, MTU: 1280}}},
		{"drop=3,7 dup=5 hold=4:50ms corrupt=9 drop-syn=1",
			both(Faults{DropData: []int{3, 7}, DupData: []int{5}, HoldData: []Hold{{4, 50 * time.Millisecond}},
				CorruptData: []int{9}, DropSYN: []int{1}})},
		{"in:loss=5%,out:delay=1s rate=8bit", Spec{In: Faults{Loss: 5, Rate: 8}, Out: Faults{Delay: time.Second, Rate: 8}}},
		{"in:drop=1,2,loss=1%", Spec{In: Faults{DropData: []int{1, 2}, Loss: 1}, Out: Faults{Loss: 1}}},
		{"hold=1:1ms,2:2ms,drop=4", both(Faults{HoldData: []Hold{{1, 1e6}, {2, 2e6}}, DropData: []int{4}})},
		{"mtu=1280:silent", both(Faults{MTU: 1280, MTUSilent: true})},
		{"loss=0%", Spec{}},
	} {
		got, err := ParseSpec(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", c.text, got, err, c.want)
		}
		again, err := ParseSpec(got.String())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q: String gives %q, which reads as %+v, %v", c.text, got.String(), again, err)
		}
	}
}

func TestSpecString(t *testing.T) {
	const want = "in:loss=1%,delay=20ms,rate=100mbit,queue=64k,drop=3,7,out:hold=4:50ms,corrupt=9,seed=7"
	s, err := ParseSpec(want)
	if err != nil || s.String() != want {
		t.Errorf("String = %q, %v", s.String(), err)
	}
}

func TestParseSpecRefuses(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"loss", "key=value"},
		{"7", "key=value"},
		{"loss=1%,7", "key=value"},
		{"loss=1", "percentage"},
		{"loss=101%", "percentage"},
		{"loss=-1%", "percentage"},
		{"loss=NaN%", "percentage"},
		{"delay=20", "time such as"},
		{"delay=-1ms", "time such as"},
		{"delay=2h", "at most 1h"},
		{"rate=100", "such as 100mbit"},
		{"rate=0mbit", "such as 100mbit"},
		{"rate=9223372036854775807gbit", "such as 100mbit"},
		{"queue=-1k", "octets"},
		{"mtu=67", "68 to 65535"},
		{"mtu=1280:loud", "68 to 65535"},
		{"drop=0", "count from 1"},
		{"drop=x", "count from 1"},
		{"hold=4", "count and a time"},
		{"hold=4:1y", "time such as"},
		{"seed=-1", "whole number"},
		{"in:seed=1", "unknown"},
		{"up:loss=1%", "unknown"},
		{"los=1%", "there are corrupt delay drop drop-syn dup duplicate hold jitter loss mtu queue rate reorder and seed"},
	} {
		_, err := ParseSpec(c.text)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v; want %q", c.text, err, c.says)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add("loss=1%,delay=20ms,jitter=5ms,rate=100mbit,queue=64k,in:reorder=1%,out:duplicate=0.1%,corrupt=0.01%,mtu=1280,seed=7")
	f.Add("drop=3,7 dup=5 hold=4:50ms corrupt=9 drop-syn=1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpec(text)
		if err != nil {
			return
		}
		again, err := ParseSpec(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v prints as %q, which reads as %+v, %v", s, s.String(), again, err)
		}
	})
}
