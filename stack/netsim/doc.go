// Package netsim runs TCP connections on a seeded network in virtual time and
// asserts the laws of a TCB after every step.
//
// A Sim owns the clock, the random numbers and the hosts. Every segment is
// really encoded, check-summed and parsed. Nothing sleeps, nothing is shared and
// nothing is random but by the seed: the same seed gives the same run to the
// nanosecond, so a failure is replayed by its seed alone.
//
//	s := netsim.New(42)
//	a, b := s.AddHost("a", netsim.HostConfig{}), s.AddHost("b", netsim.HostConfig{})
//	s.Connect(a, b, netsim.Wire{Delay: 10 * netsim.Millisecond, Loss: 0.01})
//	b.Listen(80, netsim.Endpoint{})
//	c := a.Dial(b, 4000, 80, netsim.Endpoint{Script: netsim.Script{Write: 1 << 20}})
//	err := s.Run()
//
// # Network
//
// A Wire is one direction between two hosts: it delays, loses, reorders,
// duplicates, corrupts, throttles and cuts. Several wires may go Through one
// Bottleneck, a line of limited rate with a drop-tail queue; Dumbbell joins pairs
// of hosts that way. Times are in nanoseconds (see Millisecond), lengths in
// octets, rates in octets per second (see Mbit), probabilities from 0 to 1.
//
// # Applications
//
// An Endpoint has the switches of one end and a Script: what its application
// writes, reads and closes, and when. Bulk is the script of a flow that sends all
// it can. Both ends check what they read, octet by octet.
//
// # Running
//
// Run goes on until nothing is left to happen; RunFor lets a bounded time pass.
// After does something else on the way. Conn.Stats has what a flow delivered and
// sent again, to be compared between two moments, and Jain tells how fair shares are.
//
// # Laws
//
// Run and RunFor return a *Violation when a law is broken: it names the law and
// the seed, and holds the last events in a form like tcpdump's. Sim.Trace shows all
// of them. docs/simulator.md lists the laws. Random makes a whole scenario of a
// seed; the package's own tests run thousands of them.
//
// A Sim is not safe for concurrent use; separate Sims are independent.
package netsim
