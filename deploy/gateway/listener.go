package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

// listener gives the API's envelope to the few errors that net/http writes itself, as plain text and before there is a
// request: a broken request line, a header that is too large, an unknown transfer coding, an expectation.
type listener struct {
	net.Listener
	log *slog.Logger
}

func (l listener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &ownConn{Conn: connection, log: l.log}, nil
}

type ownConn struct {
	net.Conn
	log *slog.Logger
	// Whether a request on its way is ours. What is written outside of one is net/http's. What is written of one can
	// begin anywhere in a reply and with anything. Only the goroutine that serves the connection uses it.
	isHandled bool
}

// ownConnOf is the connection of a request; nil in tests that have none.
func ownConnOf(ctx context.Context) *ownConn {
	c, _ := ctx.Value(ownConnKey{}).(*ownConn)
	return c
}

type ownConnKey struct{}

func withOwnConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, ownConnKey{}, c)
}

// beginRequest is told when a handler has a request.
func (c *ownConn) beginRequest() {
	if c != nil {
		c.isHandled = true
	}
}

// connStateChanged is told by net/http when a reply was sent and the connection waits for the next request.
func connStateChanged(c net.Conn, state http.ConnState) {
	if own, ok := c.(*ownConn); ok && state == http.StateIdle {
		own.isHandled = false
	}
}

func (c *ownConn) Write(reply []byte) (int, error) {
	if c.isHandled {
		return c.Conn.Write(reply)
	}
	f, found := failureOfHTTP(reply)
	if !found {
		return c.Conn.Write(reply)
	}
	id := requestIDFor(nil)
	c.log.Info("request", "status", f.status, "request_id", id, "code", f.logCode())
	body := f.body()
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"+
		"X-Request-Id: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		f.status, http.StatusText(f.status), id, len(body), body)
	return len(reply), err
}

// CloseWrite lets net/http end a connection so that its last reply still arrives.
func (c *ownConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// failureOfHTTP recognises such an error by its status and the header lines that net/http puts on most of them.
func failureOfHTTP(reply []byte) (failure, bool) {
	const plain = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	head, text, _ := bytes.Cut(reply, []byte(plain))
	line := string(head)
	switch {
	case strings.HasPrefix(line, "HTTP/1.1 417 "):
		return failure{status: http.StatusExpectationFailed, code: "EXPECTATION_FAILED",
			message: "Leave the header Expect out, or send 100-continue"}, true
	case len(head) == len(reply) || strings.Contains(line, "\n"):
		return failure{}, false
	case strings.HasPrefix(line, "HTTP/1.1 431 "):
		return failure{status: http.StatusRequestHeaderFieldsTooLarge, code: "HEADER_TOO_LARGE",
			message: "The header is larger than 8 KiB: send less"}, true
	case strings.HasPrefix(line, "HTTP/1.1 501 "):
		return failure{status: http.StatusNotImplemented, code: "TRANSFER_ENCODING_UNKNOWN",
			message: "Send the body with Content-Length or Transfer-Encoding: chunked"}, true
	case strings.HasPrefix(line, "HTTP/1.1 4"), strings.HasPrefix(line, "HTTP/1.1 5"):
		reason := strings.TrimPrefix(string(text), "400 Bad Request")
		return invalid("", "The request is not valid HTTP"+reason), true
	}
	return failure{}, false
}
