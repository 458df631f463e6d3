package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is why something was not done, for the person who wanted it.
type Problem struct {
	// Of HTTP.
	Status int
	// The API's stable reason, such as NETWORK_NOT_CONFIGURED.
	Code    string
	Message string
	// What is wrong with which field of the API's request, such as `allowed_redirect_uris[1]`.
	Faults []Fault
	// 0: it makes no difference.
	RetryAfter time.Duration
}

// Fault is what is wrong with one field.
type Fault struct{ Field, Text string }

var titles = map[int]string{
	http.StatusBadRequest:         "That can't be done like this",
	http.StatusForbidden:          "That is not allowed",
	http.StatusNotFound:           "Not found",
	http.StatusConflict:           "That can't be done now",
	http.StatusTooManyRequests:    "Too much at once",
	http.StatusServiceUnavailable: "Not reachable at the moment",
	http.StatusGatewayTimeout:     "It took too long",
}

// tell says in the header when to try again.
func (p Problem) tell(w http.ResponseWriter) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
}

func (p Problem) title() string {
	if title := titles[p.Status]; title != "" {
		return title
	}
	return "That did not work"
}

// Sentence is what is shown: the message, or the faults of a request that no form made.
func (p Problem) Sentence() string {
	if p.Message != "" || len(p.Faults) == 0 {
		return p.Message
	}
	var all []string
	for _, fault := range p.Faults {
		all = append(all, strings.TrimPrefix(fault.Field+": "+fault.Text, ": "))
	}
	return strings.Join(all, "; ")
}
