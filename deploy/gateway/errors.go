package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// failure is an error reply of the REST API. Either faults (an invalid request), which may have their JSON form already,
// or message and code.
type failure struct {
	status     int
	faults     faults
	details    string
	message    string
	code       string
	retryAfter time.Duration
	// Of RATE_LIMITED: calls a second.
	rateLimit string
	// For the log only.
	cause string
}

var titles = map[int]string{
	http.StatusBadRequest:                  "Invalid payload",
	http.StatusUnauthorized:                "Unauthorized",
	http.StatusForbidden:                   "Forbidden",
	http.StatusNotFound:                    "Not found",
	http.StatusMethodNotAllowed:            "Method not allowed",
	http.StatusRequestTimeout:              "Request timeout",
	http.StatusConflict:                    "Conflict",
	http.StatusRequestEntityTooLarge:       "Payload too large",
	http.StatusUnsupportedMediaType:        "Unsupported media type",
	http.StatusExpectationFailed:           "Expectation failed",
	http.StatusTooManyRequests:             "Too many requests",
	http.StatusRequestHeaderFieldsTooLarge: "Request header fields too large",
	http.StatusInternalServerError:         "Internal server error",
	http.StatusNotImplemented:              "Not implemented",
	http.StatusServiceUnavailable:          "Service unavailable",
	http.StatusGatewayTimeout:              "Gateway timeout",
}

func invalid(field, text string) failure {
	return failure{status: http.StatusBadRequest, faults: faults{{field, text}}}
}

// body is what the caller reads:
//
//	{"success":false,"error":"Invalid payload","details":{…}}
//	{"success":false,"error":"Not found","message":"…","code":"NETWORK_NOT_CONFIGURED"}
func (f failure) body() []byte { return append(f.appendMembers([]byte{'{'}), '}') }

func (f failure) appendMembers(out []byte) []byte {
	out = appendJSONString(append(out, `"success":false,"error":`...), titles[f.status])
	if f.details != "" {
		return append(append(out, `,"details":`...), f.details...)
	}
	if f.faults != nil {
		return newDetails(f.faults).appendJSON(append(out, `,"details":`...))
	}
	out = appendJSONString(append(out, `,"message":`...), f.message)
	return appendJSONString(append(out, `,"code":`...), f.code)
}

// logCode is the one word for the log.
func (f failure) logCode() string {
	if f.faults != nil || f.details != "" {
		return "INVALID_PAYLOAD"
	}
	return f.code
}

func (f failure) write(w http.ResponseWriter, r *http.Request) {
	f.tell(w, r)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	body := f.body()
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // A client that is gone reads no reply.
}

// tell puts into the log and into the reply's header what belongs there.
func (f failure) tell(w http.ResponseWriter, r *http.Request) {
	if e := exchangeOf(r.Context()); e != nil {
		e.code, e.cause = f.logCode(), f.cause
	}
	header := w.Header()
	if f.retryAfter > 0 {
		seconds := (f.retryAfter + time.Second - 1) / time.Second
		header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if f.rateLimit != "" {
		header.Set("X-RateLimit-Limit", f.rateLimit)
		header.Set("X-RateLimit-Remaining", "0")
		header.Set("X-RateLimit-Reset", header.Get("Retry-After"))
	}
	if f.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="authurl"`)
	}
}

// failureOf translates what a call to the server ended with, or what grpc-gateway makes itself before one. The server's
// own errors carry exactly one ErrorInfo.
func failureOf(err error) failure {
	st := status.Convert(err)
	var f failure
	var violations faults
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			f.code = detail.GetReason()
			f.rateLimit = detail.GetMetadata()["limit_per_second"]
		case *errdetails.RetryInfo:
			f.retryAfter = detail.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				violations = append(violations, fault{violation.GetField(), violation.GetDescription()})
			}
		}
	}
	if f.code == "" {
		return failureOfTransport(err, st)
	}
	f.message = st.Message()
	f.status = httpStatus(st.Code(), f.code)
	switch {
	case f.status == http.StatusBadRequest && violations != nil:
		f.faults = violations
	case f.status == http.StatusBadRequest && f.code == "INVALID_PAYLOAD":
		f.faults = faults{{"", f.message}}
	case restMessages[f.code] != "":
		f.message = restMessages[f.code]
	}
	return f
}

// Where REST has a sentence of its own: the server's speaks of metadata, or is fixed by contract.
var restMessages = map[string]string{
	"API_KEY_MISSING":     "Send your API key in the header Authorization: Bearer auk_…",
	"STORAGE_UNAVAILABLE": "Database connection failed",
}

// failureOfTransport is for errors that the server did not make.
func failureOfTransport(err error, st *status.Status) failure {
	switch {
	case st.Code() == codes.InvalidArgument:
		if details, found := strings.CutPrefix(st.Message(), shownAsDetails); found {
			return failure{status: http.StatusBadRequest, details: details}
		}
		return invalid("", st.Message())
	case st.Code() == codes.ResourceExhausted && strings.Contains(st.Message(), "larger than max"):
		// The words of gRPC on both sides. Both are older than any check of ours, so neither has a reason.
		return failure{status: http.StatusRequestEntityTooLarge, code: "REPLY_TOO_LARGE", cause: st.Message(),
			message: "Request or reply is larger than what is sent at once. Ask for less: for a smaller page, or for fewer networks"}
	case st.Code() == codes.ResourceExhausted:
		f := overloaded
		f.cause = st.Message()
		return f
	case st.Code() == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded):
		return failure{status: http.StatusGatewayTimeout, code: "DEADLINE_EXCEEDED",
			message: "The authurl server took too long; try again"}
	case st.Code() == codes.Unavailable || st.Code() == codes.Canceled:
		return failure{status: http.StatusServiceUnavailable, code: "UPSTREAM_UNAVAILABLE", retryAfter: time.Second,
			message: "The authurl server can't be reached; try again", cause: st.Message()}
	case st.Code() == codes.Unimplemented:
		return failure{status: http.StatusInternalServerError, code: "UNIMPLEMENTED", cause: st.Message(),
			message: "The authurl server does not know this call: it is older than the gateway"}
	}
	return failure{status: http.StatusInternalServerError, code: "INTERNAL", cause: st.Message(),
		message: "Internal error; the gateway's log has the cause under this reply's X-Request-Id"}
}

func httpStatus(code codes.Code, reason string) int {
	switch reason {
	case "STORAGE_UNAVAILABLE":
		return http.StatusInternalServerError
	case "METADATA_TOO_LARGE":
		return http.StatusRequestHeaderFieldsTooLarge
	case "REPLY_TOO_LARGE":
		// Not 429, which clients send again by themselves: the same request would get the same.
		return http.StatusRequestEntityTooLarge
	case "TOO_MANY_WEBHOOKS":
		// Nor here: it takes a deletion.
		return http.StatusConflict
	}
	switch code {
	case codes.InvalidArgument, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable, codes.Canceled:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
