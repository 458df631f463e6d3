package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"syscall"

	"authurl/deploy/gateway/console"
)

// dashboard is the console with what the gateway does for every request: bodies in bounds, a place, a deadline. Off
// without --console_key_file.
type dashboard struct {
	config  config
	clients *clients
	pages   *console.Handler // nil: off
}

func newDashboard(c config, upstream *pool, k *clients) (dashboard, error) {
	d := dashboard{config: c, clients: k}
	if c.consoleKeyFile == "" {
		return d, nil
	}
	key, err := readConsoleKey(c.consoleKeyFile)
	if err != nil {
		return d, fmt.Errorf("--console_key_file: %w", err)
	}
	defer clear(key)
	d.pages, err = console.New(console.Options{Key: key, Server: upstream, TLS: c.tlsCertFile != "",
		ClientAddress: c.trustedProxies.clientAddress, Explain: explainToOperator, Note: noteCode})
	return d, err
}

// readConsoleKey reads a file that its owner alone has rights to, as the server does with its own secrets.
func readConsoleKey(name string) ([]byte, error) {
	// Nonblocking, so that a pipe in the file's place can't hang the start.
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	case info.Mode().Perm()&(fs.ModePerm&0o077) != 0:
		return nil, fmt.Errorf("others than its owner have rights to %s; run: chmod 600 %s", name, name)
	case info.Size() != console.KeySize:
		return nil, fmt.Errorf("%s has %d bytes instead of %d; make one: head -c %d /dev/urandom >%s", name, info.Size(),
			console.KeySize, console.KeySize, name)
	}
	key := make([]byte, console.KeySize)
	_, err = io.ReadFull(file, key)
	return key, err
}

// takes tells whether a request is for the console.
func (d dashboard) takes(r *http.Request) bool { return d.pages != nil && console.Takes(r.URL.Path) }

func (d dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == console.Path+"/":
		w.Header().Set("Location", console.Path)
		w.WriteHeader(http.StatusSeeOther)
		return
	case !isCleanPath(r) || r.URL.EscapedPath() != r.URL.Path:
		d.refuse(w, r, failure{status: http.StatusNotFound, code: "PATH_NOT_FOUND", message: "The console has no such page."})
		return
	}
	if r.Method == http.MethodPost {
		if r.ContentLength != 0 && !hasContentType(r.Header, "application/x-www-form-urlencoded") {
			d.refuse(w, r, failure{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", message: "What was sent is not a form."})
			return
		}
		text, refusal := readBytes(w, r)
		if refusal != nil {
			d.refuse(w, r, *refusal)
			return
		}
		// A form can have a key or a client's secret in it.
		defer clear(text)
		r.Body = io.NopCloser(bytes.NewReader(text))
	}
	route := traits{asksNetwork: console.AsksNetwork(r)}
	if !d.clients.serve(r.Context(), route, func() {
		ctx, cancel := withDeadline(d.config, w, r, route)
		defer cancel()
		d.pages.ServeHTTP(w, r.WithContext(ctx))
	}) {
		d.refuse(w, r, overloaded)
	}
}

func (d dashboard) refuse(w http.ResponseWriter, r *http.Request, f failure) {
	f.tell(w, r)
	d.pages.Refuse(w, r, problemOf(f))
}

// explainToOperator is failureOf for people.
func explainToOperator(ctx context.Context, err error) console.Problem {
	f := failureOf(err)
	if e := exchangeOf(ctx); e != nil {
		e.code, e.cause = f.logCode(), f.cause
	}
	return problemOf(f)
}

func noteCode(ctx context.Context, code string) {
	if e := exchangeOf(ctx); e != nil {
		e.code = code
	}
}

func problemOf(f failure) console.Problem {
	problem := console.Problem{Status: f.status, Code: f.code, Message: f.message, RetryAfter: f.retryAfter}
	if f.faults != nil {
		problem.Code, problem.Message = f.logCode(), ""
	}
	for _, each := range f.faults {
		problem.Faults = append(problem.Faults, console.Fault{Field: each.Field, Text: each.Text})
	}
	return problem
}
