package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

// withEverything is a server that has one of each.
func withEverything() *fakeServer {
	server := &fakeServer{}
	account := &authurlv1.SocialAccount{Id: "sa_1", Network: "instagram", SocialNetworkId: "sn_1", TenantId: "t", DisplayName: `<b>"x"`,
		AvatarUrl: "https://tracker.example.com/a.png", Status: authurlv1.SocialAccount_STATUS_ACTIVE}
	server.answer("ListNetworks", anInstagram(), nil)
	server.answer("ListSocialNetworks", &authurlv1.ListSocialNetworksResponse{SocialNetworks: []*authurlv1.SocialNetwork{aConfiguration()}}, nil)
	server.answer("GetSocialNetwork", &authurlv1.GetSocialNetworkResponse{SocialNetwork: aConfiguration()}, nil)
	server.answer("ListSocialAccounts", &authurlv1.ListSocialAccountsResponse{Accounts: []*authurlv1.SocialAccount{account}}, nil)
	server.answer("GetSocialAccount", &authurlv1.GetSocialAccountResponse{Account: account}, nil)
	server.answer("GetAuthFlow", &authurlv1.GetAuthFlowResponse{Status: authurlv1.GetAuthFlowResponse_STATUS_COMPLETED, AccountIds: []string{"sa_1"}}, nil)
	server.answer("GetAuthUrl", &authurlv1.GetAuthUrlResponse{AuthUrl: "https://www.instagram.com/x", FlowId: "f"}, nil)
	server.answer("ListEvents", &authurlv1.ListEventsResponse{NextAfter: idOf(1), Events: []*authurlv1.Event{
		{Id: idOf(1), Type: "connection.failed", Reason: "USER_DENIED", Network: "instagram"}}}, nil)
	return server
}

var (
	getPaths = []string{"/console", "/console/networks", "/console/catalog", "/console/catalog?q=insta", "/console/catalog/instagram",
		"/console/catalog/instagram?variant=page", "/console/networks/sn_1", "/console/networks/sn_1/edit", "/console/networks/sn_1/secret",
		"/console/networks/sn_1/delete", "/console/accounts", "/console/accounts?tenant=t&network=instagram&username=u&page=p",
		"/console/accounts/sa_1", "/console/accounts/sa_1/disconnect", "/console/flows/f", "/console/events",
		"/console/events?type=account.connected&tenant=t&before=ev_0000000000000005", "/console/returned?flow_id=f", "/console/sign-in",
		"/console/no-such-page", "/console/accounts/sa_1/check", "/console/networks?page=%ff", "/console/accounts?tenant=%ff"}
	postPaths = []string{"/console/sign-in", "/console/sign-out", "/console/catalog/instagram", "/console/networks/sn_1/edit",
		"/console/networks/sn_1/secret", "/console/networks/sn_1/default", "/console/networks/sn_1/delete", "/console/networks/sn_1/try",
		"/console/accounts/sa_1/check", "/console/accounts/sa_1/reconnect", "/console/accounts/sa_1/disconnect", "/console/flows/f"}
)

func TestNothingIsChangedByGET(t *testing.T) {
	server := withEverything()
	b := signedIn(t, server)
	for _, path := range getPaths {
		for _, method := range []string{"GET", "HEAD"} {
			if w := b.send(method, path, nil); w.Code >= 500 || w.Code >= 400 && !strings.Contains(w.Body.String(), "no such page") {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	isRead := regexp.MustCompile(`^(List|Get|Explain)`)
	for _, each := range server.calls {
		if !isRead.MatchString(each.rpc) || each.rpc == "GetAuthUrl" || each.key != "Bearer "+testKey {
			t.Errorf("%v", each)
		}
	}
}

// Every page says what browsers need to know, and has nothing that they would fetch or run.
func TestEveryPageIsClosed(t *testing.T) {
	server := withEverything()
	b := signedIn(t, server)
	var all []*httptest.ResponseRecorder
	for _, path := range getPaths {
		all = append(all, b.get(path))
	}
	for _, path := range postPaths[2:] {
		all = append(all, b.post(path, "choice", "1"))
	}
	for _, w := range all {
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Frame-Options":         "DENY", "Cross-Origin-Opener-Policy": "same-origin", "X-Robots-Tag": "noindex",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		body := w.Body.String()
		for _, word := range []string{"<script", " style=", " onclick", "tracker.example.com", testKey, "<b>"} {
			if strings.Contains(body, word) {
				t.Errorf("%q is in %s", word, body)
			}
		}
		if !strings.Contains(w.Header().Get("Content-Type"), "text/html") && w.Code == http.StatusOK {
			t.Errorf("%v", w.Header())
		}
	}
}

func TestPostsOfOtherSitesAreRefused(t *testing.T) {
	server := withEverything()
	b := signedIn(t, server)
	for _, path := range postPaths {
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com"},
			{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:9000"},
			{"Sec-Fetch-Site", "", "Origin", "https://evil.example.com"},
			{"Sec-Fetch-Site", "", "Origin", "null"},
		} {
			if w := b.send("POST", path, nil, headers...); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "CROSS_ORIGIN_REQUEST") {
				t.Errorf("%s %v: %d", path, headers, w.Code)
			}
		}
	}
	if len(server.calls) != 0 || len(b.cookies) != 1 {
		t.Errorf("%v %v", server.calls, b.cookies)
	}
}

func TestNothingIsShownToStrangers(t *testing.T) {
	server := withEverything()
	b := newBrowser(newTestHandler(t, server))
	for _, path := range getPaths {
		if strings.HasPrefix(path, "/console/sign-in") || strings.HasPrefix(path, "/console/returned") {
			continue
		}
		if w := b.get(path); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/console/sign-in") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	for _, path := range postPaths[1:] {
		if w := b.post(path); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/console/sign-in") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	if len(server.calls) != 0 {
		t.Errorf("%v", server.calls)
	}
}

func TestAKeyThatIsRevokedEndsTheSession(t *testing.T) {
	server := withEverything()
	for method, paths := range map[string][]string{"GET": getPaths, "POST": postPaths} {
		for _, path := range paths {
			server.failure = nil
			b := signedIn(t, server)
			server.failure = failed(codes.Unauthenticated, "API_KEY_INVALID", "Not valid")
			w := b.send(method, path, nil)
			if len(server.calls) == 0 {
				continue // Shows nothing of anybody's.
			}
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console/sign-in?why=refused" || len(b.cookies) != 0 || len(server.calls) != 1 {
				t.Errorf("%s %s: %d %v %v", method, path, w.Code, w.Header(), b.cookies)
			}
		}
	}
}

func TestReturnedLeadsOnlyToFlows(t *testing.T) {
	server := &fakeServer{}
	b := newBrowser(newTestHandler(t, server))
	for query, want := range map[string]string{
		"?flow_id=AQx_-9&success=true&account_id=sa_1": "/console/flows/AQx_-9",
		"?flow_id=AQ&session=aus_secret":               "/console/flows/AQ",
		"":                                             "/console/networks",
		"?flow_id=":                                    "/console/networks",
		"?flow_id=../../x":                             "/console/networks",
		"?flow_id=//evil.example.com":                  "/console/networks",
		"?flow_id=%22%3E%3Cscript%3E":                  "/console/networks",
		"?flow_id=" + strings.Repeat("a", 257):         "/console/networks",
	} {
		w := b.get("/console/returned" + query)
		body := w.Body.String()
		if w.Code != http.StatusOK || strings.Count(body, want+`"`) != 2 || !strings.Contains(body, `<meta http-equiv="refresh" content="0; url=`+want+`">`) {
			t.Errorf("%s: %d %s", query, w.Code, body)
		}
		if strings.Contains(body, "aus_secret") || w.Header().Get("Referrer-Policy") != "no-referrer" || len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: %v %s", query, w.Header(), body)
		}
	}
	if len(server.calls) != 0 {
		t.Error(server.calls)
	}
}

func TestATrialComesBackToWhereTheBrowserIs(t *testing.T) {
	server := withEverything()
	b := signedIn(t, server)
	// The console's address is not among the return URIs: it asks first.
	w := b.post("/console/networks/sn_1/try", "tenant", "t", "who", "me")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), here+"/console/returned") || len(server.of("GetAuthUrl")) != 0 {
		t.Fatal(w.Code, w.Body)
	}
	// Behind a proxy, which has another name outside.
	w = b.send("POST", "/console/networks/sn_1/try", map[string][]string{"tenant": {"t"}, "permit": {"yes"}}, "Origin", "https://auth.example.com")
	update := server.of("UpdateSocialNetwork")[0].(*authurlv1.UpdateSocialNetworkRequest)
	if want := []string{"https://app.example.com/", "https://auth.example.com/console/returned"}; !slices.Equal(update.GetAllowedReturnUris(), want) ||
		!slices.Equal(update.GetUpdateMask().GetPaths(), []string{"allowed_return_uris"}) {
		t.Error(update)
	}
	minted := server.of("GetAuthUrl")[0].(*authurlv1.GetAuthUrlRequest)
	if minted.GetReturnUri() != "https://auth.example.com/console/returned" || minted.GetTenantId() != "t" || minted.GetConfiguration() != "sn_1" ||
		minted.SessionBinding != nil {
		t.Error(minted)
	}
	if !strings.Contains(w.Body.String(), `href="https://www.instagram.com/x"`) {
		t.Error(w.Body)
	}
	// Somebody else goes where the organisation's people go.
	w = b.post("/console/networks/sn_1/try", "who", "other")
	minted = server.of("GetAuthUrl")[1].(*authurlv1.GetAuthUrlRequest)
	if minted.ReturnUri != nil || minted.TenantId != nil || strings.Contains(w.Body.String(), `href="https://www.instagram.com/x"`) {
		t.Error(minted, w.Body)
	}
}

// A flow that has to be bound is bound to the session, which alone can finish it.
func TestBoundFlows(t *testing.T) {
	server := withEverything()
	config := aConfiguration()
	config.SessionBindingPolicy = authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED
	server.answer("GetSocialNetwork", &authurlv1.GetSocialNetworkResponse{SocialNetwork: config}, nil)
	server.answer("GetAuthFlow", &authurlv1.GetAuthFlowResponse{Status: authurlv1.GetAuthFlowResponse_STATUS_NEEDS_CHOICE,
		Pending: &authurlv1.PendingConnection{Choices: []*authurlv1.AccountChoice{{Id: "1", DisplayName: "One"}}}}, nil)
	b := signedIn(t, server)
	b.post("/console/networks/sn_1/try", "who", "other")
	binding := server.of("GetAuthUrl")[0].(*authurlv1.GetAuthUrlRequest).GetSessionBinding()
	if len(binding) != 64 {
		t.Fatal(binding)
	}
	server.answers["FinalizePendingConnection"] = func(request proto.Message) (proto.Message, error) {
		if request.(*authurlv1.FinalizePendingConnectionRequest).GetSessionBinding() != binding {
			return nil, failed(codes.FailedPrecondition, "SESSION_BINDING_MISMATCH", "Another")
		}
		return &authurlv1.FinalizePendingConnectionResponse{}, nil
	}
	if w := b.post("/console/flows/f"); w.Code != http.StatusBadRequest || len(server.of("FinalizePendingConnection")) != 0 {
		t.Error("nothing was chosen", w.Code)
	}
	if w := b.post("/console/flows/f", "choice", "1"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console/flows/f" {
		t.Error(w.Code, w.Body)
	}
	other := signedIn(t, server)
	if w := other.post("/console/flows/f", "choice", "1"); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "SESSION_BINDING_MISMATCH") {
		t.Error(w.Code, w.Body)
	}
}

func TestAsksNetwork(t *testing.T) {
	for path, want := range map[string]bool{"/console/networks/sn_1/try": true, "/console/networks/sn_1/delete": true, "/console/accounts/sa_1/check": true,
		"/console/accounts/sa_1/disconnect": true, "/console/accounts/sa_1/reconnect": true, "/console/flows/f": true, "/console/networks/sn_1/edit": false, "/console/sign-in": false} {
		if got := AsksNetwork(httptest.NewRequest("POST", path, nil)); got != want {
			t.Errorf("%s: %v", path, got)
		}
		if AsksNetwork(httptest.NewRequest("GET", path, nil)) {
			t.Errorf("GET %s", path)
		}
	}
}
