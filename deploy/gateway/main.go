// authurl-gateway serves authurl's API as REST: a grpc-gateway in front of a running authurl server. README.md says how
// to run it, openapi.yaml what it serves.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	stdlog "log"
)

// Go allows a header 4 KiB more than it is told.
const maxHeaderBytes = 8<<10 - 4<<10

func main() {
	arguments := os.Args[1:]
	asks := len(arguments) > 0 && arguments[0] == "healthcheck"
	if asks {
		arguments = arguments[1:]
	}
	c, err := readConfig(arguments, environmentOfProcess, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "authurl-gateway:", err)
		os.Exit(2)
	}
	if asks {
		if err := healthcheck(c); err != nil {
			fmt.Fprintln(os.Stderr, "authurl-gateway healthcheck:", err)
			os.Exit(1)
		}
		return
	}
	log := newLog(os.Stderr, c.logLevel)
	logGRPCTo(log)
	c = withinDescriptors(c, log)
	memoryMiB := limitMemory(c)
	// After the container's limit was read: from here on /proc/self belongs to root.
	if err := harden(); err != nil {
		log.Warn("not_hardened", "cause", err.Error())
	}
	log.Info("bounds", "memory_limit_mib", memoryMiB, "connections", c.maxConnections, "requests", c.maxRequests, "held_mib", c.maxHeldMiB)

	// A second signal ends the process at once.
	stop, forgetSignals := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	go func() { <-stop.Done(); forgetSignals() }()
	if err := run(stop, c, newClients(c, log), log); err != nil {
		fmt.Fprintln(os.Stderr, "authurl-gateway:", err)
		os.Exit(1)
	}
}

// run serves until `stop` is done, then leaves politely.
func run(stop context.Context, c config, k *clients, log *slog.Logger) error {
	upstream, err := dial(c)
	if err != nil {
		return err
	}
	defer upstream.Close()
	m := newMeters(k, upstream)
	upstream.meters = m
	var draining atomic.Bool
	handler, err := handlerFor(c, upstream, k, m, log, &draining)
	if err != nil {
		return err
	}
	front, err := listen(c, k, m, log)
	if err != nil {
		return err
	}
	metrics, err := serveMetrics(c, m, log)
	if err != nil {
		front.Close()
		return err
	}
	if metrics != nil {
		defer metrics.Close()
	}
	server := &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            c.readHeaderTimeout,
		ReadTimeout:                  c.readTimeout,
		WriteTimeout:                 c.writeTimeout,
		IdleTimeout:                  c.idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ConnContext:                  withOwnConn,
		ConnState:                    connStateChanged,
		ErrorLog:                     stdlog.New(libraryLog{log, "http"}, "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(front) }()
	log.Info("serving", "address", front.Addr().String(), "version", version, "tls", onOrOff(c.tlsCertFile != ""),
		"upstream", c.upstream, "upstream_tls", onOrOff(c.upstreamTLSCAFile != ""))
	warnOfPlaintext(c, log)

	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	log.Info("draining", "delay", c.drainDelay.String(), "grace", c.shutdownGrace.String(), "message", fmt.Sprintf(
		"requests are served for another %s, while load balancers notice that /readyz says no, and those in flight then for "+
			"up to %s; a second signal ends this at once", c.drainDelay, c.shutdownGrace))
	draining.Store(true)
	time.Sleep(c.drainDelay)
	patience, cancel := context.WithTimeout(context.Background(), c.shutdownGrace)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		log.Warn("requests_cut_off", "after", c.shutdownGrace.String())
		server.Close()
	}
	log.Info("stopped")
	return nil
}

func handlerFor(c config, upstream *pool, k *clients, m *meters, log *slog.Logger, draining *atomic.Bool) (http.Handler, error) {
	api, err := newAPI(c, upstream, k)
	if err != nil {
		return nil, err
	}
	hosted, err := newCallback(c, upstream, k, m)
	if err != nil {
		return nil, err
	}
	operators, err := newDashboard(c, upstream, k)
	if err != nil {
		return nil, err
	}
	all, err := newHandler(api, hosted, operators, upstream, draining)
	if err != nil {
		return nil, err
	}
	return withExchange(log, m, draining, all), nil
}

func listen(c config, k *clients, m *meters, log *slog.Logger) (net.Listener, error) {
	front, err := net.Listen("tcp", c.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	l := listener{Listener: front, clients: k, meters: m, log: log}
	if c.tlsCertFile != "" {
		if l.tls, err = frontTLS(c); err != nil {
			front.Close()
			return nil, err
		}
	}
	return l, nil
}

// API keys travel in every request.
func warnOfPlaintext(c config, log *slog.Logger) {
	if c.tlsCertFile == "" && !isLocal(c.listen) {
		log.Warn("plaintext", "message", "API keys can be read on the way here unless something in front does TLS: set --tls_cert_file and --tls_key_file")
	}
	if c.upstreamTLSCAFile == "" && !isLocal(c.upstream) {
		log.Warn("plaintext", "message", "API keys can be read on the way to the server: set --upstream_tls_ca_file")
	}
}

func onOrOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
