package main

import (
	"net/http"
	"regexp"
)

// What is sent as an API key, by its shape: an API key, auk_, its id, _, the secret and its checksum (core/api_key.h), or
// the token of a tenant. Whether it is good, the server says.
var (
	apiKeyShape      = regexp.MustCompile(`^(?i:bearer) +auk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`)
	tenantTokenShape = regexp.MustCompile(`^(?i:bearer) +aut_[0-9A-Za-z_-]{16,1000}$`)
)

// refuseWithoutKey asks for what can be a key before anything is read or done for a request. The sentences are those of
// the server, which would refuse it too.
func refuseWithoutKey(r *http.Request) *failure {
	refusal := failure{status: http.StatusUnauthorized, code: "API_KEY_INVALID"}
	switch given := r.Header.Values("Authorization"); {
	case len(given) == 0:
		refusal.code, refusal.message = "API_KEY_MISSING", restMessages["API_KEY_MISSING"]
	case len(given) > 1:
		refusal.message = "There is more than one header Authorization: send one"
	case !apiKeyShape.MatchString(given[0]) && !tenantTokenShape.MatchString(given[0]):
		refusal.message = "The header Authorization is not \"Bearer \" and a valid API key; look for a typing error"
	default:
		return nil
	}
	return &refusal
}

func hasTenantToken(r *http.Request) bool {
	given := r.Header.Values("Authorization")
	return len(given) == 1 && tenantTokenShape.MatchString(given[0])
}
