package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	mintPath = "/v1/social-networks/instagram/auth-url"
	// What honest callers ask for: so many URLs a second, over connections that they keep.
	honestRate    = 100
	honestCallers = 16
	// How long one waits before it calls a call failed.
	honestPatience = 2 * time.Second
)

// honest is the traffic that an attack must not hurt.
type honest struct {
	house   *house
	cancel  context.CancelFunc
	callers sync.WaitGroup

	done, failed atomic.Int64
	fresh, tried atomic.Int64
	worst        atomic.Int64 // microseconds of a call
}

// startHonest sends the steady traffic, and five times a second a call over a new connection.
func startHonest(h *house) *honest {
	ctx, cancel := context.WithCancel(context.Background())
	o := &honest{house: h, cancel: cancel}
	ticks := make(chan struct{})
	o.callers.Go(func() {
		defer close(ticks)
		atRate(ctx, honestRate, func() {
			select {
			case ticks <- struct{}{}:
			default: // All callers wait for a reply: this call is lost.
			}
		})
	})
	for range honestCallers {
		o.callers.Go(func() {
			client := newClient(honestPatience)
			defer client.CloseIdleConnections()
			for range ticks {
				if o.call(client) == nil {
					o.done.Add(1)
				} else {
					o.failed.Add(1)
				}
			}
		})
	}
	o.callers.Go(func() {
		atRate(ctx, 5, func() {
			o.callers.Go(func() {
				o.tried.Add(1)
				if o.comeAnew() == nil {
					o.fresh.Add(1)
				}
			})
		})
	})
	return o
}

// atRate calls so many times a second until ctx is done.
func atRate(ctx context.Context, perSecond int, call func()) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			call()
		}
	}
}

// newClient has connections of its own.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{Transport: &http.Transport{}, Timeout: timeout}
}

// flood has so many callers call again and again, each with a client of its own, until it is told to end.
func flood(callers int, timeout time.Duration, call func(*http.Client)) (end func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			client := newClient(timeout)
			defer client.CloseIdleConnections()
			for !stopped.Load() {
				call(client)
			}
		})
	}
	return func() { stopped.Store(true); running.Wait() }
}

// comeAnew makes a new connection and uses it.
func (o *honest) comeAnew() error {
	if o.house.newcomer != nil {
		return o.house.newcomer()
	}
	return o.call(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: honestPatience})
}

func (o *honest) call(client *http.Client) error {
	began := time.Now()
	request, err := http.NewRequest("POST", "http://"+o.house.gateway.address+mintPath, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+o.house.orgKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(string(text), "instagram.com")) {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	if took := time.Since(began).Microseconds(); err == nil && took > o.worst.Load() {
		o.worst.Store(took)
	}
	return err
}

// sample is what happened within a while.
type sample struct {
	perSecond    float64
	failed       int64
	fresh, tried int64
	worst        time.Duration
}

func (o *honest) during(length time.Duration) sample {
	done, failed, fresh, tried := o.done.Load(), o.failed.Load(), o.fresh.Load(), o.tried.Load()
	o.worst.Store(0)
	began := time.Now()
	time.Sleep(length)
	return sample{float64(o.done.Load()-done) / time.Since(began).Seconds(), o.failed.Load() - failed,
		o.fresh.Load() - fresh, o.tried.Load() - tried, time.Duration(o.worst.Load()) * time.Microsecond}
}

func (o *honest) stop() { o.cancel(); o.callers.Wait() }

// untilWell waits until a new connection is served at once, and says how long that took.
func (o *honest) untilWell(most time.Duration) time.Duration {
	began := time.Now()
	for time.Since(began) < most {
		attempt := time.Now()
		if o.comeAnew() == nil && time.Since(attempt) < 500*time.Millisecond {
			break
		}
	}
	return time.Since(began)
}

// dial opens a connection to the gateway. An attack comes from other addresses than honest callers only where it says
// so: a proxy in front gives both the same.
func dial(address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: -1}).Dial("tcp", address)
}
