package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

func TestCreate(t *testing.T) {
	server := withEverything()
	server.answer("CreateSocialNetwork", &authurlv1.CreateSocialNetworkResponse{SocialNetwork: aConfiguration(), Warnings: []string{"Looks odd"}}, nil)
	b := signedIn(t, server)
	w := b.post("/console/catalog/instagram?variant=page", "client_key", " id ", "client_secret", "-----BEGIN\r\nKEY\r\n\r\n", "param.team_id", "7",
		"var.version", "v2", "extra_params", "a=b=c\r\nd\r\n", "scopes", "one\r\n two \r\n\r\n", "allowed_return_uris", "https://a.example/\r\n",
		"console_returns", "yes", "name", "", "session_binding_policy", "yes", "is_default", "yes")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console/networks/sn_1" {
		t.Fatal(w.Code, w.Body)
	}
	want := &authurlv1.CreateSocialNetworkRequest{Network: "instagram", Variant: new("page"), ClientKey: "id", ClientSecret: "-----BEGIN\nKEY",
		Scopes: []string{"one", "two"}, ExtraParams: map[string]string{"team_id": "7", "a": "b=c", "d": ""}, Variables: map[string]string{"version": "v2"},
		AllowedReturnUris:    []string{"https://a.example/", here + "/console/returned"},
		SessionBindingPolicy: authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED.Enum(), IsDefault: new(true)}
	if got := server.of("CreateSocialNetwork")[0]; !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// What the server warns of is told on the next page, once.
	if body := b.get("/console/networks/sn_1").Body.String(); !strings.Contains(body, "Looks odd") || !strings.Contains(body, `role="status"`) {
		t.Error(body)
	}
	if body := b.get("/console/networks/sn_1").Body.String(); strings.Contains(body, "Looks odd") {
		t.Error(body)
	}
}

// Each fault stands beside its field, which names it to screen readers; what was entered stays, but for the secret.
func TestFaultsOfForms(t *testing.T) {
	server := withEverything()
	server.answer("CreateSocialNetwork", nil, failed(codes.InvalidArgument, "INVALID_PAYLOAD", "x", Fault{"client_secret", "is wrong"},
		Fault{"allowed_return_uris[1]", "must begin with https://"}, Fault{"extra_params.team_id", "is no number"}, Fault{"extra_params.evil", "belongs to the protocol"},
		Fault{"variables.version", "is too old"}, Fault{"instance", "must be left out"}))
	b := signedIn(t, server)
	w := b.post("/console/catalog/instagram", "client_key", "<id>", "client_secret", testSecret, "param.team_id", "x", "allowed_return_uris", "https://a.example/\nhttp://b.example/")
	body := w.Body.String()
	for _, want := range []string{
		`<div class="error" id="f-client_secret-error"><p>is wrong.</p></div>`,
		`<div class="error" id="f-allowed_return_uris-error"><p>http://b.example/: must begin with https://.</p></div>`,
		`<div class="error" id="f-param-team_id-error"><p>is no number.</p></div>`,
		`<div class="error" id="f-extra_params-error"><p>evil: belongs to the protocol.</p></div>`,
		`<div class="error" id="f-var-version-error"><p>is too old.</p></div>`,
		`aria-describedby="f-client_secret-hint f-client_secret-error" aria-invalid="true"`,
		`value="&lt;id&gt;"`, "instance: must be left out", `<a href="#f-client_secret">`, `<details open>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	if w.Code != http.StatusBadRequest || strings.Contains(body, testSecret) {
		t.Error(w.Code, body)
	}
}

// An update names what was changed and nothing else.
func TestUpdate(t *testing.T) {
	server := withEverything()
	server.answer("UpdateSocialNetwork", &authurlv1.UpdateSocialNetworkResponse{}, nil)
	b := signedIn(t, server)
	unchanged := []string{"client_key", "k", "name", "a", "allowed_return_uris", "https://app.example.com/", "scopes", "basic", "param.team_id", "7", "extra_params", "other=8"}
	if w := b.post("/console/networks/sn_1/edit", unchanged...); w.Code != http.StatusSeeOther || len(server.of("UpdateSocialNetwork")) != 0 {
		t.Fatal(w.Code, server.of("UpdateSocialNetwork"))
	}
	changed := slices.Clone(unchanged)
	changed[3], changed[7], changed[11] = "", "basic\nmore", ""
	b.post("/console/networks/sn_1/edit", append(changed, "return_profile", "yes", "default_return_uri", "https://app.example.com/")...)
	got := server.of("UpdateSocialNetwork")[0].(*authurlv1.UpdateSocialNetworkRequest)
	if want := []string{"name", "default_return_uri", "scopes", "extra_params", "return_profile"}; !slices.Equal(got.GetUpdateMask().GetPaths(), want) {
		t.Error(got)
	}
	if got.Name != nil || !got.GetReturnProfile() || got.GetExtraParams()["team_id"] != "7" || len(got.GetExtraParams()) != 1 || got.ClientSecret != nil {
		t.Error(got)
	}
}

func TestSecretsAreReplacedAndNotShown(t *testing.T) {
	server := withEverything()
	b := signedIn(t, server)
	server.answer("UpdateSocialNetwork", nil, failed(codes.InvalidArgument, "INVALID_PAYLOAD", "x", Fault{"client_secret", "is too short"}))
	w := b.post("/console/networks/sn_1/secret", "client_secret", testSecret)
	if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), testSecret) || !strings.Contains(w.Body.String(), "<p>is too short.</p>") {
		t.Error(w.Code, w.Body)
	}
	server.answer("UpdateSocialNetwork", &authurlv1.UpdateSocialNetworkResponse{}, nil)
	w = b.post("/console/networks/sn_1/secret", "client_secret", " "+testSecret+"\r\n")
	if got := server.of("UpdateSocialNetwork")[1].(*authurlv1.UpdateSocialNetworkRequest); w.Code != http.StatusSeeOther || got.GetClientSecret() != testSecret {
		t.Error(w.Code, got)
	}
}

func TestDelete(t *testing.T) {
	server := withEverything()
	b := signedIn(t, server)
	if w := b.get("/console/networks/sn_1/delete"); !strings.Contains(w.Body.String(), `value="disconnect"`) {
		t.Error("it is not asked what becomes of the accounts", w.Body)
	}
	// While consents are being revoked, it waits a moment.
	attempts := 0
	server.answers["DeleteSocialNetwork"] = func(proto.Message) (proto.Message, error) {
		if attempts++; attempts < 3 {
			return nil, failed(codes.Aborted, "REVOCATION_IN_PROGRESS", "x")
		}
		return &authurlv1.DeleteSocialNetworkResponse{}, nil
	}
	if w := b.post("/console/networks/sn_1/delete", "accounts", "disconnect"); w.Code != http.StatusSeeOther {
		t.Error(w.Code, w.Body)
	}
	got := server.of("DeleteSocialNetwork")[2].(*authurlv1.DeleteSocialNetworkRequest)
	if got.GetAccounts() != authurlv1.DeleteSocialNetworkRequest_ACCOUNTS_DISCONNECT {
		t.Error(got)
	}
	server.answer("DeleteSocialNetwork", nil, failed(codes.FailedPrecondition, "CONFIGURATION_IN_USE", "Accounts are connected by it"))
	server.answer("ListSocialAccounts", &authurlv1.ListSocialAccountsResponse{}, nil)
	if w := b.post("/console/networks/sn_1/delete"); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), `value="disconnect"`) {
		t.Error(w.Code, w.Body)
	}
}
