package hydra

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Where Hydra sends browsers for somebody to sign in and to consent, and where it sends them back. Nobody serves them:
// the browser stops before it gets there.
const (
	signInPage  = "https://sign-in.example.com/sign-in"
	consentPage = "https://sign-in.example.com/consent"
	redirectURI = "https://app.example.com/cb"
)

// person is somebody with a browser and an account at Hydra.
type person struct {
	id, username, name string
	// What they consent to; empty: to all that is asked for.
	scopes []string
	// They sign in and then say no.
	refuses bool
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	formField  = regexp.MustCompile(`<input[^>]* name="([^"]*)"[^>]* value="([^"]*)"`)
)

// answer opens the URL, signs in and consents, or not. Returns what came to the redirect URI: the URL of it, or the
// body of the form that the browser is to post there.
func (p person) answer(t *testing.T, h *house, authURL string) string {
	t.Helper()
	cookies, err := cookiejar.New(nil)
	check(t, err)
	browser := http.Client{
		Jar:           cookies,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	const maxSteps = 10
	for next, step := authURL, 0; step < maxSteps; step++ {
		page, err := browser.Get(next)
		check(t, err)
		body, err := io.ReadAll(page.Body)
		page.Body.Close()
		check(t, err)
		next = page.Header.Get("Location")
		switch {
		case strings.HasPrefix(next, redirectURI):
			return next
		case strings.HasPrefix(next, signInPage):
			next = p.signIn(t, h, next)
		case strings.HasPrefix(next, consentPage):
			next = p.consent(t, h, next)
		case next == "":
			return formTo(t, redirectURI, page.Status, string(body))
		}
	}
	t.Fatalf("the browser does not come back in %d steps", maxSteps)
	return ""
}

// signIn does what the page does that Hydra has none of, and returns where the browser goes on to.
func (p person) signIn(t *testing.T, h *house, page string) string {
	t.Helper()
	var reply struct {
		RedirectTo string `json:"redirect_to"`
	}
	h.manage(t, "PUT", "/admin/oauth2/auth/requests/login/accept?"+challenge(t, page, "login_challenge"),
		fields{"subject": p.id}, &reply)
	return reply.RedirectTo
}

// consent likewise.
func (p person) consent(t *testing.T, h *house, page string) string {
	t.Helper()
	asked := challenge(t, page, "consent_challenge")
	var reply struct {
		RedirectTo     string   `json:"redirect_to"`
		RequestedScope []string `json:"requested_scope"`
	}
	if p.refuses {
		h.manage(t, "PUT", "/admin/oauth2/auth/requests/consent/reject?"+asked,
			fields{"error": "access_denied", "error_description": "The person said no"}, &reply)
		return reply.RedirectTo
	}
	h.manage(t, "GET", "/admin/oauth2/auth/requests/consent?"+asked, nil, &reply)
	granted := p.scopes
	if len(granted) == 0 {
		granted = reply.RequestedScope
	}
	h.manage(t, "PUT", "/admin/oauth2/auth/requests/consent/accept?"+asked, fields{
		"grant_scope": granted,
		"session":     fields{"id_token": fields{"name": p.name, "preferred_username": p.username}},
	}, &reply)
	return reply.RedirectTo
}

// challenge is what stands for a request in the URL of a page, as a query.
func challenge(t *testing.T, page, name string) string {
	t.Helper()
	return url.Values{name: {parameter(t, page, name)}}.Encode()
}

// formTo is the body of the form on a page that a browser posts by itself.
func formTo(t *testing.T, action, status, page string) string {
	t.Helper()
	found := formAction.FindStringSubmatch(page)
	if found == nil || html.UnescapeString(found[1]) != action {
		t.Fatalf("Hydra answered %s: %s", status, page)
	}
	form := url.Values{}
	for _, field := range formField.FindAllStringSubmatch(page, -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return form.Encode()
}

// parameter is one of a URL's query, which must have it.
func parameter(t *testing.T, address, name string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	check(t, err)
	if !parsed.Query().Has(name) {
		t.Fatalf("there is no %s in %s", name, address)
	}
	return parsed.Query().Get(name)
}

// with puts another value of a parameter into a URL; an empty one takes it away.
func with(t *testing.T, address, name, value string) string {
	t.Helper()
	parameter(t, address, name)
	parsed, err := url.Parse(address)
	check(t, err)
	query := parsed.Query()
	query.Set(name, value)
	if value == "" {
		query.Del(name)
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}
