package netsim_test

import (
	"errors"
	"fmt"

	"ustack/stack/netsim"
)

// A megabyte over a bad wire. Every law of a TCB is asserted at every step; the error would name the one that broke.
func Example() {
	s := netsim.New(42)
	client, server := s.AddHost("client", netsim.HostConfig{}), s.AddHost("server", netsim.HostConfig{})
	s.Connect(client, server, netsim.Wire{Delay: 20 * netsim.Millisecond, Loss: 0.01, Duplicate: 0.01, Corrupt: 0.001})

	server.Listen(80, netsim.Endpoint{Orderly: true}) // reads to the end, and closes
	upload := netsim.Endpoint{Script: netsim.Script{Write: 1_000_000}, Orderly: true}
	c := client.Dial(server, 4000, 80, upload)

	if err := s.Run(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d octets delivered, some of them sent again: %v\n", c.Stats().Delivered, c.Stats().Resent > 0)
	// Output: 1000000 octets delivered, some of them sent again: true
}

// Two flows share a line of 20 Mbit/s, one of them over a longer way, for ten seconds.
func ExampleSim_Dumbbell() {
	s := netsim.New(1)
	neck := netsim.Bottleneck{Rate: 20 * netsim.Mbit, Queue: 100_000}
	d := s.Dumbbell(neck, netsim.Wire{Delay: 10 * netsim.Millisecond}, netsim.Wire{Delay: 40 * netsim.Millisecond})
	near := d.Flow(0, netsim.Endpoint{Script: netsim.Bulk(1 << 30)})
	far := d.Flow(1, netsim.Endpoint{Script: netsim.Bulk(1 << 30)})

	if err := s.RunFor(10 * netsim.Second); err != nil {
		fmt.Println(err)
		return
	}
	a, b := near.Stats().Goodput(), far.Stats().Goodput()
	fmt.Printf("the near one has more: %v\n", a > b)
	fmt.Printf("both use the line: %v\n", a+b > 17*netsim.Mbit)
	fmt.Printf("fair: %v\n", netsim.Jain(a, b) > 0.95)
	// Output:
	// the near one has more: true
	// both use the line: true
	// fair: false
}

// What is broken is told with the seed that replays it and the last events before. Here a wire dies, and nobody has said
// that the connection may time out for it.
func ExampleViolation() {
	s := netsim.New(7)
	a, b := s.AddHost("a", netsim.HostConfig{}), s.AddHost("b", netsim.HostConfig{})
	s.Connect(a, b, netsim.Wire{Delay: 10 * netsim.Millisecond, Until: s.Now() + 50*netsim.Millisecond})
	b.Listen(80, netsim.Endpoint{})
	a.Dial(b, 4000, 80, netsim.Endpoint{Script: netsim.Bulk(1 << 20)})

	var broken *netsim.Violation
	if errors.As(s.Run(), &broken) {
		fmt.Println(broken.Who, "breaks", broken.Law)
		fmt.Println("seed:", broken.Seed)
		fmt.Println("events before it:", len(broken.Log) > 0)
	}
	// Output:
	// a:4000>b:80 breaks nothing times out while the peer answers
	// seed: 7
	// events before it: true
}
