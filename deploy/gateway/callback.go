package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"authurl/deploy/gateway/gen/authurlv1"
)

// The hosted callback (core/flow/hosted_callback.h): where networks send the browsers of people whose organisation has no
// callback of its own. Needs no API key: the state that comes with the browser is the credential. What a network sends is
// for the server to read; here it is only carried, and no reply has any of it.
var callbackPath = regexp.MustCompile(`^/v1/social-networks/[a-z0-9_]{1,32}/callback(/[A-Za-z0-9_-]{1,64})?$`)

// As the metrics call it.
const callbackRoute = "/v1/social-networks/{network}/callback"

var callbackTraits = traits{keyless: true, asksNetwork: true}

type callback struct {
	config  config
	clients *clients
	server  authurlv1.SocialAccountServiceClient
	pages   callbackPages
	meters  *meters
}

func newCallback(c config, server grpc.ClientConnInterface, k *clients, m *meters) (callback, error) {
	pages, err := newCallbackPages()
	return callback{config: c, clients: k, server: authurlv1.NewSocialAccountServiceClient(server), pages: pages, meters: m}, err
}

// takes tells whether a request is for the callback. Every other spelling of its path is nobody's.
func (callback) takes(r *http.Request) bool {
	return callbackPath.MatchString(r.URL.Path) && r.URL.EscapedPath() == r.URL.Path && isCleanPath(r)
}

func (h callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodPost {
		noteRoute(r, r.Method+" "+callbackRoute)
	}
	// The address that the browser is at has the code in it.
	w.Header().Set("Referrer-Policy", "no-referrer")
	parameters, refusal := h.readParameters(w, r)
	if refusal != nil {
		h.meters.callback(nil)
		h.fail(w, r, *refusal)
		return
	}
	served := h.clients.serve(r.Context(), callbackTraits, func() {
		ctx, cancel := withDeadline(h.config, w, r, callbackTraits)
		defer cancel()
		h.complete(ctx, w, r, parameters)
	})
	if !served {
		h.meters.callback(nil)
		h.fail(w, r, overloaded)
	}
}

// readParameters takes the query of a GET and the body of a form post (OAuth 2.0 Form Post Response Mode). Nothing else
// reaches the server: a HEAD, for one, is not a person who comes back.
func (h callback) readParameters(w http.ResponseWriter, r *http.Request) (string, *failure) {
	switch {
	case r.Method == http.MethodGet:
		return inUTF8(r.URL.RawQuery), nil
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		return "", &failure{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED"}
	case !hasContentType(r.Header, "application/x-www-form-urlencoded"):
		return "", &failure{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE"}
	}
	text, refusal := readBytes(w, r)
	if refusal != nil {
		return "", refusal
	}
	defer clear(text)
	return inUTF8(string(text)), nil
}

// inUTF8 writes bytes that a message can't carry as a form does, which for its reader is the same.
func inUTF8(parameters string) string {
	if utf8.ValidString(parameters) {
		return parameters
	}
	var out strings.Builder
	for i := range len(parameters) {
		if c := parameters[i]; c < utf8.RuneSelf {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// complete asks the server what became of the flow, and sends the browser on, or tells the person.
func (h callback) complete(ctx context.Context, w http.ResponseWriter, r *http.Request, parameters string) {
	reply, err := h.server.CompleteHostedAuth(ctx, &authurlv1.CompleteHostedAuthRequest{
		Path:          r.URL.EscapedPath(),
		Parameters:    parameters,
		ClientAddress: h.config.trustedProxies.clientAddress(r),
	})
	h.meters.callback(reply)
	if err != nil {
		h.fail(w, r, failureOfCallback(err))
		return
	}
	exchangeOf(r.Context()).code = cut(reply.GetReason(), 64)
	switch location := reply.GetLocation(); {
	case location != "" && isPlaceToGo(location):
		w.Header().Set("Location", location)
		w.Header().Set("Content-Length", "0")
		// Whatever came here, a GET goes on from here.
		w.WriteHeader(http.StatusSeeOther)
	case location != "":
		h.fail(w, r, failure{status: http.StatusInternalServerError, code: "INTERNAL", cause: "the server's location is none"})
	case reply.GetOutcome() == authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED:
		h.pages.write(w, r, http.StatusOK, connected)
	case reply.GetOutcome() == authurlv1.CompleteHostedAuthResponse_OUTCOME_NEEDS_CHOICE:
		h.pages.write(w, r, http.StatusOK, choiceLeft)
	case reply.GetOutcome() == authurlv1.CompleteHostedAuthResponse_OUTCOME_FAILED:
		h.pages.write(w, r, http.StatusBadRequest, sentenceFor(reply.GetReason()))
	default:
		h.fail(w, r, failure{status: http.StatusInternalServerError, code: "INTERNAL", cause: "the server does not say how the flow went"})
	}
}

// failureOfCallback is failureOf for browsers, which know no API: either what came is of no use, or it may be later.
func failureOfCallback(err error) failure {
	f := failureOf(err)
	switch {
	case status.Code(err) == codes.Unavailable:
		f.status = http.StatusServiceUnavailable
		f.retryAfter = max(f.retryAfter, time.Second)
	case f.status < 500 && f.status != http.StatusTooManyRequests:
		f.status = http.StatusBadRequest
	}
	return f
}

func (h callback) fail(w http.ResponseWriter, r *http.Request, f failure) {
	f.tell(w, r)
	h.pages.write(w, r, f.status, sentenceOf(f))
}

// Schemes that do something in the browser itself.
var schemesOfBrowsers = map[string]bool{"about": true, "blob": true, "data": true, "file": true, "filesystem": true,
	"intent": true, "javascript": true, "vbscript": true, "view-source": true, "ws": true, "wss": true}

var (
	webAddress = regexp.MustCompile(`^(?i:https?)://[^/?#\\]`)
	appAddress = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):[^\\]`)
)

// isPlaceToGo tells whether a Location is an absolute URL of the web or of an app, fit for a header. The server has
// checked it against what the organisation allows; this is so that no mistake there does harm here.
func isPlaceToGo(location string) bool {
	if strings.ContainsFunc(location, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return false
	}
	parts := appAddress.FindStringSubmatch(location)
	if parts == nil {
		return false
	}
	scheme := strings.ToLower(parts[1])
	if scheme == "http" || scheme == "https" {
		return webAddress.MatchString(location)
	}
	return !schemesOfBrowsers[scheme]
}
