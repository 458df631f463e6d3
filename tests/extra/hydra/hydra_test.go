// Package hydra tests authurl-server against Ory Hydra: what a provider that others wrote makes of our requests, and
// what we make of its answers. ../hydra.sh builds Hydra and runs the test.
package hydra

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// A client's secret with what RFC 6749 section 2.3.1 has encoded before it is put into a header.
const secret = `of this:test+only/100%&="`

// account is an authurl.v1.SocialAccount.
type account struct {
	ID              string
	Network         string
	TenantID        string `json:"tenant_id"`
	NetworkUniqueID string `json:"network_unique_id"`
	Username        string
	DisplayName     string `json:"display_name"`
	Status          string
	StatusReason    string `json:"status_reason"`
	Scopes          []string
	MissingScopes   []string `json:"missing_scopes"`
}

// completion is an authurl.v1.CompleteAuthResponse.
type completion struct {
	Accounts []account
	Replayed bool
}

func TestFlowsAtHydra(t *testing.T) {
	h := open(t)
	h.register(t, "ours", "client_secret_basic", nil)
	h.configure(t, fields{"client_key": "ours", "client_secret": secret})
	h.configure(t, fields{"client_key": "ours", "client_secret": secret + "!", "name": "wrong_secret"})

	for _, test := range []struct {
		name string
		run  func(*testing.T, *house)
	}{
		{"ThePersonIsConnectedUnderTheTenant", connects},
		{"ASecretAmongTheParametersAndAFormThatComesBack", connectsByForm},
		{"AnAppWithoutASecret", connectsPublicClient},
		{"WhatIsNotGrantedIsTold", tellsMissingScopes},
		{"TheAccessTokenIsThePersonsAndIsRefreshedInTime", givesAccessToken},
		{"RefreshTokensRotate", rotates},
		{"AConsentThatWasTakenBackIsGivenAgain", reconnects},
		{"ASecretThatWasReplacedIsTheClientsFault", survivesReplacedSecret},
		{"TheLastAccountOfAConsentRevokesIt", disconnects},
		{"AResponseIsGoodOnce", replays},
		{"ANoIsToldFromARefusal", isDenied},
		{"ABrokenCodeIsRejected", rejectsBrokenCode},
		{"ACodeOfAnotherFlowIsRejected", rejectsInjectedCode},
		{"AnotherChallengeIsRejected", enforcesPkce},
		{"AnotherNonceIsRefused", checksNonce},
		{"AnotherIssuerIsRefused", checksIssuer},
		{"AWrongSecretIsTheClientsFault", rejectsWrongSecret},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, h) })
	}
}

// tenant is named after the test: each has its own.
func tenant(t *testing.T) string { return path.Base(t.Name()) }

// somebody is likewise: the connections of one person share their tokens. The id has what a URL has not.
func somebody(t *testing.T) person {
	return person{id: tenant(t) + "/1 +é", username: "alice", name: "Alice Ångström"}
}

// register makes a client known to Hydra, by that name.
func (h *house) register(t *testing.T, id, clientAuth string, others fields) {
	t.Helper()
	client := fields{
		"client_id":                  id,
		"token_endpoint_auth_method": clientAuth,
		"redirect_uris":              []string{redirectURI},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"scope":                      "openid profile offline_access",
	}
	if clientAuth != "none" {
		client["client_secret"] = secret
	}
	maps.Copy(client, others)
	h.manage(t, "POST", "/admin/clients", client, nil)
}

// configure makes a client of Hydra's known to authurl. Returns the configuration's id.
func (h *house) configure(t *testing.T, configuration fields) string {
	t.Helper()
	configuration["network"] = "hydra"
	configuration["default_redirect_uri"] = redirectURI
	var reply struct {
		SocialNetwork struct{ ID string } `json:"social_network"`
	}
	h.call(t, "SocialNetworkService/CreateSocialNetwork", configuration, &reply)
	return reply.SocialNetwork.ID
}

// takeBackAccessTokens leaves a client's refresh tokens alone.
func (h *house) takeBackAccessTokens(t *testing.T, client string) {
	t.Helper()
	h.manage(t, "DELETE", "/admin/oauth2/tokens?client_id="+client, nil, nil)
}

// authURL is a URL for the test's tenant and the default configuration, where `request` names no others.
func (h *house) authURL(t *testing.T, request fields) string {
	t.Helper()
	all := fields{"network": "hydra", "tenant_id": tenant(t)}
	maps.Copy(all, request)
	var reply struct {
		AuthURL string `json:"auth_url"`
	}
	h.call(t, "AuthUrlService/GetAuthUrl", all, &reply)
	return reply.AuthURL
}

// complete hands over what came back. `reason` is that of the error.
func (h *house) complete(t *testing.T, response string) (reply completion, reason string) {
	t.Helper()
	reason = h.try(t, "SocialAccountService/CompleteAuth", fields{"response": response}, &reply)
	return reply, reason
}

// expectFailure completes with a response that must not connect anything.
func (h *house) expectFailure(t *testing.T, response, want string) {
	t.Helper()
	if completed, reason := h.complete(t, response); reason != want {
		t.Errorf("not %s but %q: %+v", want, reason, completed)
	}
}

// connect is a whole flow, which must succeed.
func (h *house) connect(t *testing.T, who person, request fields) account {
	t.Helper()
	return h.connectWith(t, who.answer(t, h, h.authURL(t, request)))
}

func (h *house) connectWith(t *testing.T, response string) account {
	t.Helper()
	completed, reason := h.complete(t, response)
	if reason != "" || len(completed.Accounts) != 1 {
		t.Fatalf("not connected: %s %+v", reason, completed)
	}
	return completed.Accounts[0]
}

// accessToken is the one of an account that is to be good for an hour.
func (h *house) accessToken(t *testing.T, id string) (token, reason string) {
	t.Helper()
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	reason = h.try(t, "SocialAccountService/GetAccessToken", fields{"account_id": id, "min_validity": "3600s"}, &reply)
	return reply.AccessToken, reason
}

// check asks authurl to ask Hydra.
func (h *house) check(t *testing.T, id string) (healthy bool, now account) {
	t.Helper()
	var reply struct {
		Account account
		Healthy bool
	}
	h.call(t, "SocialAccountService/CheckSocialAccount", fields{"id": id}, &reply)
	return reply.Healthy, reply.Account
}

// subject is whose an access token is, as Hydra's userinfo endpoint says.
func (h *house) subject(t *testing.T, token string) string {
	t.Helper()
	request, err := http.NewRequest("GET", h.issuer+"/userinfo", nil)
	check(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	check(t, err)
	defer answer.Body.Close()
	var person struct{ Sub string }
	check(t, json.NewDecoder(answer.Body).Decode(&person))
	return person.Sub
}

func connects(t *testing.T, h *house) {
	alice := somebody(t)
	connected := h.connect(t, alice, nil)
	if connected.TenantID != tenant(t) || connected.Network != "hydra" || connected.Status != "STATUS_ACTIVE" ||
		connected.NetworkUniqueID != alice.id || connected.Username != alice.username ||
		connected.DisplayName != alice.name || len(connected.MissingScopes) > 0 {
		t.Errorf("connected was %+v", connected)
	}
	var listed struct{ Accounts []account }
	h.call(t, "SocialAccountService/ListSocialAccounts", fields{"tenant_id": tenant(t)}, &listed)
	if len(listed.Accounts) != 1 || listed.Accounts[0].ID != connected.ID {
		t.Errorf("the tenant has %+v", listed.Accounts)
	}
}

func connectsByForm(t *testing.T, h *house) {
	h.register(t, "by_form", "client_secret_post", nil)
	h.configure(t, fields{"client_key": "by_form", "client_secret": secret, "variant": "form_post", "name": "by_form"})
	alice := somebody(t)
	response := alice.answer(t, h, h.authURL(t, fields{"configuration": "by_form"}))
	if strings.HasPrefix(response, redirectURI) {
		t.Errorf("no form came back but %s", response)
	}
	if connected := h.connectWith(t, response); connected.NetworkUniqueID != alice.id {
		t.Errorf("connected was %+v", connected)
	}
}

func connectsPublicClient(t *testing.T, h *house) {
	h.register(t, "public", "none", nil)
	h.configure(t, fields{"client_key": "public", "client_secret": "", "variant": "public", "name": "public"})
	connected := h.connect(t, somebody(t), fields{"configuration": "public"})
	h.takeBackAccessTokens(t, "public")
	if healthy, now := h.check(t, connected.ID); !healthy {
		t.Errorf("its token is not refreshed: %+v", now)
	}
}

func tellsMissingScopes(t *testing.T, h *house) {
	alice := somebody(t)
	alice.scopes = []string{"openid", "profile"}
	connected := h.connect(t, alice, nil)
	if !slices.Equal(connected.MissingScopes, []string{"offline_access"}) || !slices.Equal(connected.Scopes, alice.scopes) {
		t.Errorf("connected was %+v", connected)
	}
}

// The first access token ends soon, the next one does not.
func givesAccessToken(t *testing.T, h *house) {
	h.register(t, "short", "client_secret_basic", fields{"authorization_code_grant_access_token_lifespan": "8s"})
	h.configure(t, fields{"client_key": "short", "client_secret": secret, "name": "short"})
	alice := somebody(t)
	connected := h.connect(t, alice, fields{"configuration": "short"})
	first, reason := h.accessToken(t, connected.ID)
	if reason != "" || h.subject(t, first) != alice.id {
		t.Fatalf("the token is of %q: %s", h.subject(t, first), reason)
	}
	next := first
	waitFor(t, "the token is refreshed", func() bool {
		next, reason = h.accessToken(t, connected.ID)
		return next != first
	})
	if reason != "" || h.subject(t, next) != alice.id {
		t.Errorf("the next token is of %q: %s", h.subject(t, next), reason)
	}
	if again, _ := h.accessToken(t, connected.ID); again != next {
		t.Error("a token that is good was refreshed")
	}
}

// Hydra takes each refresh token once, and ends the consent when one comes again: each refresh succeeds only with what
// the one before it brought.
func rotates(t *testing.T, h *house) {
	connected := h.connect(t, somebody(t), nil)
	for range 3 {
		before, _ := h.accessToken(t, connected.ID)
		h.takeBackAccessTokens(t, "ours")
		if h.isActive(t, before) {
			t.Fatal("Hydra still takes the token")
		}
		if healthy, now := h.check(t, connected.ID); !healthy {
			t.Fatalf("not refreshed: %+v", now)
		}
		if after, reason := h.accessToken(t, connected.ID); after == before || !h.isActive(t, after) {
			t.Fatalf("the token is no other one, or not good: %s", reason)
		}
	}
}

func reconnects(t *testing.T, h *house) {
	alice := somebody(t)
	connected := h.connect(t, alice, nil)
	h.manage(t, "DELETE", "/admin/oauth2/auth/sessions/consent?"+
		url.Values{"subject": {alice.id}, "client": {"ours"}}.Encode(), nil, nil)
	healthy, now := h.check(t, connected.ID)
	if healthy || now.Status != "STATUS_NEEDS_RECONNECT" || now.StatusReason != "REFRESH_DEAD" {
		t.Errorf("without consent it was %+v", now)
	}
	if _, reason := h.accessToken(t, connected.ID); reason != "NEEDS_RECONNECT" {
		t.Errorf("an access token without consent: %q", reason)
	}
	again := h.connect(t, alice, nil)
	if again.ID != connected.ID || again.Status != "STATUS_ACTIVE" {
		t.Errorf("connected again it was %+v", again)
	}
}

// A connection outlives a secret that is wrong for a while.
func survivesReplacedSecret(t *testing.T, h *house) {
	h.register(t, "replaced", "client_secret_basic", nil)
	id := h.configure(t, fields{"client_key": "replaced", "client_secret": secret, "name": "replaced"})
	connected := h.connect(t, somebody(t), fields{"configuration": "replaced"})
	const newSecret = "another secret"
	h.manage(t, "PATCH", "/admin/clients/replaced",
		[]fields{{"op": "replace", "path": "/client_secret", "value": newSecret}}, nil)
	h.takeBackAccessTokens(t, "replaced")
	if healthy, now := h.check(t, connected.ID); healthy || now.Status != "STATUS_ACTIVE" {
		t.Errorf("with the old secret: %+v", now)
	}
	h.call(t, "SocialNetworkService/UpdateSocialNetwork",
		fields{"id": id, "client_secret": newSecret, "update_mask": "clientSecret"}, nil)
	if healthy, now := h.check(t, connected.ID); !healthy {
		t.Errorf("with the new secret: %+v", now)
	}
}

func disconnects(t *testing.T, h *house) {
	alice := somebody(t)
	first := h.connect(t, alice, nil)
	other := h.connect(t, alice, fields{"tenant_id": "other"})
	token, reason := h.accessToken(t, first.ID)
	if reason != "" {
		t.Fatal(reason)
	}
	for _, one := range []struct {
		id, result string
		isActive   bool
	}{
		{other.ID, "REVOCATION_RESULT_STILL_IN_USE", true},
		{first.ID, "REVOCATION_RESULT_REVOKED", false},
	} {
		var reply struct{ Revocation string }
		h.call(t, "SocialAccountService/DeleteSocialAccount", fields{"id": one.id}, &reply)
		if isActive := h.isActive(t, token); reply.Revocation != one.result || isActive != one.isActive {
			t.Errorf("not %s but %s; Hydra takes the token: %t", one.result, reply.Revocation, isActive)
		}
		reason := h.try(t, "SocialAccountService/GetSocialAccount", fields{"id": one.id}, nil)
		if reason != "SOCIAL_ACCOUNT_NOT_FOUND" {
			t.Errorf("the account after that: %q", reason)
		}
	}
}

func replays(t *testing.T, h *house) {
	response := somebody(t).answer(t, h, h.authURL(t, nil))
	connected := h.connectWith(t, response)
	again, reason := h.complete(t, response)
	if reason != "" || !again.Replayed || len(again.Accounts) != 1 || again.Accounts[0].ID != connected.ID {
		t.Errorf("again: %s %+v", reason, again)
	}
	another := parameter(t, somebody(t).answer(t, h, h.authURL(t, nil)), "code")
	h.expectFailure(t, with(t, response, "code", another), "STATE_ALREADY_USED")
}

func isDenied(t *testing.T, h *house) {
	alice := somebody(t)
	alice.refuses = true
	h.expectFailure(t, alice.answer(t, h, h.authURL(t, nil)), "USER_DENIED")
	// Hydra refuses by itself what the client may not ask for.
	h.expectFailure(t, alice.answer(t, h, with(t, h.authURL(t, nil), "scope", "openid everything")), "NETWORK_REFUSED")
}

func rejectsBrokenCode(t *testing.T, h *house) {
	response := somebody(t).answer(t, h, h.authURL(t, nil))
	h.expectFailure(t, with(t, response, "code", parameter(t, response, "code")+"x"), "CODE_REJECTED")
	h.expectFailure(t, response, "STATE_ALREADY_USED")
}

func rejectsInjectedCode(t *testing.T, h *house) {
	alice := somebody(t)
	mine, stolen := alice.answer(t, h, h.authURL(t, nil)), alice.answer(t, h, h.authURL(t, nil))
	h.expectFailure(t, with(t, mine, "code", parameter(t, stolen, "code")), "CODE_REJECTED")
}

// Hydra looks at the challenge: with another one, or none, our verifier is no use.
func enforcesPkce(t *testing.T, h *house) {
	alice := somebody(t)
	authURL := h.authURL(t, nil)
	other := parameter(t, h.authURL(t, nil), "code_challenge")
	h.expectFailure(t, alice.answer(t, h, with(t, authURL, "code_challenge", other)), "CODE_REJECTED")
	authURL = with(t, with(t, h.authURL(t, nil), "code_challenge", ""), "code_challenge_method", "")
	h.expectFailure(t, alice.answer(t, h, authURL), "NETWORK_REFUSED")
}

// Hydra repeats the nonce that it was sent: one that is not the flow's is somebody else's sign-in.
func checksNonce(t *testing.T, h *house) {
	alice := somebody(t)
	other := parameter(t, h.authURL(t, nil), "nonce")
	h.expectFailure(t, alice.answer(t, h, with(t, h.authURL(t, nil), "nonce", other)), "NETWORK_ANSWER_INVALID")
	h.expectFailure(t, alice.answer(t, h, with(t, h.authURL(t, nil), "nonce", "")), "NETWORK_ANSWER_INVALID")
}

// Nothing is spent by what another issuer sends.
func checksIssuer(t *testing.T, h *house) {
	response := somebody(t).answer(t, h, h.authURL(t, nil))
	h.expectFailure(t, response+"&iss=https%3A%2F%2Fother.example.com", "ISSUER_MISMATCH")
	h.connectWith(t, response)
}

func rejectsWrongSecret(t *testing.T, h *house) {
	h.expectFailure(t, somebody(t).answer(t, h, h.authURL(t, fields{"configuration": "wrong_secret"})), "CLIENT_REJECTED")
}
