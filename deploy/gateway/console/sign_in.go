package console

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"authurl/deploy/gateway/gen/authurlv1"
)

// apiKeyShape is what an API key looks like (core/api_key.h). Whether it is good, the server says.
var apiKeyShape = regexp.MustCompile(`^auk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`)

// A page of the console to go on to after the sign-in.
var nextPath = regexp.MustCompile(`^/console(/[A-Za-z0-9_-]+)+$`)

type signInPage struct {
	Key, Org input
	Next     string
	// Why one has to sign in, where one was before.
	Why string
	// The page came over http from another machine: whoever is in between could read the key.
	InTheClear bool
}

var whys = map[string]string{
	"ended":      "Your session has ended: after eight hours one signs in again.",
	"refused":    "The server no longer takes the key that you signed in with: it was revoked, or its organisation deleted.",
	"signed-out": "You are signed out.",
}

func newSignInPage(next string) signInPage {
	if !nextPath.MatchString(next) {
		next = ""
	}
	return signInPage{
		Key: input{Name: "key", Label: "API key", Kind: "key", Required: true,
			Hint: "Of role ROLE_ORG or ROLE_SERVICE. It stays in this browser, encrypted, until you sign out, for eight hours at most."},
		Org:  input{Name: "organization", Label: "Organisation", Kind: "user", Hint: "Only with a key of role ROLE_SERVICE: the id of the organisation that it is to act for."},
		Next: next,
	}
}

func goSignIn(w http.ResponseWriter, r *http.Request, ended bool) {
	var why, next string
	if ended {
		why = "ended"
	}
	if r.Method == http.MethodGet && nextPath.MatchString(r.URL.Path) {
		next = r.URL.Path
	}
	redirect(w, signInPath+query("why", why, "next", next))
}

func (h *Handler) showSignIn(w http.ResponseWriter, r *http.Request) {
	query := inUTF8(r.URL.Query())
	p := newSignInPage(query.Get("next"))
	p.Why = whys[query.Get("why")]
	// Browsers say Sec-Fetch-Site over https, and to this machine.
	p.InTheClear = !h.options.TLS && !isThisMachine(r.Host) && r.Header.Get("Sec-Fetch-Site") == ""
	h.pages.write(w, http.StatusOK, "sign_in", page{Title: "Sign in", Body: p})
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	form, ok := h.form(w, r)
	if !ok {
		return
	}
	p := newSignInPage(form.Get("next"))
	p.Org.Value = form.Get("organization")
	refuse := func(problem Problem) {
		problem.tell(w)
		h.options.Note(r.Context(), problem.Code)
		h.pages.write(w, problem.Status, "sign_in", page{Title: "Sign in", Problem: &problem, Body: p})
	}
	if wait, ok := h.attempts.allow(h.options.ClientAddress(r), time.Now()); !ok {
		refuse(Problem{Status: http.StatusTooManyRequests, Code: "RATE_LIMITED", RetryAfter: wait,
			Message: "There were too many attempts to sign in from your address. Try again in some seconds."})
		return
	}
	s := session{Key: strings.TrimSpace(form.Get("key")), Org: strings.TrimSpace(p.Org.Value), secure: h.cameByHTTPS(r)}
	if !s.secure && !isThisMachine(r.Host) {
		p.InTheClear = true
		refuse(Problem{Status: http.StatusForbidden, Code: "HTTPS_REQUIRED",
			Message: "The console takes keys over https only, but on this machine. This one came in the clear: if anybody could read it on its way, revoke it."})
		return
	}
	if problem := h.tryKey(r.Context(), s, &p); problem != nil {
		refuse(*problem)
		return
	}
	h.cookies.begin(w, s)
	next := p.Next
	if next == "" {
		next = networksPath
	}
	redirect(w, next)
}

// tryKey asks the server for what the console needs; what is wrong stands beside the field, too.
func (h *Handler) tryKey(ctx context.Context, s session, p *signInPage) *Problem {
	bad := func(field *input, text string) *Problem {
		field.Errors = []string{text}
		return &Problem{Status: http.StatusBadRequest, Code: "NOT_SIGNED_IN", Message: "You are not signed in."}
	}
	switch {
	case s.Key == "":
		return bad(&p.Key, "Enter an API key.")
	case !apiKeyShape.MatchString(s.Key):
		return bad(&p.Key, "This is not an API key: those begin with auk_ and have 66 characters. Look for a part that is missing.")
	case strings.ContainsFunc(s.Org, func(c rune) bool { return c <= ' ' || c > '~' }):
		return bad(&p.Org, "This is not the id of an organisation: A-Z, a-z, 0-9, _ and -.")
	}
	_, err := h.networks.ListSocialNetworks(withKey(ctx, s.Key, s.Org), &authurlv1.ListSocialNetworksRequest{PageSize: 1})
	if err == nil {
		return nil
	}
	problem := h.options.Explain(ctx, err)
	switch {
	case problem.Status == http.StatusUnauthorized:
		return bad(&p.Key, "The server does not know this key, or it was revoked.")
	case problem.Code == "ROLE_NOT_ALLOWED":
		return bad(&p.Key, h.whyNotThisRole(ctx, s.Key))
	case problem.Code == "ORGANIZATION_NOT_FOUND":
		return bad(&p.Org, "There is no such organisation, or the key is another one's. With a key of role ROLE_ORG leave this empty.")
	case len(problem.Faults) > 0 && problem.Faults[0].Field == "x-org-id" && s.Org == "":
		return bad(&p.Org, "This key has the role ROLE_SERVICE: name the organisation that it is to act for.")
	case len(problem.Faults) > 0 && problem.Faults[0].Field == "x-org-id":
		return bad(&p.Org, problem.Faults[0].Text)
	}
	return &problem
}

func (h *Handler) whyNotThisRole(ctx context.Context, key string) string {
	if _, err := h.orgs.ListOrganizations(withKey(ctx, key, ""), &authurlv1.ListOrganizationsRequest{PageSize: 1}); err == nil {
		return "This key has the role ROLE_ADMIN: it makes organisations and keys, and sees nothing of their accounts. " +
			"Make a key of role ROLE_ORG with it (POST /v1/organizations/{org_id}/api-keys), and sign in with that one."
	}
	return "This key has the role ROLE_MINT: it hands out URLs and completes their flows, and no more. Sign in with one of role ROLE_ORG."
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	if s, _ := h.cookies.session(r); s != nil {
		h.cookies.forget(w, s)
	}
	redirect(w, signInPath+"?why=signed-out")
}
