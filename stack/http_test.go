package stack

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ustack/stack/link"
)

// Go's own client and server do not notice that the TCP under them is ours.
func TestNetHTTP(t *testing.T) {
	for _, pc := range []link.PairConfig{{}, {GSO: true}} {
		for _, host := range []string{addrB4, "[" + addrB6 + "]"} {
			t.Run(fmt.Sprintf("gso=%v/%s", pc.GSO, host), func(t *testing.T) { testNetHTTP(t, pc, host) })
		}
	}
}

func testNetHTTP(t *testing.T, pc link.PairConfig, host string) {
	h := newHosts(t, pc)
	l, err := h.b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, "+r.RemoteAddr) })
	mux.HandleFunc("PUT /sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	})
	big := bytes.Repeat([]byte("ustack! "), less(1<<17))
	mux.HandleFunc("GET /big", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "big", time.Time{}, bytes.NewReader(big))
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	defer srv.Close()

	tr := &http.Transport{DialContext: h.a.DialContext}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	get := func(path string) []byte {
		resp, err := client.Get("http://" + host + path)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	if got := get("/hello"); !strings.HasPrefix(string(got), "Hello, ") {
		t.Errorf("got %q", got)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if !bytes.Equal(get("/big"), big) {
					t.Error("the big answer is wrong")
				}
			}
		})
	}
	wg.Wait()
	req, err := http.NewRequest("PUT", "http://"+host+"/sum", bytes.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != fmt.Sprintf("%x", sha256.Sum256(big)) {
		t.Errorf("the hash of what went up is %s", got)
	}
}
