package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// How long the server may take to say how it is. Probes of orchestrators wait a second.
const healthTimeout = 900 * time.Millisecond

// newHandler serves everything: the API, and beside it what the gateway answers itself.
func newHandler(api http.Handler, hosted callback, operators dashboard, server grpc.ClientConnInterface, draining *atomic.Bool) (http.Handler, error) {
	documents, err := newReference()
	if err != nil {
		return nil, err
	}
	asJSON, err := openAPIAsJSON()
	if err != nil {
		return nil, err
	}
	for path, of := range map[string]document{
		"/openapi.yaml": {contentType: "application/yaml", plain: openAPI},
		"/openapi.json": {contentType: "application/json", plain: asJSON},
	} {
		if documents[path], err = newDocument(of.contentType, of.plain); err != nil {
			return nil, err
		}
	}
	// With the callback, the console's sign-in and the API's keyless routes (routes.go) the closed list of what strangers are
	// answered. Everything else asks for an API key (admit).
	keyless := map[string]http.HandlerFunc{
		"/healthz": healthz,
		"/readyz":  readyz(grpc_health_v1.NewHealthClient(server), draining),
	}
	for path, d := range documents {
		keyless[path] = d.ServeHTTP
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := keyless[r.URL.Path]
		switch {
		case hosted.takes(r):
			hosted.ServeHTTP(w, r)
		case operators.takes(r):
			noteRoute(r, "/console")
			operators.ServeHTTP(w, r)
		case page == nil || r.URL.EscapedPath() != r.URL.Path:
			api.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			methodNotAllowed(w, r, []string{http.MethodGet, http.MethodHead})
		default:
			noteRoute(r, "GET "+r.URL.Path)
			page(w, r)
		}
	}), nil
}

// healthz says that this process runs, whatever the server does.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"success":true,"data":{"status":"ok"}}`))
}

// readyz says whether requests should be sent here: the server is well, and this process is not about to leave.
func readyz(health grpc_health_v1.HealthClient, draining *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			failure{status: http.StatusServiceUnavailable, code: "SHUTTING_DOWN", retryAfter: time.Second,
				message: "This gateway is stopping; call another one"}.write(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		reply, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil && reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			err = status.Error(codes.Unavailable, "the server's health is "+reply.GetStatus().String())
		}
		if err != nil {
			failure{status: http.StatusServiceUnavailable, code: "UPSTREAM_NOT_READY", retryAfter: time.Second,
				message: "The authurl server is not ready", cause: status.Convert(err).Message()}.write(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"success":true,"data":{"status":"ready"}}`))
	}
}
