package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"authurl/deploy/gateway/console"
)

func consoleKey(t *testing.T, bytes int, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "console-key")
	if err := os.WriteFile(file, []byte(strings.Repeat("k", bytes)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConsoleKeyFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		consoleKey(t, 32, 0o640):         "chmod 600",
		consoleKey(t, 32, 0o604):         "chmod 600",
		consoleKey(t, 31, 0o600):         "31 bytes",
		consoleKey(t, 33, 0o600):         "head -c 32 /dev/urandom",
		consoleKey(t, 0, 0o600):          "0 bytes",
		t.TempDir():                      "not a regular file",
		pipe:                             "not a regular file",
		filepath.Join(t.TempDir(), "no"): "no such file",
	} {
		if _, err := newDashboard(config{consoleKeyFile: file}, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "--console_key_file: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if d, err := newDashboard(config{consoleKeyFile: consoleKey(t, 32, 0o400)}, nil, nil); err != nil || d.pages == nil {
		t.Error(err)
	}
}

func TestThereIsNoConsoleWithoutAKey(t *testing.T) {
	g := startGateway(t, "--upstream="+(&fakeServer{}).start(t))
	for _, path := range []string{"/console", "/console/sign-in"} {
		if r := send(t, "GET", g.url+path, ""); r.status != http.StatusNotFound || !strings.Contains(r.body, "PATH_NOT_FOUND") {
			t.Errorf("%s: %v", path, r)
		}
	}
}

// What the gateway does before the console has a request, and around it.
func TestConsoleWithinTheGateway(t *testing.T) {
	g := startGateway(t, "--upstream="+(&fakeServer{}).start(t), "--console_key_file="+consoleKey(t, 32, 0o600))
	stranger := func(method, path, body string, headers ...string) reply {
		return send(t, method, g.url+path, body, append([]string{"Authorization", ""}, headers...)...)
	}
	for _, c := range []struct {
		method, path, body, contentType string
		status                          int
		want                            string
	}{
		{"GET", "/console/", "", "", 303, ""},
		{"GET", "/console", "", "", 303, ""},
		{"GET", "/console/sign-in", "", "", 200, "<h1>Sign in</h1>"},
		{"HEAD", "/console/sign-in", "", "", 200, ""},
		{"GET", "/console//networks", "", "", 404, "PATH_NOT_FOUND"},
		{"GET", "/console/%6eetworks", "", "", 404, "PATH_NOT_FOUND"},
		{"GET", "/console/a%2fb", "", "", 404, "PATH_NOT_FOUND"},
		{"POST", "/console/sign-in", "{}", jsonType, 415, "not a form"},
		{"POST", "/console/sign-in", strings.Repeat("a", maxBodyBytes+1), formType, 413, "larger than 64 KiB"},
		{"POST", "/console/sign-in", "key=%zz", formType, 400, "not a form"},
		{"POST", "/console/sign-in", "key=x", formType, 400, "not an API key"},
		{"PUT", "/console/networks", "", "", 303, ""},
	} {
		headers := []string{"Origin", g.url}
		if c.contentType != "" {
			headers = append(headers, "Content-Type", c.contentType)
		}
		r := stranger(c.method, c.path, c.body, headers...)
		if r.status != c.status || !strings.Contains(r.body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", c.method, c.path, r.header)
		}
	}
	// A key in a header is no session.
	if r := send(t, "GET", g.url+"/console/networks", ""); r.status != http.StatusSeeOther {
		t.Error(r)
	}
	if r := stranger("POST", "/console/sign-out", "", "Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden {
		t.Error(r)
	}
	codes := map[any]bool{}
	for _, event := range g.log.events("request") {
		codes[event["code"]] = true
	}
	for _, code := range []string{"CROSS_ORIGIN_REQUEST", "NOT_SIGNED_IN", "UNSUPPORTED_MEDIA_TYPE", "BODY_TOO_LARGE", "PATH_NOT_FOUND"} {
		if !codes[code] {
			t.Errorf("%s is not in the log: %v", code, codes)
		}
	}
}

func TestProblemsOfTheConsole(t *testing.T) {
	problem := problemOf(failure{status: 400, code: "INVALID_PAYLOAD", message: "Invalid payload: a: b", faults: faults{{"a", "b"}}})
	if problem.Code != "INVALID_PAYLOAD" || problem.Message != "" || problem.Sentence() != "a: b" || problem.Faults[0] != (console.Fault{Field: "a", Text: "b"}) {
		t.Error(problem)
	}
	if problem := explainToOperator(context.Background(), errUpstreamDown); problem.Status != http.StatusServiceUnavailable || problem.Message == "" || problem.RetryAfter == 0 {
		t.Error(problem)
	}
}

// operator is somebody with a browser, which keeps cookies.
type operator struct {
	t       *testing.T
	g       *gateway
	cookies map[string]string
}

func (o *operator) send(method, path string, pairs ...string) reply {
	o.t.Helper()
	var cookies []string
	for name, value := range o.cookies {
		cookies = append(cookies, name+"="+value)
	}
	headers := []string{"Authorization", "", "Cookie", strings.Join(cookies, "; ")}
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	if method == http.MethodPost {
		headers = append(headers, "Origin", o.g.url, "Content-Type", formType)
	}
	r := send(o.t, method, o.g.url+path, form.Encode(), headers...)
	for _, cookie := range (&http.Response{Header: r.header}).Cookies() {
		if cookie.MaxAge < 0 {
			delete(o.cookies, cookie.Name)
		} else {
			o.cookies[cookie.Name] = cookie.Value
		}
	}
	return r
}

func (o *operator) expect(r reply, status int, words ...string) {
	o.t.Helper()
	for _, word := range words {
		if r.status != status || !strings.Contains(r.body+r.header.Get("Location"), word) {
			o.t.Errorf("not %d %q: %v", status, word, r)
		}
	}
}

// makeKeyOf makes an API key of a role, in the organisation where it is of one, and returns it with its id.
func makeKeyOf(t *testing.T, g *gateway, adminKey, path, role string) (string, string) {
	t.Helper()
	made := send(t, "POST", g.url+path, `{"role":"`+role+`"}`, "Authorization", bearer(adminKey), "Content-Type", jsonType)
	found := regexp.MustCompile(`"key":"(auk_([^_"]+)_[^"]+)"`).FindStringSubmatch(made.body)
	if found == nil {
		t.Fatal(made)
	}
	return found[1], found[2]
}

func TestConsoleOfARealServer(t *testing.T) {
	s := startServer(t, "--public_base_url=https://auth.example.com")
	g := startGateway(t, "--upstream="+s.address, "--console_key_file="+consoleKey(t, 32, 0o600))
	setUp(t, g, s.adminKey)
	key, keyID := makeKeyOf(t, g, s.adminKey, "/v1/organizations/acme/api-keys", "ROLE_ORG")
	mint, _ := makeKeyOf(t, g, s.adminKey, "/v1/organizations/acme/api-keys", "ROLE_MINT")
	service, _ := makeKeyOf(t, g, s.adminKey, "/v1/api-keys", "ROLE_SERVICE")

	o := &operator{t, g, map[string]string{}}
	for _, c := range []struct{ key, organization, want string }{
		{mint, "", "ROLE_MINT"}, {s.adminKey, "", "ROLE_ADMIN"}, {service, "", "name the organisation"}, {service, "nope", "no such organisation"},
		{key, "nope", "no such organisation"}, {key[:len(key)-1] + "0", "", "does not know this key"},
	} {
		o.expect(o.send("POST", "/console/sign-in", "key", c.key, "organization", c.organization), 400, c.want)
	}
	o.expect(o.send("POST", "/console/sign-in", "key", service, "organization", "acme"), 303, "/console/networks")
	o.expect(o.send("GET", "/console/networks"), 200, "Instagram", "acme")
	o.expect(o.send("POST", "/console/sign-out"), 303, "signed-out")
	o.expect(o.send("POST", "/console/sign-in", "key", key), 303, "/console/networks")

	// Faults of the server's beside their fields, then a configuration, changed in every way.
	secret := "0123456789abcdef0123456789abcdef"
	form := []string{"client_key", "my-client", "client_secret", secret, "console_returns", "yes", "allowed_return_uris", "ftp://x", "name", "Second"}
	r := o.send("POST", "/console/catalog/linkedin?variant=page", form...)
	o.expect(r, 400, `id="f-name-error"`, `id="f-allowed_return_uris-error"`)
	form[7], form[9] = "https://app.example.com/done", "second"
	o.expect(o.send("POST", "/console/catalog/linkedin?variant=page", form...), 303, "/console/networks/sn_")
	found := regexp.MustCompile(`/console/networks/sn_[0-9a-z]+`).FindAllString(o.send("GET", "/console/networks").body, -1)
	var here string
	for _, each := range found {
		if strings.Contains(o.send("GET", each).body, "my-client") {
			here = each
		}
	}
	page := o.send("GET", here)
	o.expect(page, 200, "https://auth.example.com/v1/social-networks/linkedin/callback", g.url+"/console/returned", "second")
	o.expect(o.send("POST", here+"/edit", "client_key", "my-client", "name", "third", "allowed_return_uris", g.url+"/console/returned", "session_binding_policy", "yes"), 303, here)
	o.expect(o.send("GET", here), 200, "The changes are saved", "third", "Required")
	o.expect(o.send("POST", here+"/secret", "client_secret", ""), 400, `id="f-client_secret-error"`)
	o.expect(o.send("POST", here+"/secret", "client_secret", secret+"2"), 303, here)
	o.expect(o.send("POST", here+"/try", "who", "me", "tenant", "customer_42"), 200, "Continue to www.linkedin.com")
	o.expect(o.send("POST", here+"/try", "who", "me", "tenant", "a b"), 400, "tenant_id")
	o.expect(o.send("POST", here+"/default"), 303, here)
	o.expect(o.send("POST", here+"/delete"), 303, "/console/networks")
	o.expect(o.send("GET", here), 404, "SOCIAL_NETWORK_NOT_FOUND")

	o.expect(o.send("GET", "/console/accounts?tenant=a+b"), 400, "tenant_id")
	o.expect(o.send("GET", "/console/accounts"), 200, "No account is connected yet")
	o.expect(o.send("GET", "/console/accounts/sa_00000000000000000000"), 404, "SOCIAL_ACCOUNT_NOT_FOUND")
	o.expect(o.send("GET", "/console/events"), 200, "Nothing has happened")
	o.expect(o.send("GET", "/console/events?type=nonsense&before=ev_0000000000000002"), 400, "is not a type of events")
	o.expect(o.send("GET", "/console/flows/nonsense"), 400, "flow_id")

	// From the moment that the key is revoked, nothing more.
	if r := send(t, "DELETE", g.url+"/v1/organizations/acme/api-keys/"+keyID, "", "Authorization", bearer(s.adminKey)); r.status != 200 {
		t.Fatal(r)
	}
	o.expect(o.send("GET", "/console/accounts"), 303, "/console/sign-in?why=refused")
	if len(o.cookies) != 0 {
		t.Error(o.cookies)
	}
	for _, word := range []string{key, service, secret} {
		if strings.Contains(g.log.String()+s.log.String(), word) {
			t.Error("a secret is in a log")
		}
	}
}
