package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"authurl/deploy/gateway/console"
	"authurl/deploy/gateway/gen/authurlv1"
)

// exchange is one request and its reply: what the log says of it.
type exchange struct {
	requestID string
	// The method and the pattern of its path; empty where nothing is there.
	route string
	code  string
	cause string
	// It may wait for a network, or for an event.
	waits bool
	// Whether anybody has begun to read the request's body.
	bodyRead bool
	// The client went away while the server was asked: nobody reads the reply.
	abandoned bool
	// Of a list of social accounts: the filter `id`, and what the server was asked for.
	accountID string
	listed    *authurlv1.ListSocialAccountsRequest
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	e, _ := ctx.Value(exchangeKey{}).(*exchange)
	return e
}

// What of a request's header goes any further. Everything else, Grpc-Metadata-* and X-HTTP-Method-Override included,
// ends here.
var knownHeaders = []string{"Accept-Encoding", "If-None-Match", "Referer", "Sec-Fetch-Site", "Authorization", "X-Org-Id", "Content-Type", "Content-Encoding", "Accept-Language",
	"Origin", "Access-Control-Request-Method", "X-Forwarded-For"}

// The console's sessions are cookies. It has no use for keys in headers.
var headersOfConsole = []string{"Content-Type", "Content-Encoding", "Cookie", "Origin", "Sec-Fetch-Site", "X-Forwarded-For"}

// withExchange is the outermost layer: it names each request, says what all replies have in common, logs and counts, and
// lets no panic through. While `draining`, each reply asks its client to open its next connection elsewhere.
func withExchange(log *slog.Logger, m *meters, draining *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		c := ownConnOf(r.Context())
		c.beginRequest()
		m.begin()
		defer c.keep(0)
		e := &exchange{requestID: requestIDFor(r.Header.Values("X-Request-Id"))}
		reply := &countingWriter{ResponseWriter: w, beforeHeader: func() {
			e.leaveBody(w, r)
			c.enter(takingReply)
		}}
		reply.Header().Set("Cache-Control", "no-store")
		reply.Header().Set("X-Content-Type-Options", "nosniff")
		reply.Header().Set("X-Request-Id", e.requestID)
		if draining.Load() {
			reply.Header().Set("Connection", "close")
		}
		defer func() {
			if problem := recover(); problem != nil {
				log.Error("panic", "request_id", e.requestID, "problem", fmt.Sprint(problem), "stack", string(debug.Stack()))
				if reply.status == 0 {
					failure{status: http.StatusInternalServerError, code: "INTERNAL", cause: "panic",
						message: "Internal error; the gateway's log has the cause under this reply's X-Request-Id"}.write(reply, r)
				}
			}
			took := time.Since(started)
			status := e.statusFor(r, reply.status)
			m.end(e.route, status, e.code, took)
			e.log(log, r, status, took)
		}()
		inner := r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e))
		inner.Header = http.Header{}
		known := knownHeaders
		if console.Takes(r.URL.Path) {
			known = headersOfConsole
		}
		for _, name := range known {
			if values := r.Header.Values(name); len(values) > 0 {
				inner.Header[name] = values
			}
		}
		next.ServeHTTP(reply, inner)
	})
}

// How long a client that was answered before its body was read may go on sending it. Cut off at once, many would never
// see the answer.
const unreadBodyTime = time.Second

// leaveBody ends the connection after a reply to a request whose body nobody reads. Else net/http would read it, and wait
// for it, before it sends the reply.
func (e *exchange) leaveBody(w http.ResponseWriter, r *http.Request) {
	if e.bodyRead || r.ContentLength == 0 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadBodyTime)) // Fails in tests without a connection only.
}

// statusFor is what log and metrics say of a request: 499 where the client went away.
func (e *exchange) statusFor(r *http.Request, sent int) int {
	if e.abandoned || r.Context().Err() != nil && sent == 0 {
		return 499
	}
	return sent
}

func (e *exchange) log(log *slog.Logger, r *http.Request, status int, took time.Duration) {
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	if !log.Enabled(r.Context(), level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("method", cut(r.Method, 16)),
		// Without the query: page tokens are nobody's business.
		slog.String("path", cut(pathForLog(r.URL.Path), 256)),
		slog.Int("status", status),
		slog.String("request_id", e.requestID),
		slog.Int64("microseconds", took.Microseconds()),
	}
	if e.code != "" {
		attributes = append(attributes, slog.String("code", e.code))
	}
	if e.cause != "" {
		attributes = append(attributes, slog.String("cause", cut(e.cause, 300)))
	}
	log.LogAttrs(r.Context(), level, "request", attributes...)
}

var credentialInPath = regexp.MustCompile(`au[kst]_[0-9A-Za-z_-]+|whsec_[0-9A-Za-z+/_-]+`)

// pathForLog is a path without what is nobody's business in it. It may be none of ours: whoever makes a mistake in a path
// has the same secrets in it.
func pathForLog(path string) string {
	// A query whose "?" was encoded belongs to the path.
	if end := strings.IndexAny(path, "?#&=;"); end >= 0 {
		path = path[:end] + "…"
	}
	if before, after, found := strings.Cut(path, "/pending/"); found {
		path = before + "/pending/{session_token}"
		if strings.HasSuffix(after, "/finalize") {
			path += "/finalize"
		}
	}
	return credentialInPath.ReplaceAllString(path, "{credential}")
}

// requestIDFor takes the caller's, where it is fit for a log by the server's rule; else it makes one.
func requestIDFor(given []string) string {
	if len(given) == 1 && isRequestID(given[0]) {
		return given[0]
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // Never fails.
	return hex.EncodeToString(random[:])
}

func isRequestID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 64
}

// countingWriter remembers the status that was sent.
type countingWriter struct {
	http.ResponseWriter
	status       int
	beforeHeader func()
}

func (w *countingWriter) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.beforeHeader != nil {
		w.beforeHeader()
	}
}

func (w *countingWriter) Write(body []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(body)
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
