package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// More than healthTimeout, so that the gateway has the time to say what is wrong.
const healthcheckTimeout = 2 * time.Second

// healthcheck asks the gateway that was started with these settings, on this machine, whether it is ready for requests.
// For containers, in which there is nothing else to ask with: nil is healthy, an error one sentence that says why not.
func healthcheck(c config) error {
	_, port, err := net.SplitHostPort(c.listen)
	if err != nil {
		return err
	}
	if port == "0" {
		return fmt.Errorf("--listen=%s: the port must be the one that the gateway was given", c.listen)
	}
	scheme := "http"
	if c.tlsCertFile != "" {
		scheme = "https"
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthcheckTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost/readyz", nil)
	if err != nil {
		return err
	}
	reply, err := (&http.Client{Transport: &http.Transport{
		// Of a gateway that listens on every address, the one that is reached from here.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", c.listen)
		},
		DisableKeepAlives: true,
		// The certificate is for the name that clients call. Nothing secret is sent, and this machine is asked.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}).Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 1024))
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("not ready: %s: %s", reply.Status, body)
	}
	return err
}
