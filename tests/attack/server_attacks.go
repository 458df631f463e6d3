package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// halfHandshakes comes to the server's port itself, where only peers with a certificate have a say: with connections
// that begin no handshake, or half of one, and hold on.
func halfHandshakes(length time.Duration) ([]string, error) {
	h, err := build(withTLS)
	if err != nil {
		return nil, err
	}
	defer h.stop()
	peer, err := certified(h.folder)
	if err != nil {
		return nil, err
	}
	h.newcomer = func() error { return pingServer(h.server.address, peer) }
	const atOnce, perSecond = 6000, 1500
	var opened atomic.Int64
	// Long enough that all are there before the time is over.
	r, err := measure(h, h.server, length+atOnce/perSecond*time.Second, func() func() {
		var stopped atomic.Bool
		var attackers sync.WaitGroup
		places := make(chan struct{}, atOnce)
		attackers.Go(func() {
			pace := time.NewTicker(time.Second / perSecond)
			defer pace.Stop()
			for i := 0; !stopped.Load(); i++ {
				<-pace.C
				select {
				case places <- struct{}{}:
				default:
					continue
				}
				attackers.Go(func() {
					defer func() { <-places }()
					holdHandshake(h.server.address, i%2 == 0, &opened, &stopped)
				})
			}
		})
		return func() { stopped.Store(true); attackers.Wait() }
	})
	if err != nil {
		return nil, err
	}
	fmt.Printf("  attack: %d connections opened\n", opened.Load())
	var missed misses
	missed.unlessKept(r)
	missed.unless(r.rssMost <= r.rssBefore+100, "RSS rose from %d to %d MiB; the bar is +100", r.rssBefore, r.rssMost)
	return missed, nil
}

// holdHandshake connects, says nothing or the first bytes of a ClientHello, and stays until the server ends it.
func holdHandshake(address string, begins bool, opened *atomic.Int64, stopped *atomic.Bool) {
	c, err := dial(address)
	if err != nil {
		return
	}
	defer c.Close()
	opened.Add(1)
	if begins {
		_, _ = c.Write([]byte{0x16, 0x03, 0x01, 0x00, 0x04, 0x01, 0x02, 0x01, 0x44})
	}
	for !stopped.Load() {
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := c.Read(make([]byte, 64)); err != nil {
			if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
				return
			}
		}
	}
}

// pingServer makes a new connection with a certificate and has one HTTP/2 ping answered.
func pingServer(address string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), honestPatience)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	peer, err := (&http2.Transport{}).NewClientConn(c)
	if err != nil {
		return err
	}
	return peer.Ping(ctx)
}

// longScopes has one key of the lowest role ask for URLs with as many scopes as fit, for a network whose states are
// stored. Others must go on being able to write, and the database must not grow without end.
func longScopes(length time.Duration) ([]string, error) {
	h, err := build()
	if err != nil {
		return nil, err
	}
	defer h.stop()
	made, err := h.post(h.adminKey, "/v1/organizations/acme/api-keys", `{"role":"ROLE_MINT"}`)
	if err != nil {
		return nil, err
	}
	mintKey := keyIn(made)
	// LINE takes short states only.
	if _, err := h.post(h.orgKey, "/v1/social-networks", `{"network":"line","client_key":"1234567890","client_secret":"s","default_redirect_uri":"https://app.example.com/cb"}`); err != nil {
		return nil, err
	}
	var scopes []string
	for i := range 7 {
		scopes = append(scopes, fmt.Sprintf(`"%02d%s"`, i, strings.Repeat("s", 254)))
	}
	body := `{"scopes":[` + strings.Join(scopes, ",") + `]}`
	var urls, refused, writes, failedWrites atomic.Int64
	before := h.databaseMiB()
	// Long enough that what has no bound is seen to have none.
	r, err := measure(h, h.server, max(length, 8*time.Second), func() func() {
		endAttack := flood(25, 10*time.Second, func(client *http.Client) {
			if status, err := post(client, h.gateway.address, "/v1/social-networks/line/auth-url", mintKey, body); err == nil && status == http.StatusOK {
				urls.Add(1)
			} else {
				refused.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
		number := 0 // For the one caller there is.
		endWrites := flood(1, honestPatience, func(client *http.Client) {
			status, err := post(client, h.gateway.address, "/v1/organizations", h.adminKey, fmt.Sprintf(`{"org_id":"org-%d"}`, number))
			number++
			if err == nil && status == http.StatusOK {
				writes.Add(1)
			} else {
				failedWrites.Add(1)
			}
			time.Sleep(200 * time.Millisecond)
		})
		return func() { endAttack(); endWrites() }
	})
	if err != nil {
		return nil, err
	}
	grown := h.databaseMiB() - before
	fmt.Printf("  attack: %d URLs, %d refused; the database grew by %d MiB; others' writes: %d done, %d failed\n",
		urls.Load(), refused.Load(), grown, writes.Load(), failedWrites.Load())
	var missed misses
	missed.unlessKept(r)
	missed.unless(urls.Load()+refused.Load() > 0, "the attack did nothing")
	missed.unless(grown <= 32, "the database grew by %d MiB; the bar is 32", grown)
	missed.unless(failedWrites.Load() == 0, "%d writes of others failed", failedWrites.Load())
	return missed, nil
}

// databaseMiB is what the database takes on disk with its log.
func (h *house) databaseMiB() int {
	bytes := int64(0)
	files, _ := filepath.Glob(filepath.Join(h.folder, "authurl.db*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			bytes += info.Size()
		}
	}
	return int(bytes >> 20)
}

func post(client *http.Client, address, path, key, body string) (int, error) {
	request, err := http.NewRequest("POST", "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
