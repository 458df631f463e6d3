package main

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"authurl/deploy/gateway/gen/authurlv1"
)

const maxBodyBytes = 64 << 10

// newAPI is the REST API of http_rules.yaml in front of `server`.
func newAPI(c config, server grpc.ClientConnInterface, k *clients) (http.Handler, error) {
	table, err := newRouteTable()
	if err != nil {
		return nil, err
	}
	api, err := newMux(server, admit(c, k),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
			if status == http.StatusMethodNotAllowed {
				methodNotAllowed(w, r, table.methodsOf(r))
				return
			}
			notFound(w, r)
		}))
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isCleanPath(r) {
			notFound(w, r)
			return
		}
		if isPreflight(r) && c.corsOrigins.answerPreflight(w, r, table) {
			return
		}
		api.ServeHTTP(w, r)
	}), nil
}

func newMux(server grpc.ClientConnInterface, around runtime.Middleware, more ...runtime.ServeMuxOption) (*runtime.ServeMux, error) {
	none := func(string) (string, bool) { return "", false }
	mux := runtime.NewServeMux(append([]runtime.ServeMuxOption{
		runtime.WithMarshalerOption(runtime.MIMEWildcard, envelope{}),
		runtime.WithMiddlewares(around, takeAccountID),
		runtime.WithForwardResponseRewriter(withListing),
		runtime.WithIncomingHeaderMatcher(func(name string) (string, bool) { return "x-org-id", name == "X-Org-Id" }),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
		runtime.SetQueryParameterParser(queryParser{}),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			if e := exchangeOf(r.Context()); e != nil {
				e.abandoned = errors.Is(r.Context().Err(), context.Canceled)
			}
			failureOf(err).write(w, r)
		}),
	}, more...)...)
	return mux, errors.Join(
		authurlv1.RegisterAuthUrlServiceHandlerClient(context.Background(), mux, authurlv1.NewAuthUrlServiceClient(server)),
		authurlv1.RegisterSocialNetworkServiceHandlerClient(context.Background(), mux, authurlv1.NewSocialNetworkServiceClient(server)),
		authurlv1.RegisterSocialAccountServiceHandlerClient(context.Background(), mux, accountsClient{authurlv1.NewSocialAccountServiceClient(server)}),
		authurlv1.RegisterEventServiceHandlerClient(context.Background(), mux, authurlv1.NewEventServiceClient(server)),
		authurlv1.RegisterWebhookServiceHandlerClient(context.Background(), mux, authurlv1.NewWebhookServiceClient(server)),
		authurlv1.RegisterOrganizationServiceHandlerClient(context.Background(), mux, authurlv1.NewOrganizationServiceClient(server)))
}

// How long the server may take where it asks a network: it gives a flow 20 s.
const networkTimeout = 25 * time.Second

// How long the server waits for an event at most.
const longestWait = 15 * time.Second

// How long a reply may take to be sent after that.
const sendingTime = 5 * time.Second

// withDeadline gives the server the time that it may take for a call.
func withDeadline(c config, w http.ResponseWriter, r *http.Request, route traits) (context.Context, context.CancelFunc) {
	timeout := c.upstreamTimeout
	switch {
	case route.asksNetwork:
		timeout = max(networkTimeout, timeout)
	case route.waitsForEvents:
		timeout += longestWait
	default:
		return context.WithTimeout(r.Context(), timeout)
	}
	// --write_timeout, which began with the request, has no room for that. Fails in tests without a connection only.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + sendingTime))
	return context.WithTimeout(r.Context(), timeout)
}

// admit is what every request of a known path and method goes through: it shows a key, its body is read, in time and in
// bounds, it gets one of the places, and the server gets a deadline.
func admit(c config, k *clients) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
			name := routeOf(r)
			noteRoute(r, name)
			route := traitsOfRoutes[name]
			c.corsOrigins.letPageRead(w, r, route)
			if refusal := refuseCaller(r, route); refusal != nil {
				refusal.write(w, r)
				return
			}
			if !isPrintable(r.Header.Values("X-Org-Id")) {
				invalid("x-org-id", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -").write(w, r)
				return
			}
			text, refusal := readBody(w, r, route)
			if refusal != nil {
				refusal.write(w, r)
				return
			}
			// A body can have a client's secret in it.
			defer clear(text)
			r.Body = requestBody{bytes.NewReader(text), pathParams}
			if !k.serve(r.Context(), route, func() {
				ctx, cancel := withDeadline(c, w, r, route)
				defer cancel()
				next(w, r.WithContext(ctx), pathParams)
			}) {
				overloaded.write(w, r)
			}
		}
	}
}

// refuseCaller asks for a key, and for one that fits where the request comes from.
func refuseCaller(r *http.Request, route traits) *failure {
	if route.keyless {
		// Whatever a page sends along: the server is shown nothing that it might refuse.
		r.Header.Del("Authorization")
		r.Header.Del("X-Org-Id")
		return nil
	}
	if refusal := refuseWithoutKey(r); refusal != nil {
		return refusal
	}
	return refuseKeyInPage(r)
}

var bodyTooLarge = failure{status: http.StatusRequestEntityTooLarge, code: "BODY_TOO_LARGE",
	message: "The body is larger than 64 KiB: send less"}

// readBody reads the JSON that a request has as its body, or that it has none. Of strangers it reads nothing.
func readBody(w http.ResponseWriter, r *http.Request, route traits) ([]byte, *failure) {
	if route.keyless {
		return nil, nil
	}
	text, refusal := readBytes(w, r)
	switch {
	case refusal != nil:
		return nil, refusal
	case r.Method != http.MethodPost && r.Method != http.MethodPatch:
		return nil, refuseQuery(r)
	case r.URL.RawQuery != "":
		refusal := invalid("", "There are no query parameters here: put them into the body")
		return nil, &refusal
	case !isJSON(r.Header, len(text) == 0):
		return nil, &failure{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE",
			message: "Send the body as JSON, with the header Content-Type: application/json"}
	}
	return text, nil
}

// readBytes reads the body of a request, whatever it is.
func readBytes(w http.ResponseWriter, r *http.Request) ([]byte, *failure) {
	if r.ContentLength > maxBodyBytes {
		return nil, &bodyTooLarge
	}
	text, err := receiveBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &bodyTooLarge
	case errors.Is(err, errNoRoom), err != nil && ownConnOf(r.Context()).isCutOff():
		w.Header().Set("Connection", "close")
		return nil, &overloaded
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return nil, &failure{status: http.StatusRequestTimeout, code: "REQUEST_TIMEOUT",
			message: "The body did not arrive in time: send it again, faster"}
	case err != nil:
		w.Header().Set("Connection", "close")
		refusal := invalid("", "The body could not be read to its end: send it again")
		refusal.cause = err.Error()
		return nil, &refusal
	}
	return text, nil
}

var (
	errNoRoom = errors.New("there is no room for the body")
	// As the server says it of itself.
	overloaded = failure{status: http.StatusTooManyRequests, code: "OVERLOADED", retryAfter: time.Second,
		message: "The gateway has too many requests at once; try again"}
)

// receiveBody takes the body in as far as there is room for it. How much it has to be, the client says, or it may be as
// large as any.
func receiveBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	c := ownConnOf(r.Context())
	c.enter(sendingBody)
	size := r.ContentLength
	if size < 0 {
		size = maxBodyBytes
	}
	if !c.hold(size) {
		return nil, errNoRoom
	}
	exchangeOf(r.Context()).bodyRead = true
	text := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := text.ReadFrom(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err == nil {
		c.enter(served)
		c.keep(int64(text.Len()))
	}
	return text.Bytes(), err
}

// isJSON asks for the one Content-Type that no HTML form can send. An empty body may go without.
func isJSON(header http.Header, empty bool) bool {
	return empty && len(header.Values("Content-Type")) == 0 || hasContentType(header, "application/json")
}

// hasContentType tells whether a body is of that type, in UTF-8 and as it is.
func hasContentType(header http.Header, want string) bool {
	given := header.Values("Content-Type")
	if len(given) != 1 || header.Get("Content-Encoding") != "" {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(given[0])
	charset := strings.ToLower(parameters["charset"])
	return err == nil && kind == want && (charset == "" || charset == "utf-8")
}

// isPrintable tells whether gRPC can carry the values. grpc-gateway drops others without a word, and a request must not
// go on without the organisation that it names.
func isPrintable(values []string) bool {
	return !slices.ContainsFunc(values, func(value string) bool {
		return strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
	})
}

// isCleanPath refuses the spellings of a path by which a proxy in front and this one could come to differ: encoded
// slashes, matrix parameters, dot segments, empty segments, what is no UTF-8. The one exception: a missing network is the
// server's to name.
func isCleanPath(r *http.Request) bool {
	switch r.URL.EscapedPath() {
	case "/v1/social-networks//auth-url", "/v1/social-networks//auth-url:explain":
		return true
	}
	if r.URL.Scheme != "" || strings.Contains(r.RequestURI, "#") {
		return false
	}
	if strings.Count(r.URL.EscapedPath(), "/") != strings.Count(r.URL.Path, "/") {
		return false
	}
	if !utf8.ValidString(r.URL.Path) {
		return false
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(r.URL.Path, "/"), "/") {
		if segment == "" || strings.Trim(segment, ".") == "" || strings.ContainsAny(segment, `;\%`) {
			return false
		}
		if strings.ContainsFunc(segment, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return false
		}
	}
	return strings.HasPrefix(r.URL.Path, "/")
}

func notFound(w http.ResponseWriter, r *http.Request) {
	failure{status: http.StatusNotFound, code: "PATH_NOT_FOUND",
		message: "There is nothing at this path; /docs lists what there is"}.write(w, r)
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, allowed []string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	failure{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED",
		message: "This path takes " + strings.Join(allowed, ", ")}.write(w, r)
}
