package link

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Spec describes what Impair does to a link. In is the direction towards the stack, Out the
// one away from it. The zero value does nothing.
type Spec struct {
	In, Out Faults
	Seed    uint64 // of the random faults
}

// Faults are the impairments of one direction. All random ones are independent of each other.
// Lists count from 1.
type Faults struct {
	Loss      float64 // percent of packets lost
	Duplicate float64 // percent of packets sent twice
	Corrupt   float64 // percent of packets with one bit turned over
	Reorder   float64 // percent of packets that the next 1 to 5 packets overtake

	Delay  time.Duration // one way
	Jitter time.Duration // each packet's delay varies by ± this much; it does not reorder
	Rate   int64         // bits per second; 0: no limit
	Queue  int           // octets that wait for their turn at Rate; 0: 256 KiB. The rest is dropped.

	// MTU of the path, octets; 0: no limit. A router answers larger packets with ICMP
	// Fragmentation Needed or Packet Too Big, or with MTUSilent just drops them.
	MTU       int
	MTUSilent bool

	// Exact faults, counted for each TCP connection: the n-th segment with data (a
	// retransmission counts again), or with SYN.
	DropData, DupData, CorruptData, DropSYN []int
	HoldData                                []Hold
}

// Hold keeps the N-th data segment back for a while; later ones overtake it.
type Hold struct {
	N   int
	For time.Duration
}

const (
	defaultQueue = 256 << 10
	maxDelay     = time.Hour
	maxNth       = 1 << 30
)

// IsZero reports whether f does nothing.
func (f *Faults) IsZero() bool {
	return f.Loss == 0 && f.Duplicate == 0 && f.Corrupt == 0 && f.Reorder == 0 && f.Delay == 0 && f.Jitter == 0 &&
		f.Rate == 0 && f.MTU == 0 && !f.exact()
}

func (f *Faults) exact() bool {
	return len(f.DropData)+len(f.DupData)+len(f.CorruptData)+len(f.DropSYN)+len(f.HoldData) > 0
}

// IsZero reports whether s does nothing.
func (s Spec) IsZero() bool { return s.In.IsZero() && s.Out.IsZero() }

// field is one key of the notation.
type field struct {
	key   string
	list  bool // takes further values after commas
	parse func(f *Faults, value string) error
	print func(f *Faults) string // "" if unset
}

// fields are in the order of String.
var fields = []field{
	percent("loss", func(f *Faults) *float64 { return &f.Loss }),
	duration("delay", func(f *Faults) *time.Duration { return &f.Delay }),
	duration("jitter", func(f *Faults) *time.Duration { return &f.Jitter }),
	{"rate", false, parseRate, printRate},
	{"queue", false, parseQueue, printQueue},
	percent("reorder", func(f *Faults) *float64 { return &f.Reorder }),
	percent("duplicate", func(f *Faults) *float64 { return &f.Duplicate }),
	percent("corrupt", func(f *Faults) *float64 { return &f.Corrupt }),
	{"mtu", false, parseMTU, printMTU},
	counts("drop", func(f *Faults) *[]int { return &f.DropData }),
	counts("dup", func(f *Faults) *[]int { return &f.DupData }),
	{"hold", true, parseHold, printHold},
	counts("corrupt", func(f *Faults) *[]int { return &f.CorruptData }),
	counts("drop-syn", func(f *Faults) *[]int { return &f.DropSYN }),
}

// ParseSpec reads the notation of the command's --impair: items separated by commas or spaces,
//
//	loss=1%,delay=20ms,jitter=5ms,rate=100mbit,queue=64k,reorder=1%,duplicate=0.1%,corrupt=0.01%,mtu=1280,seed=7
//
// and exact faults on data segments counted per connection, with lists:
//
//	drop=3,7 dup=5 hold=4:50ms corrupt=9 drop-syn=1
//
// corrupt= with a percent sign is random, without it is exact. mtu=1280:silent drops without an
// ICMP answer. An item counts for both directions unless prefixed in: or out:, as seen from the
// stack. The error names the item.
func ParseSpec(text string) (Spec, error) {
	var s Spec
	var last *field // a list that a bare value continues
	var to []*Faults
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			if last == nil || !last.list {
				return Spec{}, fmt.Errorf("impairment %q: want key=value", item)
			}
			value = item
		} else {
			to = []*Faults{&s.In, &s.Out}
			name := key
			if rest, ok := strings.CutPrefix(key, "in:"); ok {
				name, to = rest, to[:1]
			} else if rest, ok := strings.CutPrefix(key, "out:"); ok {
				name, to = rest, to[1:]
			}
			if key == "seed" {
				n, err := strconv.ParseUint(value, 10, 64)
				if err != nil {
					return Spec{}, fmt.Errorf("impairment %q: want a whole number", item)
				}
				s.Seed, last = n, nil
				continue
			}
			if last = lookup(name, value); last == nil {
				return Spec{}, fmt.Errorf("impairment %q: unknown; there are %s and seed", item, keys())
			}
		}
		for _, f := range to {
			if err := last.parse(f, value); err != nil {
				return Spec{}, fmt.Errorf("impairment %q: %w", item, err)
			}
		}
	}
	return s, nil
}

// lookup finds the field; corrupt is two, and only the random one takes a percent sign.
func lookup(name, value string) *field {
	i := slices.IndexFunc(fields, func(f field) bool {
		return f.key == name && (name != "corrupt" || f.list != strings.HasSuffix(value, "%"))
	})
	if i < 0 {
		return nil
	}
	return &fields[i]
}

func keys() string {
	var names []string
	for _, f := range fields {
		names = append(names, f.key)
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(names))), " ")
}

// String returns the notation that ParseSpec reads.
func (s Spec) String() string {
	var items []string
	for _, f := range fields {
		in, out := f.print(&s.In), f.print(&s.Out)
		if in == out && in != "" {
			items = append(items, f.key+"="+in)
			continue
		}
		if in != "" {
			items = append(items, "in:"+f.key+"="+in)
		}
		if out != "" {
			items = append(items, "out:"+f.key+"="+out)
		}
	}
	if s.Seed != 0 {
		items = append(items, "seed="+strconv.FormatUint(s.Seed, 10))
	}
	return strings.Join(items, ",")
}

func percent(key string, at func(*Faults) *float64) field {
	return field{key, false,
		func(f *Faults, value string) error {
			number, ok := strings.CutSuffix(value, "%")
			p, err := strconv.ParseFloat(number, 64)
			if !ok || err != nil || !(p >= 0 && p <= 100) {
				return errors.New("want a percentage from 0% to 100%")
			}
			*at(f) = math.Abs(p) // no negative zero
			return nil
		},
		func(f *Faults) string {
			if *at(f) == 0 {
				return ""
			}
			return strconv.FormatFloat(*at(f), 'g', -1, 64) + "%"
		}}
}

func duration(key string, at func(*Faults) *time.Duration) field {
	return field{key, false,
		func(f *Faults, value string) error {
			d, err := parseDelay(value)
			*at(f) = d
			return err
		},
		func(f *Faults) string {
			if *at(f) == 0 {
				return ""
			}
			return at(f).String()
		}}
}

func parseDelay(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > maxDelay {
		return 0, errors.New("want a time such as 20ms, at most 1h")
	}
	return d, nil
}

func counts(key string, at func(*Faults) *[]int) field {
	return field{key, true,
		func(f *Faults, value string) error {
			n, err := parseNth(value)
			if err == nil && !slices.Contains(*at(f), n) {
				*at(f) = append(*at(f), n)
			}
			return err
		},
		func(f *Faults) string {
			var s []string
			for _, n := range *at(f) {
				s = append(s, strconv.Itoa(n))
			}
			return strings.Join(s, ",")
		}}
}

func parseNth(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxNth {
		return 0, errors.New("want a count from 1")
	}
	return n, nil
}

func parseHold(f *Faults, value string) error {
	nth, wait, ok := strings.Cut(value, ":")
	n, err := parseNth(nth)
	if !ok || err != nil {
		return errors.New("want a count and a time, such as 4:50ms")
	}
	d, err := parseDelay(wait)
	if err != nil {
		return err
	}
	f.HoldData = append(f.HoldData, Hold{n, d})
	return nil
}

func printHold(f *Faults) string {
	var s []string
	for _, h := range f.HoldData {
		s = append(s, fmt.Sprintf("%d:%v", h.N, h.For))
	}
	return strings.Join(s, ",")
}

// suffixed splits a number from its unit.
func suffixed(value string, units map[string]int64) (int64, bool) {
	i := len(value)
	for i > 0 && (value[i-1] < '0' || value[i-1] > '9') {
		i--
	}
	n, err := strconv.ParseInt(value[:i], 10, 64)
	unit, ok := units[strings.ToLower(value[i:])]
	if err != nil || !ok || n < 1 || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// printSuffixed uses the largest unit that divides n.
func printSuffixed(n int64, names []string, step int64) string {
	i := 0
	for n%step == 0 && i < len(names)-1 {
		n /= step
		i++
	}
	return strconv.FormatInt(n, 10) + names[i]
}

const maxRate = 1_000_000_000_000

func parseRate(f *Faults, value string) error {
	n, ok := suffixed(value, map[string]int64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9})
	if !ok || n > maxRate {
		return errors.New("want a rate such as 100mbit (bit, kbit, mbit, gbit), at most 1000gbit")
	}
	f.Rate = n
	return nil
}

func printRate(f *Faults) string {
	if f.Rate == 0 {
		return ""
	}
	return printSuffixed(f.Rate, []string{"bit", "kbit", "mbit", "gbit"}, 1000)
}

func parseQueue(f *Faults, value string) error {
	n, ok := suffixed(value, map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20})
	if !ok || n > 1<<30 {
		return errors.New("want octets such as 64k (k, m), at most 1024m")
	}
	f.Queue = int(n)
	return nil
}

func printQueue(f *Faults) string {
	if f.Queue == 0 {
		return ""
	}
	return printSuffixed(int64(f.Queue), []string{"", "k", "m"}, 1024)
}

const silent = ":silent"

func parseMTU(f *Faults, value string) error {
	number, quiet := strings.CutSuffix(value, silent)
	n, err := strconv.Atoi(number)
	if err != nil || n < 68 || n > 65535 {
		return errors.New("want octets from 68 to 65535, or such as 1280" + silent)
	}
	f.MTU, f.MTUSilent = n, quiet
	return nil
}

func printMTU(f *Faults) string {
	switch {
	case f.MTU == 0:
		return ""
	case f.MTUSilent:
		return strconv.Itoa(f.MTU) + silent
	}
	return strconv.Itoa(f.MTU)
}
