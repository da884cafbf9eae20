package differential

import (
	"strings"
	"time"
)

// script is what two applications do. X acts, Y reacts; either is at the host under test, the other at the far end.
type script struct {
	name  string
	open  string // how the connection begins: "" one calls the other, "closed" nobody listens, "cross" both call at once, "lose SYN"
	o     options
	wnd   bool // the trace tells whether a window was shut
	some  bool // how much is sent depends on buffers
	alone bool // it takes the whole machine
	steps string
}

// Steps, separated by semicolons:
//
//	X write 10    all of it; with & in the background, until "X join"
//	X read 10     just so much
//	X read        what one call gives
//	X drain       until there is no more
//	X shut        close the writing side
//	X close
//	X abort       close with SO_LINGER 0
//	X urgent 1    send urgent data
//	hold, release what is sent stays on the wire, and goes on
//	reverse       what was held goes on, the last first
//	lose X        the next packet that X sends is lost
//	twice, once   from now on every packet arrives twice, and no longer
//	again X       the last packet that X sent comes again
//	cut           what is sent from now on is lost
//	wait          until what was lost has been sent again
var scripts = []script{
	{name: "exchange", steps: "X write 1000; Y read 1000; Y write 5000; X read 5000; X close; Y read; Y close"},
	{name: "half-close", steps: "X write 1000; X shut; Y drain; Y write 5000; X read 5000; Y close; X read; X close"},
	{name: "half-close both ways", steps: "X shut; Y read; Y shut; X read; X write 10; Y write 10; X close; Y close"},
	{name: "shut twice", steps: "X shut; X shut; Y close; X read; X shut; X close"},
	{name: "close at once", steps: "X close; Y read; Y read; Y close"},
	{name: "crossing close", steps: "hold; X close; Y close; release"},
	{name: "crossing shut with data", steps: "hold; X write 100; X shut; Y write 200; Y shut; release; X drain; Y drain; X close; Y close"},
	{name: "close delivers", steps: "X write 200000 &; X join; X close; Y drain; Y close"},
	{name: "abort", steps: "X write 100; Y read 100; X abort; Y read; Y read; Y write 10; Y write 10; Y close"},
	{name: "abort, first a write", steps: "X abort; Y write 10; Y write 10; Y read; Y close"},
	{name: "abort, data unread", steps: "X write 100; X abort; Y read; Y read; Y close"},
	{name: "abort, data unsent", steps: "hold; X write 100; X abort; release; Y drain; Y close"},
	{name: "abort after shut", steps: "X shut; Y read; X abort; Y write 10; Y read; Y close"},
	{name: "abort of who was shut off", steps: "X write 10; X shut; Y drain; Y abort; X read; X write 10; X close"},
	{name: "close, data unread", steps: "X write 100; Y close; X read; X write 10; X close"},
	{name: "close, some data unread", steps: "X write 100; Y write 50; Y read 10; Y close; X read 50; X read; X close"},
	{name: "close, data unread, after a FIN", steps: "X write 100; X shut; Y close; X read; X close"},
	{name: "close, then data comes", steps: "X close; Y write 10; Y write 10; Y read; Y close"},
	{name: "shut, then data comes", steps: "X shut; Y write 10; Y read; X read 10; X close; Y close"},
	{name: "write after shut", steps: "X shut; X write 10; Y read; Y close; X read; X close"},
	{name: "calls after close", steps: "X close; X write 10; X read; X shut; X close; Y close"},
	{name: "small writes", steps: strings.Repeat("X write 10; ", 10) + "Y read 100; X shut; Y read; Y close; X read; X close"},
	{name: "bulk", alone: true, steps: "X write 4000000 &; Y write 3000000 &; X read 3000000 &; Y read 4000000; X join; Y join; X close; Y read; Y close"},
	{name: "zero window", wnd: true, o: options{rcvBuf: 8192},
		steps: "X write 300000 &; wait; Y read 300000; X join; X close; Y read; Y close"},
	{name: "closed with the window shut", some: true, o: options{rcvBuf: 8192}, steps: "X write 3000000 &; wait; Y close; X join; X read; X close"},
	{name: "aborted with the window shut", some: true, o: options{rcvBuf: 8192}, steps: "X write 3000000 &; wait; Y abort; X join; X read; X close"},
	{name: "peer vanishes", o: options{userTimeout: time.Second}, steps: "X write 10; Y read 10; cut; X write 10; X read; X read; X write 10; X close"},
	{name: "urgent", steps: "X write 10; X urgent 1; X write 10; X shut; Y drain; Y close; X close"},
	{name: "text lost", steps: "lose X; X write 1000; Y read 1000; X write 1000; Y read 1000; X close; Y read; Y close"},
	{name: "text, the last first", steps: "hold; X write 1000; X write 1000; X write 1000; X shut; reverse; Y drain; Y close; X read; X close"},
	{name: "everything twice", steps: "twice; X write 1000; Y read 1000; Y write 1000; X read 1000; X shut; Y read; Y write 10; once; Y close; X drain; X close"},
	{name: "last ACK again", steps: "X close; Y read; Y close; again X"},
	{name: "FIN lost", steps: "lose X; X close; Y read; Y close"},
	{name: "ACK of a FIN lost", steps: "lose Y; X close; Y read; wait; Y close"},
	{name: "last ACK lost", steps: "X close; Y read; lose X; Y close; wait"},
	{name: "FIN behind lost text", steps: "lose X; X write 100; X close; Y drain; Y close"},
	{name: "reset lost", steps: "lose X; X abort; Y write 10; wait; Y write 10; Y read; Y close"},
	{name: "reset of a shut end lost", steps: "X shut; Y read; lose X; X abort; Y write 10; wait; Y write 10; Y read; Y close"},
	{name: "SYN lost", open: "lose SYN", steps: "X write 10; Y read 10; Y write 10; X read 10; X close; Y read; Y close"},
	{name: "SYN,ACK lost", open: "lose SYN,ACK", steps: "X write 10; Y read 10; Y write 10; X read 10; X close; Y read; Y close"},
	{name: "closed port", open: "closed"},
	{name: "crossing open", open: "cross", steps: "X write 10; Y read 10; Y write 20; X read 20; X close; Y read; Y close"},
}
