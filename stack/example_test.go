package stack_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"ustack/stack"
	"ustack/stack/link"
)

// Two hosts in one process: Go's own HTTP server on one, its client on the other.
func Example() {
	left, right := link.Pair(link.PairConfig{})
	server, err := stack.New(stack.Config{
		Links: []link.Link{left},
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.90.0.2/24")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := stack.New(stack.Config{
		Links: []link.Link{right},
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.90.0.1/24")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	l, err := server.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.URL.Path[1:])
	}))

	browser := http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	resp, err := browser.Get("http://10.90.0.2/World")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Print(string(body))
	// Output: Hello, World!
}

// A connection without a goroutine: the callback runs when there is something to read.
func ExampleConn_OnReadable() {
	left, right := link.Pair(link.PairConfig{})
	server, err := stack.New(stack.Config{Links: []link.Link{left}, Addrs: []netip.Prefix{netip.MustParsePrefix("fd90::2/64")}})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := stack.New(stack.Config{Links: []link.Link{right}, Addrs: []netip.Prefix{netip.MustParsePrefix("fd90::1/64")}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	l, err := server.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			c.OnReadable(func() {
				a, b, err := c.Peek()
				if err != nil {
					c.Close() // io.EOF: the peer is done
					return
				}
				c.Write(a)
				c.Write(b)
				c.Discard(len(a) + len(b))
			})
		}
	}()

	c, err := client.Dial("tcp", "[fd90::2]:7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "an echo")
	c.(*stack.Conn).CloseWrite()
	got, err := io.ReadAll(c)
	fmt.Printf("%q %v\n", got, err)
	// Output: "an echo" <nil>
}
