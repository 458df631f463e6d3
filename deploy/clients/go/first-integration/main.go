// A web page on which people connect their accounts: the smallest program that goes all the way with authurl, from the
// button to an access token. first-integration.md says how to see it work.
//
//	first-integration
//
// AUTHURL_ADDRESS: host:port of a server on this machine. AUTHURL_API_KEY: a key of role ROLE_ORG with read_tokens.
// NETWORK: what to connect; "demo". PORT: 3000; 0 for any.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authurlv1 "example.com/authurl-clients/gen/authurl/v1"
)

const deadline = 25 * time.Second // As long as completing a flow may take.

var pages = template.Must(template.New("").Parse(`
{{define "head"}}<!DOCTYPE html><meta charset="utf-8"><title>First integration</title>{{end}}
{{define "home"}}{{template "head"}}<h1>Your accounts</h1>
<ul>{{range .Accounts}}<li>{{.DisplayName}} at {{.Network}}</li>{{end}}</ul>
<form method="post" action="/connect"><button>Connect</button></form>{{end}}
{{define "choice"}}{{template "head"}}<p>There is a choice to make: see FinalizePendingConnection.{{end}}
{{define "connected"}}{{template "head"}}<h1>Connected: {{.Account.DisplayName}}</h1>
<p>Account {{.Account.Id}} of {{.Account.TenantId}}.
Its access token has {{.Length}} characters and is good until {{.End}}.</p><a href="/">Your accounts</a>{{end}}
{{define "failed"}}{{template "head"}}<h1>Not connected</h1><p>{{.}}</p><a href="/">Your accounts</a>{{end}}`))

type site struct {
	base     string
	network  string
	key      string
	urls     authurlv1.AuthUrlServiceClient
	accounts authurlv1.SocialAccountServiceClient
}

// Who is at the browser. A product has users who sign in; here everyone with a cookie is one.
func sessionOf(w http.ResponseWriter, r *http.Request) (session, tenant string) {
	if cookie, err := r.Cookie("session"); err == nil && len(cookie.Value) == 26 {
		session = cookie.Value
	} else {
		session = rand.Text()
		http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", HttpOnly: true,
			SameSite: http.SameSiteLaxMode})
	}
	return session, fmt.Sprintf("customer_%x", sha256.Sum256([]byte(session)))[:21]
}

// The context of a call: the key, a deadline, and the end of the browser's request.
func (s *site) call(r *http.Request) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(r.Context(), "authorization", "Bearer "+s.key)
	return context.WithTimeout(ctx, deadline)
}

func show(w http.ResponseWriter, code int, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if err := pages.ExecuteTemplate(w, page, data); err != nil {
		log.Print(err)
	}
}

// Why a call failed, such as "USER_DENIED".
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return status.Convert(err).Message()
}

func (s *site) home(w http.ResponseWriter, r *http.Request) error {
	_, tenant := sessionOf(w, r)
	ctx, cancel := s.call(r)
	defer cancel()
	reply, err := s.accounts.ListSocialAccounts(ctx, &authurlv1.ListSocialAccountsRequest{TenantId: &tenant})
	if err == nil {
		show(w, http.StatusOK, "home", reply)
	}
	return err
}

func (s *site) connect(w http.ResponseWriter, r *http.Request) error {
	session, tenant := sessionOf(w, r)
	redirectURI := s.base + "/callback"
	ctx, cancel := s.call(r)
	defer cancel()
	reply, err := s.urls.GetAuthUrl(ctx, &authurlv1.GetAuthUrlRequest{
		Network:        s.network,
		RedirectUri:    &redirectURI,
		TenantId:       &tenant,
		SessionBinding: &session, // Only this browser can finish what it has begun.
	})
	if err == nil {
		http.Redirect(w, r, reply.AuthUrl, http.StatusSeeOther)
	}
	return err
}

func (s *site) callback(w http.ResponseWriter, r *http.Request) error {
	session, _ := sessionOf(w, r)
	ctx, cancel := s.call(r)
	defer cancel()
	reply, err := s.accounts.CompleteAuth(ctx, &authurlv1.CompleteAuthRequest{
		Response:       s.base + r.RequestURI, // The whole of what the browser came back with.
		SessionBinding: &session,
	})
	if err != nil {
		return err
	}
	if reply.Pending != nil {
		show(w, http.StatusOK, "choice", nil)
		return nil
	}
	account := reply.Accounts[0]
	// A secret: it stays here. What it is good for is in the network's documentation.
	token, err := s.accounts.GetAccessToken(ctx, &authurlv1.GetAccessTokenRequest{AccountId: account.Id})
	if err != nil {
		return err
	}
	end := "further notice"
	if token.ExpiresAt != nil {
		end = token.ExpiresAt.AsTime().Format(time.RFC3339)
	}
	show(w, http.StatusOK, "connected", map[string]any{"Account": account, "Length": len(token.AccessToken), "End": end})
	return nil
}

func page(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handler(w, r); err != nil {
			log.Printf("%s: %s", r.URL.Path, status.Convert(err).Message())
			show(w, http.StatusBadRequest, "failed", reasonOf(err))
		}
	}
}

func main() {
	connection, err := grpc.NewClient(os.Getenv("AUTHURL_ADDRESS"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000"))
	if err != nil {
		log.Fatal(err)
	}
	s := &site{
		base:     "http://" + listener.Addr().String(),
		network:  cmp.Or(os.Getenv("NETWORK"), "demo"),
		key:      os.Getenv("AUTHURL_API_KEY"),
		urls:     authurlv1.NewAuthUrlServiceClient(connection),
		accounts: authurlv1.NewSocialAccountServiceClient(connection),
	}
	http.HandleFunc("GET /{$}", page(s.home))
	http.HandleFunc("POST /connect", page(s.connect))
	http.HandleFunc("GET /callback", page(s.callback))
	fmt.Printf("open %s/\n", s.base)
	log.Fatal((&http.Server{ReadHeaderTimeout: 10 * time.Second}).Serve(listener))
}
