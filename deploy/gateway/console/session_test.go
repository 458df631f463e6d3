package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

func TestCookies(t *testing.T) {
	for _, c := range []struct{ origin, name, path string }{
		{"http://127.0.0.1:8080", "authurl_console", "/console"},
		{"http://localhost:8080", "authurl_console", "/console"},
		{"http://[::1]:8080", "authurl_console", "/console"},
		{"https://auth.example.com", "__Host-authurl_console", "/"},
	} {
		b := newBrowser(newTestHandler(t, &fakeServer{}))
		b.origin = c.origin
		w := b.post("/console/sign-in", "key", " "+testKey+"\n")
		cookies := w.Result().Cookies()
		if w.Code != http.StatusSeeOther || len(cookies) != 1 {
			t.Fatalf("%s: %d %s", c.origin, w.Code, w.Body)
		}
		cookie := cookies[0]
		if cookie.Name != c.name || cookie.Path != c.path || cookie.Secure != strings.HasPrefix(c.origin, "https") || !cookie.HttpOnly ||
			cookie.SameSite != http.SameSiteStrictMode || cookie.MaxAge != 8*3600 || cookie.Domain != "" || strings.Contains(cookie.Value, testKey) {
			t.Errorf("%s: %v", c.origin, cookie)
		}
		if w := b.get("/console/networks"); w.Code != http.StatusOK {
			t.Errorf("%s: %d", c.origin, w.Code)
		}
		if w := b.post("/console/sign-out"); w.Header().Get("Location") != "/console/sign-in?why=signed-out" || len(b.cookies) != 0 {
			t.Errorf("%s: %v %v", c.origin, w.Header(), b.cookies)
		}
	}
}

// A key that came in the clear is not kept, and nobody is asked about it.
func TestHTTPOnlyOnThisMachine(t *testing.T) {
	server := &fakeServer{}
	b := newBrowser(newTestHandler(t, server))
	b.origin = "http://auth.example.com"
	if w := b.get("/console/sign-in"); !strings.Contains(w.Body.String(), "plain http") || strings.Contains(w.Body.String(), "<form") {
		t.Error(w.Body)
	}
	w := b.send("POST", "/console/sign-in", map[string][]string{"key": {testKey}}, "Sec-Fetch-Site", "")
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "HTTPS_REQUIRED") || len(b.cookies) != 0 || len(server.calls) != 0 {
		t.Error(w.Code, w.Body)
	}
}

func TestCookiesThatAreNoSession(t *testing.T) {
	h := newTestHandler(t, &fakeServer{})
	otherKey, err := newCookieJar([]byte(strings.Repeat("x", KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	good := session{Key: testKey, ID: "1", Expires: time.Now().Add(time.Hour).Unix()}
	expired := good
	expired.Expires = time.Now().Unix()
	sealed := h.cookies.seal(sessionCookie, good)
	other := "A"
	if strings.HasSuffix(sealed, other) {
		other = "B"
	}
	for what, c := range map[string]struct{ host, name, value string }{
		"of another key":            {"127.0.0.1", sessionCookie, otherKey.seal(sessionCookie, good)},
		"expired":                   {"127.0.0.1", sessionCookie, h.cookies.seal(sessionCookie, expired)},
		"a notice":                  {"127.0.0.1", sessionCookie, h.cookies.seal(noticeCookie, good)},
		"changed":                   {"127.0.0.1", sessionCookie, sealed[:len(sealed)-1] + other},
		"cut off":                   {"127.0.0.1", sessionCookie, sealed[:20]},
		"no base64":                 {"127.0.0.1", sessionCookie, "%%%"},
		"for http, on the internet": {"auth.example.com", sessionCookie, sealed},
		"for http, with the prefix": {"auth.example.com", securePrefix + sessionCookie, sealed},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+"/console/networks", nil)
		r.AddCookie(&http.Cookie{Name: c.name, Value: c.value})
		if s, _ := h.cookies.session(r); s != nil {
			t.Errorf("%s is taken", what)
		}
	}
	r := httptest.NewRequest("GET", "http://127.0.0.1/console/networks", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: sealed})
	if s, _ := h.cookies.session(r); s == nil || s.Key != testKey || s.KeyID() != "0123456789ab" {
		t.Errorf("%v", s)
	}
	if _, err := newCookieJar([]byte("short")); err == nil {
		t.Error("a short key is taken")
	}
}

// However long a notice is, all of a header is 8 KiB.
func TestNoticesFitIntoACookie(t *testing.T) {
	h := newTestHandler(t, &fakeServer{})
	s := &session{}
	w := httptest.NewRecorder()
	h.cookies.leaveNotice(w, s, notice{Text: "Saved.", Warnings: []string{"one", strings.Repeat("<", 1000), strings.Repeat("x", 5000)}})
	cookie := w.Result().Cookies()[0]
	if len(cookie.Value) > maxNoticeBytes {
		t.Error(len(cookie.Value))
	}
	r := httptest.NewRequest("GET", "/console", nil)
	r.AddCookie(cookie)
	if n := h.cookies.takeNotice(httptest.NewRecorder(), r, s); n == nil || n.Text != "Saved." || len(n.Warnings) != 1 {
		t.Errorf("%v", n)
	}
}

func TestWhoMaySignIn(t *testing.T) {
	roleNotAllowed := failed(codes.PermissionDenied, "ROLE_NOT_ALLOWED", "This call takes an API key of role ROLE_ORG or ROLE_SERVICE")
	for _, c := range []struct {
		what, key, org string
		list, admin    error
		want           string
		calls          int
	}{
		{"nothing", "", "", nil, nil, "Enter an API key.", 0},
		{"no key", "secret", "", nil, nil, "This is not an API key", 0},
		{"a key in a sentence", "Bearer " + testKey, "", nil, nil, "This is not an API key", 0},
		{"an organisation that is none", testKey, "a\nb", nil, nil, "not the id of an organisation", 0},
		{"unknown", testKey, "", failed(codes.Unauthenticated, "API_KEY_INVALID", "x"), nil, "does not know this key", 1},
		{"ADMIN", testKey, "", roleNotAllowed, nil, "ROLE_ADMIN", 2},
		{"MINT", testKey, "", roleNotAllowed, roleNotAllowed, "ROLE_MINT", 2},
		{"SERVICE alone", testKey, "", failed(codes.InvalidArgument, "INVALID_PAYLOAD", "x", Fault{"x-org-id", "Required"}), nil, "name the organisation", 1},
		{"SERVICE elsewhere", testKey, "nope", failed(codes.NotFound, "ORGANIZATION_NOT_FOUND", "x"), nil, "no such organisation", 1},
		{"a server that is away", testKey, "", failed(codes.Unavailable, "UPSTREAM_UNAVAILABLE", "can’t be reached"), nil, "can’t be reached", 1},
	} {
		server := &fakeServer{}
		server.answer("ListSocialNetworks", &authurlv1.ListSocialNetworksResponse{}, c.list)
		server.answer("ListOrganizations", &authurlv1.ListOrganizationsResponse{}, c.admin)
		b := newBrowser(newTestHandler(t, server))
		w := b.post("/console/sign-in", "key", c.key, "organization", c.org)
		if w.Code < 400 || !strings.Contains(w.Body.String(), c.want) || len(b.cookies) != 0 || len(server.calls) != c.calls || strings.Contains(w.Body.String(), testKey) {
			t.Errorf("%s: %d, %d calls, %s", c.what, w.Code, len(server.calls), w.Body)
		}
	}
}

func TestAfterTheSignInOneGoesOn(t *testing.T) {
	for next, want := range map[string]string{
		"/console/flows/AQ_-x": "/console/flows/AQ_-x", "": networksPath, "//evil.example.com": networksPath, "/console/../v1": networksPath,
		"https://evil.example.com": networksPath, "/console//evil": networksPath, "/v1/networks": networksPath,
	} {
		b := newBrowser(newTestHandler(t, &fakeServer{}))
		if w := b.post("/console/sign-in", "key", testKey, "next", next); w.Header().Get("Location") != want {
			t.Errorf("%q: %v", next, w.Header())
		}
	}
	b := newBrowser(newTestHandler(t, &fakeServer{}))
	if w := b.get("/console/flows/AQ"); w.Header().Get("Location") != "/console/sign-in?next=%2Fconsole%2Fflows%2FAQ" {
		t.Error(w.Header())
	}
}

func TestAttempts(t *testing.T) {
	a := newAttempts()
	now := time.Now()
	for i := range attemptsAtOnce {
		// One person has an IPv6 network of 64 bits.
		address := "2001:db8::" + string(rune('1'+i%9))
		if _, ok := a.allow(address, now); !ok {
			t.Fatal(i)
		}
	}
	if wait, ok := a.allow("2001:db8::ffff", now); ok || wait <= 0 || wait > attemptInterval {
		t.Error(wait, ok)
	}
	if _, ok := a.allow("2001:db8:0:1::1", now); !ok {
		t.Error("another network is held up")
	}
	if _, ok := a.allow("2001:db8::1", now.Add(attemptInterval)); !ok {
		t.Error("after a while there is another one")
	}
	for i := range 2 * maxAddresses {
		a.allow(string(rune(i)), now)
	}
	if len(a.limiters) > maxAddresses {
		t.Error(len(a.limiters))
	}

	server := &fakeServer{}
	server.answers = map[string]func(proto.Message) (proto.Message, error){}
	b := newBrowser(newTestHandler(t, server))
	for range attemptsAtOnce {
		b.post("/console/sign-in", "key", "x")
	}
	if w := b.post("/console/sign-in", "key", testKey); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || len(server.calls) != 0 {
		t.Error(w.Code, w.Header())
	}
}
