// Command embed runs two hosts in one process: one serves HTTP, the other fetches it.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"ustack/stack"
	"ustack/stack/link"
)

func main() {
	near, far := link.Pair(link.PairConfig{}) // a wire in memory; stack/link/tun has real devices
	server := host(near, "192.0.2.1/24")
	defer server.Close()
	client := host(far, "192.0.2.2/24")
	defer client.Close()

	listener, err := server.Listen("tcp", ":80") // a net.Listener
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.RemoteAddr[:len("192.0.2.2")])
	}))

	web := http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	response, err := web.Get("http://192.0.2.1/")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(body))
}

// host is a TCP/IP stack with one address on one link.
func host(l link.Link, addr string) *stack.Stack {
	s, err := stack.New(stack.Config{Links: []link.Link{l}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return s
}
