package stack

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"ustack/stack/tcb"
	"ustack/tcpseg"
)

// A cookie is good for its flow, its SYN, its period and the next; nothing else.
// req: 4987-03
func TestCookie(t *testing.T) {
	w := newSecrets(t)
	key := flowKey{local: us4, remote: them4, lport: 80, rport: 4000}
	const irs = tcpseg.Seq(77)
	now := 100 * cookiePeriod
	for i, mss := range cookieMSS {
		iss := w.cookie(&key, irs, uint64(now/cookiePeriod), uint32(i))
		if got := w.openCookie(&key, irs, iss, now); got != mss {
			t.Errorf("MSS %d came back as %d", mss, got)
		}
		if w.openCookie(&key, irs, iss, now+cookiePeriod) != mss || w.openCookie(&key, irs, iss, now+2*cookiePeriod) != 0 {
			t.Error("not good for two periods")
		}
		if w.openCookie(&key, irs, iss, now-cookiePeriod) != 0 || w.openCookie(&key, irs, iss, now+32*cookiePeriod) != 0 {
			t.Error("good before its time, or when its bits of time come again")
		}
		for name, other := range map[string]flowKey{
			"remote": {local: us4, remote: us4, lport: 80, rport: 4000}, "local": {local: them4, remote: them4, lport: 80, rport: 4000},
			"lport": {local: us4, remote: them4, lport: 81, rport: 4000}, "rport": {local: us4, remote: them4, lport: 80, rport: 4001},
		} {
			if w.openCookie(&other, irs, iss, now) != 0 {
				t.Errorf("good for another %s", name)
			}
		}
		if w.openCookie(&key, irs+1, iss, now) != 0 || w.openCookie(&key, irs, iss+1, now) != 0 || w.openCookie(&key, irs, iss^1<<25, now) != 0 {
			t.Error("good for another SYN, or when it is changed")
		}
	}
}

// newSecrets returns keys of a test's own.
func newSecrets(t *testing.T) *secrets {
	k := new(secrets)
	if err := k.init(zeros{}); err != nil {
		t.Fatal(err)
	}
	return k
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// With the backlog full, or always, a SYN leaves nothing behind, and yet the ACK of its answer makes a connection with
// everything that the SYN had asked for.
// req: 4987-01 4987-02 4987-04
func TestSynCookies(t *testing.T) {
	full := tcpseg.Options{MSS: 1450, HasScale: true, Scale: 5, SACKPermitted: true, HasTimestamps: true, TSVal: 1000}
	for _, c := range []struct {
		name string
		when SynCookies
		syn  tcpseg.Options
		mss  int
	}{
		{"auto", SynCookiesAuto, full, 1440 - 12},
		{"always", SynCookiesAlways, full, 1440 - 12},
		{"no timestamps", SynCookiesAlways, tcpseg.Options{MSS: 1460, HasScale: true, Scale: 5, SACKPermitted: true}, 1460},
		{"no options", SynCookiesAlways, tcpseg.Options{}, 536},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				l, err := (&ListenConfig{Stack: w.s, Backlog: 2, SynCookies: c.when, Options: &tcb.Options{ECN: true}}).Listen(t.Context(), "tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				for port := range uint16(2) { // they fill the backlog
					w.peer(false, 80, 5000+port).send(tcpseg.SYN, "")
				}
				w.recv()
				_, before, _ := w.s.table.count()
				p := w.peer(false, 80, 4000)
				p.options = c.syn
				p.send(tcpseg.SYN|tcpseg.ECE|tcpseg.CWR, "")
				_, s := w.parse(w.answer())
				if _, after, _ := w.s.table.count(); after != before || s.Flags != tcpseg.SYN|tcpseg.ACK|tcpseg.ECE {
					t.Fatalf("%d records more, answer %v", after-before, s.Flags)
				}
				time.Sleep(50 * time.Millisecond)
				p.ack = s.Seq.Add(1)
				p.options = tcpseg.Options{HasTimestamps: c.syn.HasTimestamps, TSVal: c.syn.TSVal + 50, TSEcr: s.Options.TSVal}
				p.send(tcpseg.ACK, "hello")
				conn, err := l.AcceptConn()
				if err != nil {
					t.Fatal(err)
				}
				var got tcb.Snapshot
				conn.lock()
				conn.t.Snapshot(&got)
				conn.unlock()
				stamps := c.syn.HasTimestamps
				if got.MSS != c.mss || got.Timestamps != stamps || got.SACK != stamps || got.WindowScale != stamps || got.ECN != stamps || stamps && got.SndScale != 5 {
					t.Errorf("%+v", got)
				}
				buf := make([]byte, 5)
				if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello" {
					t.Errorf("read %q, %v", buf, err)
				}
			})
		})
	}
}

// An ACK with something that is no cookie gets its RST, with cookies off a SYN too many gets nothing.
// req: 4987-02 ST-LI2 ST-LI4
func TestNoCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		l, err := (&ListenConfig{Stack: w.s, SynCookies: SynCookiesAlways}).Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		p := w.peer(false, 80, 4000)
		p.send(tcpseg.SYN, "")
		p.ack = w.segment().Seq.Add(2)
		p.send(tcpseg.ACK, "")
		if s := w.segment(); s.Flags != tcpseg.RST || w.drops("syn-cookie-bad") != 1 {
			t.Errorf("answered with %v", s.Flags)
		}
		l.Close()
		(&ListenConfig{Stack: w.s, SynCookies: SynCookiesOff, Backlog: 1}).Listen(t.Context(), "tcp", ":80")
		w.peer(false, 80, 4001).send(tcpseg.SYN, "")
		w.answer()
		w.peer(false, 80, 4002).send(tcpseg.SYN, "")
		w.silence()
	})
}
