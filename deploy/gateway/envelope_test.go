package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"authurl/deploy/gateway/gen/authurlv1"
)

func TestRepliesHaveTheirExactShape(t *testing.T) {
	at := timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 120_000_000, time.UTC))
	organization := &authurlv1.Organization{OrgId: "acme", DisplayName: "A&B <\"é\u2028\x01>", CreatedAt: at}
	organizationJSON := `{"org_id":"acme","display_name":"A&B <\"é\u2028\u0001>","created_at":"2026-11-23T12:00:00.120Z"}`
	key := &authurlv1.ApiKey{KeyId: "k", OrgId: "acme", Role: authurlv1.Role_ROLE_ORG, CreatedAt: at}
	rulesJSON := `{"description":"d","http_loopback_ip":false,"http_localhost":false,"https_localhost":false,"https_loopback_ip":false,"https_ip_literal":false,"private_use_schemes":false,"query":true,"max_length":4294967295}`
	keyMembers := `"key_id":"k","org_id":"acme","role":"ROLE_ORG","display_name":"","created_at":"2026-11-23T12:00:00.120Z","revoked_at":null,"read_tokens":false`
	for want, reply := range map[string]proto.Message{
		`{"success":true,"data":{"auth_url":"https://a/?b=c&d=%20","expires_at":"2026-11-23T12:00:00.120Z","flow_id":"f"}}`: &authurlv1.GetAuthUrlResponse{AuthUrl: "https://a/?b=c&d=%20", ExpiresAt: at, FlowId: "f"},
		`{"success":true,"data":` + organizationJSON + `}`:                                                                  &authurlv1.CreateOrganizationResponse{Organization: organization},
		`{"success":true,"data":[` + organizationJSON + `],"next_page_token":"p","unreadable_ids":["b","a"]}`:               &authurlv1.ListOrganizationsResponse{Organizations: []*authurlv1.Organization{organization}, NextPageToken: "p", UnreadableIds: []string{"b", "a"}},
		`{"success":true,"data":[],"next_page_token":"","unreadable_ids":[]}`:                                               &authurlv1.ListApiKeysResponse{},
		`{"success":true,"data":{` + keyMembers + `,"key":"auk_1"}}`:                                                        &authurlv1.CreateApiKeyResponse{ApiKey: key, Key: "auk_1"},
		`{"success":true,"message":"The API key was revoked"}`:                                                              &authurlv1.RevokeApiKeyResponse{ApiKey: key},
		`{"success":true,"message":"The social network was deleted"}`:                                                       &authurlv1.DeleteSocialNetworkResponse{},
		`{"success":true,"message":"The organisation was deleted"}`:                                                         &authurlv1.DeleteOrganizationResponse{},
		`{"success":true,"data":{"id":"sn","network":"x","instance":"","client_key":"","default_redirect_uri":"","allowed_redirect_uris":[],"scopes":["a","b"],"extra_params":{"a":"1","b":"2"},"variables":{},"created_at":null,"updated_at":null,"variant":"page","name":"brand_b","is_default":true,"allowed_return_uris":["r"],"default_return_uri":"d","session_binding_policy":"SESSION_BINDING_POLICY_REQUIRED","return_profile":true}}`: &authurlv1.GetSocialNetworkResponse{
			SocialNetwork: &authurlv1.SocialNetwork{Id: "sn", Network: "x", Scopes: []string{"a", "b"}, ExtraParams: map[string]string{"b": "2", "a": "1"}, Variant: "page", Name: "brand_b", IsDefault: true,
				AllowedReturnUris: []string{"r"}, DefaultReturnUri: "d", SessionBindingPolicy: authurlv1.SessionBindingPolicy_SESSION_BINDING_POLICY_REQUIRED, ReturnProfile: true}},
		`{"success":true,"data":{"authorization_endpoint":"https://a/","parameters":[{"name":"state","value":"<state>","source":"PARAMETER_SOURCE_GENERATED","why":"w"},{"name":"","value":"","source":"PARAMETER_SOURCE_UNSPECIFIED","why":""}],"fragment":"f","warnings":["a","b"],"social_network_id":"sn_1","configuration_name":"n","hosted_callback":true,"return_uri":"r","return_uri_source":"PARAMETER_SOURCE_CONFIG"}}`: &authurlv1.ExplainAuthUrlResponse{
			AuthorizationEndpoint: "https://a/", Parameters: []*authurlv1.AuthUrlParameter{{Name: "state", Value: "<state>", Source: authurlv1.ParameterSource_PARAMETER_SOURCE_GENERATED, Why: "w"}, {}},
			Fragment: "f", Warnings: []string{"a", "b"}, SocialNetworkId: "sn_1", ConfigurationName: "n",
			HostedCallback: true, ReturnUri: "r", ReturnUriSource: authurlv1.ParameterSource_PARAMETER_SOURCE_CONFIG},
		`{"success":true,"data":{"authorization_endpoint":"","parameters":[],"fragment":"","warnings":[],"social_network_id":"","configuration_name":"","hosted_callback":false,"return_uri":"","return_uri_source":"PARAMETER_SOURCE_UNSPECIFIED"}}`: &authurlv1.ExplainAuthUrlResponse{},
		`{"success":true,"data":[{"id":"a","display_name":"","status":"STATUS_LEGACY","status_note":"","default_scopes":["s"],"redirect_uri_rules":` + rulesJSON +
			`,"pkce_mode":"PKCE_MODE_REQUIRED","client_key_label":"","client_secret_label":"","documentation_url":"","configured":true,"has_instances":false,` +
			`"variants":[{"id":"v","display_name":"","description":"","default_scopes":[],"redirect_uri_rules":null,"pkce_mode":"PKCE_MODE_NONE","variables":[],"configuration_params":[],"connection":null}],` +
			`"variables":[{"name":"n","default_value":"","pattern":"","description":"","per_request":true}],` +
			`"configuration_params":[{"name":"c","pattern":"","description":"","required":true,"default_value":"","per_request":false,"completing_only":true}],"connection":{"steps":[{"name":"exchange","evidence":"EVIDENCE_DOCS"}],"code_lifetime_s":30,"public_clients":true,"lifetime":"l","access_token_lifetime_s":0,"refresh_token_lifetime_s":0,"accounts":"","revocation":"","revocation_ends_others":false,"one_grant_per_person":false,"force_account_selection":"","login_hint":false,"locale":false}}]}`: &authurlv1.ListNetworksResponse{
			Networks: []*authurlv1.Network{{Id: "a", Status: authurlv1.Network_STATUS_LEGACY, DefaultScopes: []string{"s"},
				RedirectUriRules: &authurlv1.RedirectUriRules{Description: "d", Query: true, MaxLength: 4294967295}, PkceMode: authurlv1.Network_PKCE_MODE_REQUIRED,
				Configured: true, Variants: []*authurlv1.NetworkVariant{{Id: "v", PkceMode: authurlv1.Network_PKCE_MODE_NONE}},
				Variables: []*authurlv1.NetworkVariable{{Name: "n", PerRequest: true}}, ConfigurationParams: []*authurlv1.NetworkParameter{{Name: "c", Required: true, CompletingOnly: true}},
				Connection: &authurlv1.NetworkConnection{Steps: []*authurlv1.NetworkConnection_Step{{Name: "exchange", Evidence: authurlv1.NetworkConnection_EVIDENCE_DOCS}},
					CodeLifetimeS: 30, PublicClients: true, Lifetime: "l"}}}},
		`{"success":true,"data":[]}`: &authurlv1.ListNetworksResponse{},
		`{"success":true,"data":[{"network":"x","social_network_id":"sn_1","configuration_name":"","success":true,"auth_url":"https://a/?b&c","expires_at":"2026-11-23T12:00:00.120Z","flow_id":"f"},` +
			`{"network":"mastodon","instance":"m.example","social_network_id":"sn_2","configuration_name":"a\"b","success":true,"auth_url":"","expires_at":null,"flow_id":""},` +
			`{"network":"y","social_network_id":"","configuration_name":"","success":false,"error":"Not found","message":"m","code":"NETWORK_NOT_CONFIGURED"},` +
			`{"network":"mastodon","instance":"n.example","social_network_id":"sn_3","configuration_name":"n","success":false,"error":"Invalid payload","details":{"scopes":{"0":{"_errors":["bad"]}}}},` +
			`{"network":"z","social_network_id":"","configuration_name":"","success":false,"error":"Internal server error","message":"Internal error; the gateway's log has the cause under this reply's X-Request-Id","code":"INTERNAL"}]}`: &authurlv1.BatchGetAuthUrlsResponse{
			Results: []*authurlv1.BatchGetAuthUrlsResponse_Result{
				withConfiguration("sn_1", "", batchURL("x", "", &authurlv1.GetAuthUrlResponse{AuthUrl: "https://a/?b&c", ExpiresAt: at, FlowId: "f"})),
				withConfiguration("sn_2", `a"b`, batchURL("mastodon", "m.example", &authurlv1.GetAuthUrlResponse{})),
				batchError("y", "", rpcError(codes.NotFound, "m", "NETWORK_NOT_CONFIGURED")),
				withConfiguration("sn_3", "n", batchError("mastodon", "n.example", rpcError(codes.InvalidArgument, "m", "INVALID_PAYLOAD",
					&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "scopes[0]", Description: "bad"}}}))),
				{Network: "z"}, // The server has said neither.
			}},
	} {
		got, err := envelope{}.Marshal(reply)
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	}
}

func batchURL(network, instance string, url *authurlv1.GetAuthUrlResponse) *authurlv1.BatchGetAuthUrlsResponse_Result {
	return &authurlv1.BatchGetAuthUrlsResponse_Result{Network: network, Instance: instance, Result: &authurlv1.BatchGetAuthUrlsResponse_Result_AuthUrl{AuthUrl: url}}
}

func batchError(network, instance string, err error) *authurlv1.BatchGetAuthUrlsResponse_Result {
	return &authurlv1.BatchGetAuthUrlsResponse_Result{Network: network, Instance: instance, Result: &authurlv1.BatchGetAuthUrlsResponse_Result_Error{Error: status.Convert(err).Proto()}}
}

func withConfiguration(id, name string, result *authurlv1.BatchGetAuthUrlsResponse_Result) *authurlv1.BatchGetAuthUrlsResponse_Result {
	result.SocialNetworkId, result.ConfigurationName = id, name
	return result
}

func rpcError(code codes.Code, message, reason string, more ...protoadapt.MessageV1) error {
	st, err := status.New(code, message).WithDetails(append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: "authurl"}}, more...)...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func TestErrorsOfTheServerKeepTheirMeaning(t *testing.T) {
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(1100 * time.Millisecond)}
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "network", Description: "Required"}, {Field: "scopes[3]", Description: "a"}, {Field: "scopes[3]", Description: "b"},
		{Field: "extra_params.state", Description: "c"}, {Description: "d"},
	}}
	for _, test := range []struct {
		err    error
		status int
		retry  time.Duration
		body   string
	}{
		{rpcError(codes.InvalidArgument, "m", "INVALID_PAYLOAD", bad), 400, 0,
			`{"success":false,"error":"Invalid payload","details":{"_errors":["d"],"network":{"_errors":["Required"]},"scopes":{"3":{"_errors":["a","b"]}},"extra_params":{"state":{"_errors":["c"]}}}}`},
		{rpcError(codes.InvalidArgument, "m", "INVALID_PAYLOAD"), 400, 0, `{"success":false,"error":"Invalid payload","details":{"_errors":["m"]}}`},
		{rpcError(codes.Unauthenticated, "m", "API_KEY_INVALID"), 401, 0, `{"success":false,"error":"Unauthorized","message":"m","code":"API_KEY_INVALID"}`},
		{rpcError(codes.PermissionDenied, "m", "ROLE_NOT_ALLOWED"), 403, 0, `{"success":false,"error":"Forbidden","message":"m","code":"ROLE_NOT_ALLOWED"}`},
		{rpcError(codes.NotFound, "m", "NETWORK_NOT_CONFIGURED"), 404, 0, `{"success":false,"error":"Not found","message":"m","code":"NETWORK_NOT_CONFIGURED"}`},
		{rpcError(codes.AlreadyExists, "m", "SOCIAL_NETWORK_EXISTS"), 409, 0, `{"success":false,"error":"Conflict","message":"m","code":"SOCIAL_NETWORK_EXISTS"}`},
		{rpcError(codes.FailedPrecondition, "m", "NO_REDIRECT_URI"), 409, 0, `{"success":false,"error":"Conflict","message":"m","code":"NO_REDIRECT_URI"}`},
		{rpcError(codes.FailedPrecondition, "m", "AUTH_URL_TOO_LONG"), 409, 0, `{"success":false,"error":"Conflict","message":"m","code":"AUTH_URL_TOO_LONG"}`},
		{rpcError(codes.FailedPrecondition, "m", "ORGANIZATION_BEING_DELETED"), 409, 0, `{"success":false,"error":"Conflict","message":"m","code":"ORGANIZATION_BEING_DELETED"}`},
		{rpcError(codes.ResourceExhausted, "m", "OVERLOADED", retry), 429, 1100 * time.Millisecond, `{"success":false,"error":"Too many requests","message":"m","code":"OVERLOADED"}`},
		{rpcError(codes.ResourceExhausted, "m", "REPLY_TOO_LARGE"), 413, 0, `{"success":false,"error":"Payload too large","message":"m","code":"REPLY_TOO_LARGE"}`},
		{rpcError(codes.ResourceExhausted, "m", "METADATA_TOO_LARGE"), 431, 0, `{"success":false,"error":"Request header fields too large","message":"m","code":"METADATA_TOO_LARGE"}`},
		{rpcError(codes.Internal, "m", "INTERNAL"), 500, 0, `{"success":false,"error":"Internal server error","message":"m","code":"INTERNAL"}`},
		{rpcError(codes.Unavailable, "m", "STORAGE_UNAVAILABLE", retry), 500, 1100 * time.Millisecond, `{"success":false,"error":"Internal server error","message":"Database connection failed","code":"STORAGE_UNAVAILABLE"}`},
		{rpcError(codes.Unavailable, "m", "SHUTTING_DOWN"), 503, 0, `{"success":false,"error":"Service unavailable","message":"m","code":"SHUTTING_DOWN"}`},
		{rpcError(codes.Canceled, "m", "CALL_CANCELLED"), 503, 0, `{"success":false,"error":"Service unavailable","message":"m","code":"CALL_CANCELLED"}`},
		{rpcError(codes.DeadlineExceeded, "m", "DEADLINE_EXCEEDED"), 504, 0, `{"success":false,"error":"Gateway timeout","message":"m","code":"DEADLINE_EXCEEDED"}`},
		// What transports say never reaches a caller.
		{status.Error(codes.Unavailable, "dial tcp 10.0.0.1"), 503, time.Second, `{"success":false,"error":"Service unavailable","message":"The authurl server can't be reached; try again","code":"UPSTREAM_UNAVAILABLE"}`},
		// What gRPC says itself when a message is too large, on either side.
		{status.Error(codes.ResourceExhausted, "Sent message larger than max (4938682 vs. 4194304)"), 413, 0, `{"success":false,"error":"Payload too large","message":"Request or reply is larger than what is sent at once. Ask for less: for a smaller page, or for fewer networks","code":"REPLY_TOO_LARGE"}`},
		{status.Error(codes.ResourceExhausted, "secret"), 429, time.Second, `{"success":false,"error":"Too many requests","message":"The gateway has too many requests at once; try again","code":"OVERLOADED"}`},
		{context.DeadlineExceeded, 504, 0, `{"success":false,"error":"Gateway timeout","message":"The authurl server took too long; try again","code":"DEADLINE_EXCEEDED"}`},
		{status.Error(codes.Unimplemented, "secret"), 500, 0, `{"success":false,"error":"Internal server error","message":"The authurl server does not know this call: it is older than the gateway","code":"UNIMPLEMENTED"}`},
		{errors.New("secret"), 500, 0, `{"success":false,"error":"Internal server error","message":"Internal error; the gateway's log has the cause under this reply's X-Request-Id","code":"INTERNAL"}`},
	} {
		got := failureOf(test.err)
		if string(got.body()) != test.body || got.status != test.status || got.retryAfter != test.retry {
			t.Errorf("%v: %d %s %s", test.err, got.status, got.retryAfter, got.body())
		}
		// As one result of a batch it has the same members.
		if _, ofRPC := status.FromError(test.err); !ofRPC {
			continue
		}
		item, err := appendBatchResult(nil, batchError("x", "", test.err))
		if want := `{"network":"x","social_network_id":"","configuration_name":"",` + test.body[1:]; err != nil || string(item) != want {
			t.Errorf("%v\n got %s\nwant %s", err, item, want)
		}
	}
}

func TestRateLimitedSaysHowManyAndWhen(t *testing.T) {
	limited, err := status.New(codes.ResourceExhausted, "m").WithDetails(
		&errdetails.ErrorInfo{Reason: "RATE_LIMITED", Domain: "authurl", Metadata: map[string]string{"limit_per_second": "1000"}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1100 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	failureOf(limited.Err()).write(w, httptest.NewRequest("GET", "/", nil))
	header := w.Result().Header
	for name, want := range map[string]string{"Retry-After": "2", "X-Ratelimit-Limit": "1000", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "2"} {
		if got := header.Get(name); got != want || w.Code != 429 {
			t.Errorf("%s is %q, not %q; status %d", name, got, want, w.Code)
		}
	}
}
