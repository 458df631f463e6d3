package main

import (
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// traits are what a few of the API's routes have of their own.
type traits struct {
	// Needs no API key: what its path names is the credential. Its query means nothing.
	keyless bool
	// The server asks a network: the call may take as long as a flow does, and has places of its own.
	asksNetwork bool
	// The server may wait until there is an event. Such calls have places of their own too.
	waitsForEvents bool
	// Pages in browsers may call it with a tenant token, where --cors_origins has their origin.
	forPages bool
}

var traitsOfRoutes = map[string]traits{
	"POST /v1/social-networks/{network=*}/auth-url":               {forPages: true},
	"GET /v1/social-accounts":                                     {forPages: true},
	"GET /v1/social-accounts/{id=*}":                              {forPages: true},
	"DELETE /v1/social-accounts/{id=*}":                           {forPages: true, asksNetwork: true},
	"GET /v1/social-accounts/pending/{session_token=*}":           {forPages: true, keyless: true},
	"POST /v1/social-accounts/pending/{session_token=*}/finalize": {forPages: true, asksNetwork: true},
	"POST /v1/auth-flows/{flow_id=*}/finalize":                    {asksNetwork: true},
	"POST /v1/social-accounts:complete":                           {asksNetwork: true},
	"GET /v1/social-accounts/{id=*}/health":                       {asksNetwork: true},
	"POST /v1/social-accounts/{account_id=*}/access-token":        {asksNetwork: true},
	"POST /v1/social-accounts:import":                             {asksNetwork: true},
	"GET /v1/events":                                              {waitsForEvents: true},
	// It asks the receiver of the webhook.
	"POST /v1/webhooks/{id=*}/test": {asksNetwork: true},
}

// routeOf is the method and the path's pattern of a request that found its handler.
func routeOf(r *http.Request) string {
	pattern, _ := runtime.HTTPPattern(r.Context())
	return r.Method + " " + pattern.String()
}

// noteRoute tells the request's exchange where it went, as openapi.yaml writes paths.
func noteRoute(r *http.Request, route string) {
	if e := exchangeOf(r.Context()); e != nil {
		e.route = strings.ReplaceAll(route, "=*}", "}")
	}
}

// routeTable knows the routes of the API without serving them.
type routeTable struct{ mux *runtime.ServeMux }

func newRouteTable() (routeTable, error) {
	mux, err := newMux(nil, func(runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, _ map[string]string) { w.(*routeFound).route = routeOf(r) }
	})
	return routeTable{mux}, err
}

// find is the route of the method at the path; empty where there is none.
func (t routeTable) find(method string, r *http.Request) string {
	var found routeFound
	t.mux.ServeHTTP(&found, &http.Request{Method: method, URL: r.URL, Header: http.Header{}})
	return found.route
}

var methods = []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut}

func (t routeTable) methodsOf(r *http.Request) []string {
	var found []string
	for _, method := range methods {
		if t.find(method, r) != "" {
			found = append(found, method)
		}
	}
	return found
}

// routeFound is a reply that nobody reads.
type routeFound struct{ route string }

func (*routeFound) Header() http.Header            { return http.Header{} }
func (*routeFound) WriteHeader(int)                {}
func (*routeFound) Write(body []byte) (int, error) { return len(body), nil }
