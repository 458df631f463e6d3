package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

const ourOrigin = "https://app.example.com"

func corsHeaders(header http.Header) map[string]string {
	found := map[string]string{}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			found[name] = header.Get(name)
		}
	}
	return found
}

// The routes that pages may call, and one method of each other.
var callsOfPages = [][2]string{{"POST", authURLPath}, {"GET", accountsPath}, {"GET", accountsPath + "?limit=10&offset=0&tenantId=t"}, {"GET", accountsPath + "/sa_1"}, {"DELETE", accountsPath + "/sa_1"},
	{"GET", pendingPath}, {"POST", finalizePath}}
var otherCalls = [][2]string{{"POST", accountsPath + "/sa_1/access-token"}, {"GET", accountsPath + "/sa_1/health"}, {"POST", accountsPath + ":complete"}, {"DELETE", accountsPath + "?tenantId=t"},
	{"POST", "/v1/auth-responses:open"}, {"POST", "/v1/tenant-tokens"}, {"GET", "/v1/auth-flows/a"}, {"POST", "/v1/auth-flows/a/finalize"}, {"POST", explainPath}, {"POST", batchPath}, {"GET", "/v1/networks"}, {"GET", "/v1/api-keys"},
	{"GET", "/v1/events"}, {"GET", "/v1/webhooks"}, {"POST", "/v1/webhooks"}, {"POST", "/v1/webhooks/wh_1/rotate-secret"}, {"GET", accountsPath + ":export"}, {"POST", accountsPath + ":import"},
	{"POST", "/v1/organizations"}}

func TestWhoMayReadRepliesInABrowser(t *testing.T) {
	const other = "https://other.example"
	ours := map[string]string{"Access-Control-Allow-Origin": ourOrigin,
		"Access-Control-Expose-Headers": "Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"}
	server := &fakeServer{}
	with := startGateway(t, "--upstream="+server.start(t), "--cors_origins="+ourOrigin+",http://localhost:5173")
	without := startGateway(t, "--upstream="+server.start(t))
	for _, test := range []struct {
		g             *gateway
		origin, key   string
		ofPages       map[string]string // what calls of pages get
		refused, asks int               // statuses: of a key in a page; of none
	}{
		{with, "", testKey, nil, 200, 200},
		{with, "", testToken, nil, 200, 200},
		{with, ourOrigin, testToken, ours, 200, 200},
		{with, other, testToken, nil, 200, 200},
		{with, "null", testToken, nil, 200, 200},
		{with, "https://APP.example.com", testToken, nil, 200, 200},
		{with, ourOrigin + "/", testToken, nil, 200, 200},
		{with, ourOrigin + ", " + ourOrigin, testToken, nil, 200, 200},
		{with, ourOrigin, testKey, nil, 403, 200},
		{with, other, testKey, nil, 403, 200},
		{with, "null", testKey, nil, 403, 200},
		{with, ourOrigin, "", nil, 401, 401},
		{with, ourOrigin, "nonsense", nil, 401, 401},
		{without, "", testKey, nil, 200, 200},
		{without, ourOrigin, testToken, nil, 200, 200},
		{without, ourOrigin, testKey, nil, 403, 200},
	} {
		for _, calls := range [][][2]string{callsOfPages, otherCalls} {
			for i, call := range calls {
				ofPages := len(calls) == len(callsOfPages) && i < len(callsOfPages) && call == callsOfPages[i]
				what := fmt.Sprint(call, test.origin, " ", test.key)
				headers := []string{"Authorization", bearer(test.key)}
				if test.key == "" {
					headers[1] = ""
				}
				if test.origin != "" {
					headers = append(headers, "Origin", test.origin)
				}
				_, before := server.last()
				r := send(t, call[0], test.g.url+call[1], "", headers...)
				wantStatus, want := test.refused, test.ofPages
				isPending := call[1] == pendingPath
				if isPending {
					wantStatus = 200
					if test.g == with && test.origin == ourOrigin {
						want = ours
					}
				}
				if !ofPages {
					want = nil
				}
				if !ofPages && call[1] == "/v1/organizations" && wantStatus == 200 {
					wantStatus = 500 // The fake does not know it.
				}
				if r.status != wantStatus || fmt.Sprint(corsHeaders(r.header)) != fmt.Sprint(want) && len(corsHeaders(r.header))+len(want) > 0 {
					t.Errorf("%s: %v", what, r)
				}
				if varies := r.header.Get("Vary") == "Origin"; varies != (ofPages && test.g == with) {
					t.Errorf("%s: Vary: %v", what, r.header)
				}
				if wantStatus == 403 {
					_, after := server.last()
					if !strings.Contains(r.body, `"code":"API_KEY_IN_BROWSER"}`) || !strings.Contains(r.body, "an API key must never be in one") || after != before {
						t.Errorf("%s: %v", what, r)
					}
				}
			}
		}
	}
	// A page can read what went wrong too.
	server.answerSocial(nil, rpcError(codes.NotFound, "m", "SOCIAL_ACCOUNT_NOT_FOUND"))
	for _, body := range []string{"", `{"tenant_id":5}`} {
		r := send(t, "POST", with.url+finalizePath, body, "Authorization", bearer(testToken), "Origin", ourOrigin, "Content-Type", jsonType)
		if r.status < 400 || r.header.Get("Access-Control-Allow-Origin") != ourOrigin {
			t.Error(r)
		}
	}
	// Two of them are none.
	r := send(t, "GET", with.url+accountsPath, "", "Authorization", bearer(testToken), "Origin", ourOrigin, "Origin", ourOrigin)
	if len(corsHeaders(r.header)) > 0 {
		t.Error(r)
	}
}

func TestPreflights(t *testing.T) {
	server := &fakeServer{}
	with := startGateway(t, "--upstream="+server.start(t), "--cors_origins="+ourOrigin)
	without := startGateway(t, "--upstream="+server.start(t))
	ask := func(g *gateway, path, origin, method string) reply {
		t.Helper()
		headers := []string{"Authorization", "", "Access-Control-Request-Headers", "authorization,content-type"}
		if origin != "" {
			headers = append(headers, "Origin", origin)
		}
		if method != "" {
			headers = append(headers, "Access-Control-Request-Method", method)
		}
		return send(t, "OPTIONS", g.url+path, "", headers...)
	}
	allowed := map[string]string{authURLPath: "POST", accountsPath: "GET", accountsPath + "/sa_1": "DELETE, GET", pendingPath: "GET", finalizePath: "POST"}
	for _, call := range callsOfPages {
		path, _, _ := strings.Cut(call[1], "?")
		r := ask(with, call[1], ourOrigin, call[0])
		want := map[string]string{"Access-Control-Allow-Origin": ourOrigin, "Access-Control-Allow-Methods": allowed[path],
			"Access-Control-Allow-Headers": "Authorization, Content-Type, X-Request-Id", "Access-Control-Max-Age": "600"}
		if r.status != 204 || r.body != "" || r.header.Get("Vary") != "Origin" || fmt.Sprint(corsHeaders(r.header)) != fmt.Sprint(want) {
			t.Errorf("%s: %v", call, r)
		}
		for _, no := range []reply{ask(without, call[1], ourOrigin, call[0]), ask(with, call[1], "https://other.example", call[0]), ask(with, call[1], "null", call[0]),
			ask(with, call[1], ourOrigin, "PUT"), ask(with, call[1], ourOrigin, strings.ToLower(call[0])), ask(with, call[1], ourOrigin, ""), ask(with, call[1], "", call[0])} {
			if no.status != 405 || len(corsHeaders(no.header)) > 0 {
				t.Errorf("%s: %v", call, no)
			}
		}
	}
	for _, call := range otherCalls {
		if r := ask(with, call[1], ourOrigin, call[0]); r.status != 405 || len(corsHeaders(r.header)) > 0 {
			t.Errorf("%s: %v", call, r)
		}
	}
	for _, path := range []string{"/v1/nothing", "/v1/social-accounts/", "/v1/social-accounts%2Fsa_1", "/v1/social-accounts/../social-accounts"} {
		if r := ask(with, path, ourOrigin, "GET"); r.status != 404 || len(corsHeaders(r.header)) > 0 {
			t.Errorf("%s: %v", path, r)
		}
	}
	for _, path := range []string{"/healthz", "/docs", hostedPath} {
		if r := ask(with, path, ourOrigin, "GET"); r.status != 405 || len(corsHeaders(r.header)) > 0 {
			t.Errorf("%s: %v", path, r)
		}
	}
	if _, n := server.last(); n != 0 {
		t.Errorf("%d of them reached the server", n)
	}
}

func TestOriginsAreWrittenAsBrowsersDo(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for argument, want := range map[string]string{
		"--cors_origins=*":                                    `"*" names no site`,
		"--cors_origins=null":                                 `"null" names no site`,
		"--cors_origins=https://*.example.com":                `"https://*.example.com" is not an origin such as https://app.example.com`,
		"--cors_origins=https://app.example.com/":             `is not an origin such as`,
		"--cors_origins=https://App.example.com":              `is not an origin such as`,
		"--cors_origins=app.example.com":                      `is not an origin such as`,
		"--cors_origins=https://a@app.example.com":            `is not an origin such as`,
		"--cors_origins=https://":                             `is not an origin such as`,
		"--cors_origins=https://a.example, https://b.example": `is not an origin such as`,
		"--cors_origins=https://app.example.com:443":          `has the port that browsers leave out`,
		"--cors_origins=http://localhost:80":                  `has the port that browsers leave out`,
		"--cors_origins=http://app.example.com":               `is http, which is for this machine only`,
	} {
		if _, err := readConfig([]string{argument}, none, io.Discard); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", argument, err)
		}
	}
	c, err := readConfig([]string{"--cors_origins=https://app.example.com,https://b.example:8443,http://localhost:5173,http://[::1]:1,http://a.localhost,capacitor://localhost"}, none, io.Discard)
	if err != nil || len(c.corsOrigins) != 6 {
		t.Error(err, c.corsOrigins)
	}
}
