package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// asked is what healthcheck says to somebody who gives it these flags.
func asked(t *testing.T, flags ...string) error {
	t.Helper()
	c, err := readConfig(flags, func(string) (string, bool) { return "", false }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return healthcheck(c)
}

func TestHealthcheckSaysWhetherTheGatewayIsReady(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(g.url, "http://"))
	for _, listen := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
		if err := asked(t, "--listen="+listen); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}

	alone := startGateway(t, "--upstream=127.0.0.1:1")
	err := asked(t, "--listen="+strings.TrimPrefix(alone.url, "http://"))
	if err == nil || !strings.Contains(err.Error(), "UPSTREAM_NOT_READY") {
		t.Errorf("without a server: %v", err)
	}
	g.stop()
	if err := <-g.done; err != nil {
		t.Error(err)
	}
	g.done <- nil
	if err := asked(t, "--listen=127.0.0.1:"+port); err == nil {
		t.Error("it is said to be ready after it has stopped")
	}
	if err := asked(t, "--listen=127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "port") {
		t.Errorf("any port: %v", err)
	}
}

func TestHealthcheckOverTLS(t *testing.T) {
	ours := newAuthority(t)
	ours.sign(t, "front")
	files := []string{"--tls_cert_file=" + ours.path("front.crt"), "--tls_key_file=" + ours.path("front.key")}
	server := &fakeServer{}
	g := startGateway(t, append(files, "--upstream="+server.start(t))...)
	if err := asked(t, append(files, "--listen="+strings.TrimPrefix(g.url, "https://"))...); err != nil {
		t.Error(err)
	}
}

func TestHealthcheckWaitsNoLongerThanAnOrchestrator(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	if err := asked(t, "--listen="+silent.Addr().String()); err == nil {
		t.Error("a gateway that says nothing is said to be ready")
	}
	if took := time.Since(began); took > healthcheckTimeout+time.Second {
		t.Errorf("it took %s", took)
	}
}
