package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	stdlog "log"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"authurl/deploy/gateway/gen/authurlv1"
)

// meters count what the gateway does, for Prometheus; deploy/prometheus/README.md lists them. Labels come from fixed sets
// (routes, statuses, codes, reasons of the server): nothing that a caller sends becomes one. They are counted whether or
// not anybody may read them. Methods may be called for none, as in a test of a handler alone, and by any goroutine.
type meters struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	errors    *prometheus.CounterVec
	underWay  prometheus.Gauge
	calls     *prometheus.CounterVec
	repeated  prometheus.Counter
	callbacks *prometheus.CounterVec
}

// What a request that found no route is counted as.
const noRoute = "none"

const metricsPrefix = "authurl_gateway_"

func newMeters(k *clients, upstream *pool) *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help}, labels)
	}
	m := &meters{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "Requests answered, by route and HTTP status; 499 where the client had gone.", "route", "status"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    metricsPrefix + "request_duration_seconds",
			Help:    "From a request's header to its reply.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		errors: counter("errors_total", "Errors that were sent, by the code in their body.", "reason"),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{Name: metricsPrefix + "requests_in_flight",
			Help: "Requests being served."}),
		calls: counter("upstream_calls_total", "Calls to the server that have ended, by gRPC code.", "code"),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: metricsPrefix + "upstream_calls_repeated_total",
			Help: "Calls made once more because a server was leaving."}),
		callbacks: counter("callbacks_total", "Responses of networks that came to the hosted callback, by how their flows went.", "outcome"),
	}
	m.registry.MustRegister(m.requests, m.durations, m.errors, m.underWay, m.calls, m.repeated, m.callbacks,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	for _, outcome := range []string{"connected", "needs_choice", "failed", "refused"} {
		m.callbacks.WithLabelValues(outcome)
	}
	// What is asked for when Prometheus asks, and not before.
	reading := func(name, help string, labels prometheus.Labels, read func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metricsPrefix + name, Help: help, ConstLabels: labels}, read))
	}
	total := func(name, help string, read func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help}, read))
	}
	for kind, slots := range map[string]chan struct{}{"calls": k.slots, "networks": k.networkSlots, "events": k.eventSlots} {
		reading("places_in_use", "Requests under way to the server.", prometheus.Labels{"kind": kind}, func() float64 { return float64(len(slots)) })
		reading("places_limit", "Requests that may be under way.", prometheus.Labels{"kind": kind}, func() float64 { return float64(cap(slots)) })
	}
	reading("connections_open", "Open connections of clients.", nil, func() float64 { return float64(k.standing().connections) })
	reading("connections_limit", "Connections that may be open.", nil, func() float64 { return float64(k.most) })
	reading("held_bytes", "Memory that bodies and replies take.", nil, func() float64 { return float64(k.standing().bytes) })
	reading("held_bytes_limit", "Memory they may take.", nil, func() float64 { return float64(k.mostBytes) })
	total("connections_cut_off_total", "Connections closed to make room for others.", func() float64 { return float64(k.standing().cutOff) })
	total("connections_refused_total", "Connections closed at once because there were too many.", func() float64 { return float64(k.standing().refused) })
	reading("upstream_connections", "Connections to the server that there should be.", nil, func() float64 { return float64(len(upstream.connections)) })
	reading("upstream_connections_ready", "Connections to the server that are up.", nil, func() float64 { return float64(upstream.readyConnections()) })
	return m
}

func buildInfo() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: metricsPrefix + "build_info", Help: "Always 1; the build is in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go": runtime.Version()}})
	info.Set(1)
	return info
}

// begin is told of a request when it comes.
func (m *meters) begin() {
	if m != nil {
		m.underWay.Inc()
	}
}

// end is told of the same request once its reply is written.
func (m *meters) end(route string, status int, reason string, took time.Duration) {
	if m == nil {
		return
	}
	m.underWay.Dec()
	if route == "" {
		route = noRoute
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(route).Observe(took.Seconds())
	if reason != "" && status >= 400 {
		m.errors.WithLabelValues(reason).Inc()
	}
}

// refused counts an error that net/http sends before there is a request.
func (m *meters) refused(status int, reason string) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(noRoute, strconv.Itoa(status)).Inc()
	m.errors.WithLabelValues(reason).Inc()
}

func (m *meters) called(err error) {
	if m != nil {
		m.calls.WithLabelValues(status.Code(err).String()).Inc()
	}
}

func (m *meters) callRepeated() {
	if m != nil {
		m.repeated.Inc()
	}
}

// callback counts what became of a flow; `reply` is nil where the server, or the gateway, would not look at the response.
func (m *meters) callback(reply *authurlv1.CompleteHostedAuthResponse) {
	if m == nil {
		return
	}
	outcome := "refused"
	switch reply.GetOutcome() {
	case authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED:
		outcome = "connected"
	case authurlv1.CompleteHostedAuthResponse_OUTCOME_NEEDS_CHOICE:
		outcome = "needs_choice"
	case authurlv1.CompleteHostedAuthResponse_OUTCOME_FAILED:
		outcome = "failed"
	}
	m.callbacks.WithLabelValues(outcome).Inc()
}

// readyConnections is how many connections to the server are up.
func (p *pool) readyConnections() (ready int) {
	for _, connection := range p.connections {
		if connection.GetState() == connectivity.Ready {
			ready++
		}
	}
	return ready
}

// Prometheus gives up after ten seconds, by default.
const scrapeTimeout = 10 * time.Second

// serveMetrics answers Prometheus on an address of its own, until it is closed. Nil where there is none to be.
func serveMetrics(c config, m *meters, log *slog.Logger) (*http.Server, error) {
	if c.metricsListen == "" {
		return nil, nil
	}
	front, err := net.Listen("tcp", c.metricsListen)
	if err != nil {
		return nil, fmt.Errorf("--metrics_listen: %w", err)
	}
	pages := http.NewServeMux()
	pages.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: scrapeTimeout}))
	server := &http.Server{
		Handler:           pages,
		ReadHeaderTimeout: c.readHeaderTimeout,
		ReadTimeout:       c.readTimeout,
		WriteTimeout:      2 * scrapeTimeout,
		IdleTimeout:       c.idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(libraryLog{log, "metrics"}, "", 0),
	}
	go func() { _ = server.Serve(front) }() // Ends when it is closed.
	log.Info("serving_metrics", "address", front.Addr().String())
	return server, nil
}
