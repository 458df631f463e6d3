package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Not a key, but of the shape of one: it is refused only by the server.
const madeUpKey = "auk_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM"

func faultyBodies(length time.Duration) ([]string, error) {
	h, err := build()
	if err != nil {
		return nil, err
	}
	defer h.stop()
	var missed misses
	body := `{"scopes":[` + strings.Repeat("1,", 32_700) + `1]}`
	for _, key := range []string{"", madeUpKey} {
		fmt.Printf("  with a key: %v\n", key != "")
		var answers, received atomic.Int64
		r, err := measure(h, h.gateway, length, func() func() {
			return flood(8, 10*time.Second, func(client *http.Client) {
				n, err := postAny(client, h.gateway.address, key, body)
				if err == nil {
					answers.Add(1)
					received.Add(n)
				}
			})
		})
		if err != nil {
			return nil, err
		}
		fmt.Printf("  attack: %.0f answers/s of %d bytes\n", float64(answers.Load())/length.Seconds(), received.Load()/max(1, answers.Load()))
		missed.unlessKept(r)
		missed.unless(r.rssMost <= r.rssBefore+64, "RSS rose from %d to %d MiB; the bar is +64", r.rssBefore, r.rssMost)
	}
	return missed, nil
}

func postAny(client *http.Client, address, key, body string) (int64, error) {
	request, err := http.NewRequest("POST", "http://"+address+mintPath, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return io.Copy(io.Discard, response.Body)
}

func heldMemory(length time.Duration) ([]string, error) {
	h, err := build()
	if err != nil {
		return nil, err
	}
	defer h.stop()
	const senders, readers, perSecond = 8000, 2000, 2000
	const bodyBytes = 63 << 10
	withheld := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		mintPath, madeUpKey, bodyBytes, strings.Repeat(" ", bodyBytes-1))
	unread := strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 100)
	var opened, failed atomic.Int64
	var took time.Duration
	r, err := measure(h, h.gateway, max(length, 2*time.Second+(senders+readers)/perSecond*time.Second), func() func() {
		var stopped atomic.Bool
		var attackers sync.WaitGroup
		var mutex sync.Mutex
		var held []net.Conn
		next := make(chan string)
		began := time.Now()
		attackers.Go(func() {
			defer close(next)
			defer func() { took = time.Since(began) }()
			// Faster, the attacker alone would need both cores of a small machine.
			pace := time.NewTicker(time.Second / perSecond)
			defer pace.Stop()
			for i := 0; i < senders+readers && !stopped.Load(); i++ {
				<-pace.C
				if i%5 == 4 {
					next <- unread
				} else {
					next <- withheld
				}
			}
		})
		for range 64 {
			attackers.Go(func() {
				for text := range next {
					c, err := dial(h.gateway.address)
					if err != nil {
						failed.Add(1)
						continue
					}
					_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
					_, _ = io.WriteString(c, text)
					opened.Add(1)
					mutex.Lock()
					held = append(held, c)
					mutex.Unlock()
				}
			})
		}
		return func() {
			stopped.Store(true)
			attackers.Wait()
			for _, c := range held {
				c.Close()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	fmt.Printf("  attack: %d connections opened, %d failed, in %s\n", opened.Load(), failed.Load(), took.Round(time.Millisecond))
	var missed misses
	missed.unlessKept(r)
	missed.unless(r.rssMost <= 200, "RSS was %d MiB; the bar is 200", r.rssMost)
	return missed, nil
}

func replyBytes(time.Duration) ([]string, error) {
	h, err := build()
	if err != nil {
		return nil, err
	}
	defer h.stop()
	const requests, perConnection = 10_000, 640
	nginx, err := startProxy(h)
	if err != nil {
		return nil, err
	}
	defer nginx.stop()
	toGateway := func() (net.Conn, error) { return dial(h.gateway.address) }
	var missed misses
	for name, connect := range map[string]func() (net.Conn, error){"gateway": toGateway, "nginx": nginx.dial} {
		beyond, replies := 0, 0
		for i := 0; i < requests; i += perConnection {
			n, err := quoteNetHTTP(connect, perConnection)
			replies += n
			if err != nil {
				fmt.Printf("  %s, after %d replies: %v\n", name, n, err)
				beyond++
			}
		}
		fmt.Printf("  %s: %d replies; connections with bytes beyond a Content-Length: %d\n", name, replies, beyond)
		missed.unless(beyond == 0, "%d connections to %s had bytes beyond a reply's Content-Length", beyond, name)
		missed.unless(replies >= requests, "only %d replies of %d from %s", replies, requests, name)
	}
	fmt.Printf("  nginx: %d replies of the gateway's had more bytes than announced\n", nginx.tooMuch())
	missed.unless(nginx.tooMuch() == 0, "nginx saw %d replies with bytes beyond their Content-Length", nginx.tooMuch())
	return missed, nil
}

// quoteNetHTTP sends requests over one connection whose replies quote the beginning of an error of net/http's, each
// shifted by another length of the request id, and reads every reply to its last byte.
func quoteNetHTTP(connect func() (net.Conn, error), requests int) (int, error) {
	c, err := connect()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		out := bufio.NewWriter(c)
		for i := range requests {
			var body strings.Builder
			for j := range 100 {
				fmt.Fprintf(&body, `,"HTTP/1.1 417 x%s%d":1`, strings.Repeat(`\u0001`, i/64), j)
			}
			end := map[bool]string{true: "Connection: close\r\n"}[i == requests-1]
			fmt.Fprintf(out, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%sX-Request-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{%s}",
				mintPath, madeUpKey, end, strings.Repeat("i", 1+i%64), body.Len()+1, body.String()[1:])
		}
		_ = out.Flush()
	}()
	in := bufio.NewReader(c)
	for n := 0; ; n++ {
		if _, err := in.Peek(1); err != nil {
			return n, nil
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return n, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || int64(len(body)) != response.ContentLength {
			return n, fmt.Errorf("%d bytes of %d: %v", len(body), response.ContentLength, err)
		}
	}
}
