package stack

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// shortages are what an operator must hear of when it begins, and again from time to time while it lasts.
var shortages = [numCounters]string{
	countBacklog:      "SYNs are dropped: the listener's backlog is full",
	countCookiesOut:   "SYNs are answered with cookies: the listener's backlog is full",
	countAcceptQueue:  "connections are dropped: nobody accepts them fast enough",
	countMemory:       "connections are refused: the memory budget is spent",
	countFastOpenFull: "data on SYNs is refused: too many clients have not proved to be there",
	countWriteErrors:  "the link refuses packets",
}

const portsSpent = "no connection can be opened: every ephemeral port is taken"

// warnPause is how long a shortage is not mentioned again.
const warnPause = second * 10

// life is what Config.Logger was told and need not hear again so soon.
type life struct {
	short [numCounters]atomic.Int64 // when a shortage was mentioned last: a tcb.Time; 0: never
	ports atomic.Int64
}

// shortage mentions the one that c counts, if it is one.
func (s *Stack) shortage(c counter) {
	if what := shortages[c]; what != "" {
		s.warn(&s.life.short[c], what)
	}
}

// warn logs what, unless it was logged a short time ago.
func (s *Stack) warn(last *atomic.Int64, what string) {
	if s.closing.Load() {
		return // then all of it is to be expected
	}
	now, before := int64(s.now()), last.Load()
	if before == 0 || now-before >= int64(warnPause) {
		if last.CompareAndSwap(before, now) {
			s.log.Warn(what)
		}
	}
}

// born logs the beginning of the stack.
func (s *Stack) born() {
	for _, l := range s.cfg.Links {
		s.log.Info("link up", "mtu", l.MTU(), "queues", len(l.Queues()))
	}
	s.log.Info("stack started", "addrs", s.cfg.Addrs)
}

// ended logs its end, and what it has done.
func (s *Stack) ended() {
	if !s.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	c := s.Stats().Counters
	s.log.Info("stack closed", "after", time.Since(s.start).Round(time.Millisecond), "segments_in", c[counterNames[countSegsIn]], "segments_out", c[segmentsOut])
}
