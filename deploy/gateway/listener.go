package main

import (
	"bytes"
	"container/list"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// listener takes connections in, within the bounds of `clients`, and gives the API's envelope to the few errors that
// net/http writes itself, as plain text and before there is a request: a broken request line, a header that is too
// large, an unknown transfer coding, an expectation.
type listener struct {
	net.Listener
	tls     *tls.Config // nil: plain text
	clients *clients
	meters  *meters
	log     *slog.Logger
}

// The kernel keeps some of what a client does not take, and of what it sends; by itself up to megabytes for each, which a
// container's limit counts too.
const kernelBytes = 64 << 10

func (l listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if socket, ok := raw.(*net.TCPConn); ok {
			_ = socket.SetReadBuffer(kernelBytes) // As a wish; without it all goes on.
			_ = socket.SetWriteBuffer(kernelBytes)
		}
		c := &ownConn{Conn: raw, raw: raw, log: l.log, clients: l.clients, meters: l.meters}
		c.address, _, _ = net.SplitHostPort(raw.RemoteAddr().String())
		if l.tls != nil {
			c.Conn = tls.Server(raw, l.tls)
		}
		if l.clients.add(c) {
			return c, nil
		}
		_ = raw.Close()
	}
}

// ownConn is the connection of a client. Its methods may be called for none, as in a test of a handler alone.
type ownConn struct {
	net.Conn
	raw     net.Conn // below TLS
	log     *slog.Logger
	address string
	// Whether a request on its way is ours. What is written outside of one is net/http's. What is written of one can
	// begin anywhere in a reply and with anything. Only the goroutine that serves the connection uses it.
	isHandled bool

	clients *clients
	meters  *meters
	// The rest is for `clients`, under its mutex.
	phase phase
	since time.Time
	place *list.Element
	held  int64
}

type ownConnKey struct{}

func withOwnConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, ownConnKey{}, c)
}

// ownConnOf is the connection of a request.
func ownConnOf(ctx context.Context) *ownConn {
	c, _ := ctx.Value(ownConnKey{}).(*ownConn)
	return c
}

// beginRequest is told when a handler has a request.
func (c *ownConn) beginRequest() {
	if c != nil {
		c.isHandled = true
		c.enter(served)
	}
}

// connStateChanged is told by net/http when a reply was sent and the connection waits for the next request.
func connStateChanged(c net.Conn, state http.ConnState) {
	if own, ok := c.(*ownConn); ok && state == http.StateIdle {
		own.isHandled = false
		own.enter(resting)
	}
}

func (c *ownConn) enter(next phase) {
	if c == nil {
		return
	}
	c.clients.mutex.Lock()
	defer c.clients.mutex.Unlock()
	if c.phase != gone {
		c.clients.enter(c, next)
	}
}

func (c *ownConn) isCutOff() bool {
	if c == nil {
		return false
	}
	c.clients.mutex.Lock()
	defer c.clients.mutex.Unlock()
	return c.phase == gone
}

func (c *ownConn) hold(bytes int64) bool { return c == nil || c.clients.hold(c, bytes) }

// keep gives back what of the bytes held is beyond these.
func (c *ownConn) keep(bytes int64) {
	if c != nil {
		c.clients.keep(c, bytes)
	}
}

func (c *ownConn) Close() error {
	c.clients.mutex.Lock()
	c.clients.forget(c)
	c.clients.mutex.Unlock()
	return c.Conn.Close()
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
	c.meters.refused(f.status, f.logCode())
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
