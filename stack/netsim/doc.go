// Package netsim runs TCP connections on a seeded wire in virtual time and
// asserts the laws of a TCB after every step.
//
// A Sim owns the clock, the random numbers and the hosts. Hosts are joined by
// wires that delay, lose, reorder, duplicate, corrupt and throttle; every
// segment is really encoded, check-summed and parsed. A Script says what the
// application at each end writes, reads and closes, and when. Nothing sleeps,
// nothing is shared and nothing is random but by the seed: the same seed gives
// the same run to the nanosecond, so a failure is replayed by its seed alone.
//
//	s := netsim.New(42)
//	a, b := s.AddHost("a", netsim.HostConfig{}), s.AddHost("b", netsim.HostConfig{})
//	s.Connect(a, b, netsim.Wire{Delay: 10 * netsim.Millisecond, Loss: 0.01})
//	b.Listen(80, netsim.Endpoint{})
//	c := a.Dial(b, 4000, 80, netsim.Endpoint{Script: netsim.Script{Write: 1 << 20}})
//	err := s.Run()
//
// Run returns a *Violation when a law is broken: it names the law and holds
// the last events in a form like tcpdump's. Random makes a whole scenario of a seed.
//
// A Sim is not safe for concurrent use; separate Sims are independent.
package netsim
