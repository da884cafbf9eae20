package cc

import (
	"math"
	"slices"
)

// DefaultInitialWindow is the initial window in segments (RFC 6928 §2).
const DefaultInitialWindow = 10

// MaxWindow is as far as any window grows, in octets: no peer can advertise
// more (RFC 7323 §2.3).
const MaxWindow = 1 << 30

// infinite is ssthresh before the first reduction: arbitrarily high (RFC 5681 §3.1).
const infinite = math.MaxInt

var controllers = map[string]New{
	"cubic": NewCubic,
	"reno":  NewReno,
}

// ByName returns the controller that flags call name; false: there is none.
func ByName(name string) (New, bool) {
	n, ok := controllers[name]
	return n, ok
}

// Names returns the names ByName knows, sorted.
func Names() []string {
	names := make([]string, 0, len(controllers))
	for name := range controllers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// window is what the controllers share: cwnd and ssthresh in octets, and the
// rules of RFC 5681 that CUBIC takes over unchanged.
type window struct {
	mss      int
	segments int // of the initial window
	cwnd     int
	ssthresh int
}

func newWindow(p Params) window {
	p.MSS = max(p.MSS, 1)
	if p.InitialWindow < 1 {
		p.InitialWindow = DefaultInitialWindow
	}
	w := window{mss: p.MSS, segments: p.InitialWindow, cwnd: p.InitialWindowBytes(), ssthresh: infinite}
	if p.Window > 0 {
		w.cwnd, w.ssthresh = min(max(p.Window, p.MSS), MaxWindow), max(p.SSThresh, 2*p.MSS)
	}
	return w
}

// Window returns cwnd.
func (w *window) Window() int { return w.cwnd }

// SSThresh returns the slow-start threshold; math.MaxInt before the first reduction.
func (w *window) SSThresh() int { return w.ssthresh }

// PacingRate returns 0: nothing is paced.
func (w *window) PacingRate() int { return 0 }

// inSlowStart leaves equality, where RFC 5681 §3.1 allows either, to congestion
// avoidance: after a reduction cwnd is ssthresh, and an epoch begins there.
func (w *window) inSlowStart() bool { return w.cwnd < w.ssthresh }

// slowStart grows by what was acknowledged, at most limit, and stops at ssthresh.
func (w *window) slowStart(acked, limit int) {
	w.cwnd = min(w.cwnd+min(acked, limit), w.ssthresh, MaxWindow)
}

// restart is the restart window of RFC 5681 §4.1, with the initial window of RFC 6928 §2.
func (w *window) restart() {
	w.cwnd = min(w.cwnd, Params{MSS: w.mss, InitialWindow: w.segments}.InitialWindowBytes())
}

// setMSS changes the segment size and returns by what ratio windows in octets
// shrink. They do only with a smaller segment: as many segments as before may
// be in flight, of fewer octets (RFC 5681 §4.1 and RFC 1191 §6.5).
func (w *window) setMSS(mss int) float64 {
	mss = max(mss, 1)
	ratio := min(1, float64(mss)/float64(w.mss))
	w.mss = mss
	w.cwnd = max(scale(w.cwnd, ratio), mss)
	w.ssthresh = max(scale(w.ssthresh, ratio), 2*mss)
	return ratio
}

// scale shrinks a window by ratio; an infinite one stays so.
func scale(octets int, ratio float64) int {
	if octets == infinite || ratio == 1 {
		return octets
	}
	return int(math.Round(float64(octets) * ratio))
}
