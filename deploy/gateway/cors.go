package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// origins are those whose pages may call from a browser (--cors_origins), as browsers write them.
type origins []string

func parseOrigins(text string) (origins, error) {
	if text == "" {
		return nil, nil
	}
	var all origins
	for each := range strings.SplitSeq(text, ",") {
		if err := checkOrigin(each); err != nil {
			return nil, fmt.Errorf("%q %w", each, err)
		}
		all = append(all, each)
	}
	return all, nil
}

// checkOrigin takes the one spelling that a browser sends: any other would never match.
func checkOrigin(text string) error {
	if text == "*" || text == "null" {
		return errors.New("names no site: write each origin out")
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.Scheme+"://"+parsed.Host != text || strings.ToLower(text) != text ||
		strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '*' }) {
		return errors.New("is not an origin such as https://app.example.com: in lower case, without path and without / at its end")
	}
	if parsed.Scheme == "https" && parsed.Port() == "443" || parsed.Scheme == "http" && parsed.Port() == "80" {
		return errors.New("has the port that browsers leave out: leave it out too")
	}
	// A tenant token in a page that others can change on its way is theirs.
	if parsed.Scheme == "http" && !isLocal(net.JoinHostPort(parsed.Hostname(), "0")) && !strings.HasSuffix(parsed.Hostname(), ".localhost") {
		return errors.New("is http, which is for this machine only: its pages must be served over https")
	}
	return nil
}

// of is the origin of the page that a request comes from, where it is one of them.
func (o origins) of(r *http.Request) (string, bool) {
	given := r.Header.Values("Origin")
	return r.Header.Get("Origin"), len(given) == 1 && slices.Contains(o, given[0])
}

// isPreflight tells a browser's question whether a page may call from its calls.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight says yes to what pages may call, or is false: then the request is answered as if there were no CORS.
func (o origins) answerPreflight(w http.ResponseWriter, r *http.Request, table routeTable) bool {
	origin, known := o.of(r)
	if !known || !traitsOfRoutes[table.find(r.Header.Get("Access-Control-Request-Method"), r)].forPages {
		return false
	}
	var allowed []string
	for _, method := range methods {
		if traitsOfRoutes[table.find(method, r)].forPages {
			allowed = append(allowed, method)
		}
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Methods", strings.Join(allowed, ", "))
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
	header.Set("Access-Control-Max-Age", "600")
	header.Set("Vary", "Origin")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// letPageRead lets the page that made the request read the reply, where it may: it shows the token of a tenant, or the
// route asks for no key. Credentials that a browser adds by itself have no meaning here and are never allowed.
func (o origins) letPageRead(w http.ResponseWriter, r *http.Request, route traits) {
	if len(o) == 0 || !route.forPages {
		return
	}
	header := w.Header()
	header.Set("Vary", "Origin")
	if origin, known := o.of(r); known && (route.keyless || hasTenantToken(r)) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset")
	}
}

// refuseKeyInPage: whoever opens a page has all that is in it.
func refuseKeyInPage(r *http.Request) *failure {
	if len(r.Header.Values("Origin")) == 0 || hasTenantToken(r) || isTriedInReference(r) {
		return nil
	}
	return &failure{status: http.StatusForbidden, code: "API_KEY_IN_BROWSER",
		message: "The header Origin says that a page in a browser sent this, and an API key must never be in one: everybody who opens the page can " +
			"read it. Call from your server, or give the page a token of its tenant (POST /v1/tenant-tokens)"}
}

// isTriedInReference: the page at /docs has no key in it; who tries a call there has typed one in. Only a page of this very
// host can send what is asked for here: browsers set these headers themselves, and no other host's page may call (CORS).
func isTriedInReference(r *http.Request) bool {
	origins, pages := r.Header.Values("Origin"), r.Header.Values("Referer")
	if len(origins) != 1 || len(pages) != 1 {
		return false
	}
	origin, err := url.Parse(origins[0])
	if err != nil {
		return false
	}
	// Told of https and loopback only; behind a proxy, the host may be another one here than in the browser.
	site := r.Header.Get("Sec-Fetch-Site")
	ours := site == "same-origin" || site == "" && origin.Host == r.Host
	page, found := strings.CutPrefix(pages[0], origins[0]+"/")
	return ours && found && (page == "docs" || strings.HasSuffix(page, "/docs") && !strings.ContainsAny(page, "?#"))
}
