// Package console is the management dashboard at /console: an organisation's OAuth apps, its connected accounts, and what
// happened to them. Pages are made here and work without a script. All that is shown or done is asked of the server with
// the API key that the operator signed in with; the package keeps nothing but the count of attempts to sign in.
package console

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"authurl/deploy/gateway/gen/authurlv1"
)

// Path is where the console is; all that is below it is the console's.
const Path = "/console"

const (
	signInPath   = Path + "/sign-in"
	networksPath = Path + "/networks"
	catalogPath  = Path + "/catalog"
	accountsPath = Path + "/accounts"
	flowsPath    = Path + "/flows"
	eventsPath   = Path + "/events"
	returnedPath = Path + "/returned"
)

// Options are what the console needs of the gateway.
type Options struct {
	// KeySize bytes, under which cookies are sealed.
	Key []byte
	// The authurl server.
	Server grpc.ClientConnInterface
	// Whether the gateway itself does TLS. Behind a proxy the browser's Origin says so.
	TLS bool
	// Translates what a call to the server ended with, and tells it to the log.
	Explain func(context.Context, error) Problem
	// Tells the log the reason of a refusal that the console itself makes.
	Note func(context.Context, string)
	// Where a request comes from.
	ClientAddress func(*http.Request) string
}

// Handler serves the console. Its requests have bodies that were read already and deadlines. Safe for concurrent use.
type Handler struct {
	options  Options
	cookies  cookieJar
	attempts *attempts
	foreign  *http.CrossOriginProtection
	pages    pages
	mux      *http.ServeMux

	networks authurlv1.SocialNetworkServiceClient
	accounts authurlv1.SocialAccountServiceClient
	urls     authurlv1.AuthUrlServiceClient
	events   authurlv1.EventServiceClient
	orgs     authurlv1.OrganizationServiceClient
}

// New makes the console; an error is one of the key or of the embedded pages.
func New(options Options) (*Handler, error) {
	cookies, err := newCookieJar(options.Key)
	if err != nil {
		return nil, err
	}
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	h := &Handler{options: options, cookies: cookies, pages: pages, attempts: newAttempts(), foreign: http.NewCrossOriginProtection(),
		networks: authurlv1.NewSocialNetworkServiceClient(options.Server), accounts: authurlv1.NewSocialAccountServiceClient(options.Server),
		urls: authurlv1.NewAuthUrlServiceClient(options.Server), events: authurlv1.NewEventServiceClient(options.Server),
		orgs: authurlv1.NewOrganizationServiceClient(options.Server)}
	h.mux = h.routes()
	return h, nil
}

// routes: what a GET does changes nothing, and whoever shows no session is led to the sign-in.
func (h *Handler) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+h.pages.stylePath, h.pages.serveStyle)
	mux.HandleFunc("GET "+iconPath, h.pages.serveIcon)
	mux.HandleFunc("GET "+signInPath, h.showSignIn)
	mux.HandleFunc("POST "+signInPath, h.signIn)
	mux.HandleFunc("POST "+Path+"/sign-out", h.signOut)
	mux.HandleFunc("GET "+returnedPath, h.returned)
	for pattern, show := range map[string]func(*visit){
		"GET " + Path:                               (*visit).start,
		"GET " + networksPath:                       (*visit).listNetworks,
		"GET " + catalogPath:                        (*visit).listCatalog,
		"GET " + catalogPath + "/{network}":         (*visit).newNetwork,
		"POST " + catalogPath + "/{network}":        (*visit).createNetwork,
		"GET " + networksPath + "/{id}":             (*visit).showNetwork,
		"GET " + networksPath + "/{id}/edit":        (*visit).editNetwork,
		"POST " + networksPath + "/{id}/edit":       (*visit).updateNetwork,
		"GET " + networksPath + "/{id}/secret":      (*visit).askForSecret,
		"POST " + networksPath + "/{id}/secret":     (*visit).rotateSecret,
		"POST " + networksPath + "/{id}/default":    (*visit).makeDefault,
		"GET " + networksPath + "/{id}/delete":      (*visit).confirmDelete,
		"POST " + networksPath + "/{id}/delete":     (*visit).deleteNetwork,
		"POST " + networksPath + "/{id}/try":        (*visit).tryConnection,
		"GET " + accountsPath:                       (*visit).listAccounts,
		"GET " + accountsPath + "/{id}":             (*visit).showAccount,
		"POST " + accountsPath + "/{id}/check":      (*visit).checkAccount,
		"POST " + accountsPath + "/{id}/reconnect":  (*visit).reconnect,
		"GET " + accountsPath + "/{id}/disconnect":  (*visit).confirmDisconnect,
		"POST " + accountsPath + "/{id}/disconnect": (*visit).disconnect,
		"GET " + flowsPath + "/{flow}":              (*visit).showFlow,
		"POST " + flowsPath + "/{flow}":             (*visit).choose,
		"GET " + eventsPath:                         (*visit).listEvents,
		Path + "/":                                  (*visit).notFound,
	} {
		mux.HandleFunc(pattern, h.signedIn(show))
	}
	return mux
}

// Takes tells whether a path is the console's.
func Takes(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

var networkAskingPath = regexp.MustCompile(`^/console/(networks/[^/]+/(try|delete)|accounts/[^/]+/(check|reconnect|disconnect)|flows/[^/]+)$`)

// AsksNetwork tells whether the server may ask a network for the request, which then takes as long as a flow does.
func AsksNetwork(r *http.Request) bool {
	return r.Method == http.MethodPost && networkAskingPath.MatchString(r.URL.Path)
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.pages.setHeaders(w.Header())
	// Cookies are SameSite=Strict, so that none comes with what other sites send; this is for browsers that know no such
	// thing, and for sites beside this one under the same name.
	if err := h.foreign.Check(r); err != nil {
		h.Refuse(w, r, Problem{Status: http.StatusForbidden, Code: "CROSS_ORIGIN_REQUEST",
			Message: "This was sent from a page of another site. Do it on a page of the console."})
		return
	}
	h.mux.ServeHTTP(w, r)
}

// Refuse answers what came no further than the gateway, such as a body that is too large.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, problem Problem) {
	h.pages.setHeaders(w.Header())
	h.options.Note(r.Context(), problem.Code)
	s, _ := h.cookies.session(r)
	h.pages.write(w, problem.Status, "problem", page{Title: problem.title(), Session: s, Problem: &problem})
}

// visit is one request of somebody who is signed in.
type visit struct {
	*Handler
	w       http.ResponseWriter
	r       *http.Request
	session *session
}

func (h *Handler) signedIn(show func(*visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ended := h.cookies.session(r)
		if s == nil {
			goSignIn(w, r, ended)
			return
		}
		show(&visit{Handler: h, w: w, r: r, session: s})
	}
}

// ctx carries the key to the server, which says at each call whether it is good.
func (v *visit) ctx() context.Context { return withKey(v.r.Context(), v.session.Key, v.session.Org) }

func withKey(ctx context.Context, key, org string) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	if org != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-org-id", org)
	}
	return ctx
}

// origin is where the browser has this console, as it said itself. Behind a proxy nobody else knows. For requests with
// POST, which have it.
func (v *visit) origin() string {
	if given, err := url.Parse(v.r.Header.Get("Origin")); err == nil && given.Host != "" {
		return given.Scheme + "://" + given.Host
	}
	return v.scheme() + "://" + v.r.Host
}

func (h *Handler) scheme() string {
	if h.options.TLS {
		return "https"
	}
	return "http"
}

// show writes a page, with what was to be told since the last one.
func (v *visit) show(status int, name string, p page) {
	p.Session = v.session
	if p.Problem != nil {
		p.Problem.tell(v.w)
	} else {
		p.Notice = v.cookies.takeNotice(v.w, v.r, v.session)
	}
	v.pages.write(v.w, status, name, p)
}

// redirect goes on to a page of the console, where the notice is shown once.
func (v *visit) redirect(path string, n *notice) {
	if n != nil {
		v.cookies.leaveNotice(v.w, v.session, *n)
	}
	redirect(v.w, path)
}

func redirect(w http.ResponseWriter, path string) {
	w.Header().Set("Location", path)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
}

func (v *visit) start() { redirect(v.w, networksPath) }

func (v *visit) notFound() {
	v.Refuse(v.w, v.r, Problem{Status: http.StatusNotFound, Code: "PAGE_NOT_FOUND", Message: "The console has no such page."})
}

// fail tells what a call ended with, where the page has no better place for it.
func (v *visit) fail(err error) { v.refuse(v.options.Explain(v.r.Context(), err)) }

func (v *visit) refuse(problem Problem) {
	if v.endsSession(problem) {
		return
	}
	v.show(problem.Status, "problem", page{Title: problem.title(), Problem: &problem})
}

// endsSession leads back to the sign-in where the server no longer takes the key.
func (v *visit) endsSession(problem Problem) bool {
	if problem.Status != http.StatusUnauthorized {
		return false
	}
	v.cookies.forget(v.w, v.session)
	redirect(v.w, signInPath+"?why=refused")
	return true
}

// explain is Explain for a page that shows the problem itself; false: the session has ended, and all is said.
func (v *visit) explain(err error) (Problem, bool) {
	problem := v.options.Explain(v.r.Context(), err)
	return problem, !v.endsSession(problem)
}
