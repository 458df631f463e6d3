package main

import (
	"context"
	"encoding/json"
	"errors"
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
	keyMembers := `"key_id":"k","org_id":"acme","role":"ROLE_ORG","display_name":"","created_at":"2026-11-23T12:00:00.120Z","revoked_at":null`
	for want, reply := range map[string]proto.Message{
		`{"success":true,"data":{"auth_url":"https://a/?b=c&d=%20","expires_at":"2026-11-23T12:00:00.120Z"}}`: &authurlv1.GetAuthUrlResponse{AuthUrl: "https://a/?b=c&d=%20", ExpiresAt: at},
		`{"success":true,"data":` + organizationJSON + `}`:                                                    &authurlv1.CreateOrganizationResponse{Organization: organization},
		`{"success":true,"data":[` + organizationJSON + `],"next_page_token":"p"}`:                            &authurlv1.ListOrganizationsResponse{Organizations: []*authurlv1.Organization{organization}, NextPageToken: "p"},
		`{"success":true,"data":[],"next_page_token":""}`:                                                     &authurlv1.ListApiKeysResponse{},
		`{"success":true,"data":{` + keyMembers + `,"key":"auk_1"}}`:                                          &authurlv1.CreateApiKeyResponse{ApiKey: key, Key: "auk_1"},
		`{"success":true,"message":"The API key was revoked"}`:                                                &authurlv1.RevokeApiKeyResponse{ApiKey: key},
		`{"success":true,"message":"The social network was deleted"}`:                                         &authurlv1.DeleteSocialNetworkResponse{},
		`{"success":true,"message":"The organisation was deleted"}`:                                           &authurlv1.DeleteOrganizationResponse{},
		`{"success":true,"data":{"id":"sn","network":"x","instance":"","client_key":"","default_redirect_uri":"","allowed_redirect_uris":[],"scopes":["a","b"],"extra_params":{"a":"1","b":"2"},"variables":{},"created_at":null,"updated_at":null}}`: &authurlv1.GetSocialNetworkResponse{
			SocialNetwork: &authurlv1.SocialNetwork{Id: "sn", Network: "x", Scopes: []string{"a", "b"}, ExtraParams: map[string]string{"b": "2", "a": "1"}}},
	} {
		got, err := envelope{}.Marshal(reply)
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	}
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
		{rpcError(codes.ResourceExhausted, "m", "OVERLOADED", retry), 429, 1100 * time.Millisecond, `{"success":false,"error":"Too many requests","message":"m","code":"OVERLOADED"}`},
		{rpcError(codes.ResourceExhausted, "m", "METADATA_TOO_LARGE"), 431, 0, `{"success":false,"error":"Request header fields too large","message":"m","code":"METADATA_TOO_LARGE"}`},
		{rpcError(codes.Internal, "m", "INTERNAL"), 500, 0, `{"success":false,"error":"Internal server error","message":"m","code":"INTERNAL"}`},
		{rpcError(codes.Unavailable, "m", "STORAGE_UNAVAILABLE", retry), 500, 1100 * time.Millisecond, `{"success":false,"error":"Internal server error","message":"Database connection failed","code":"STORAGE_UNAVAILABLE"}`},
		{rpcError(codes.Unavailable, "m", "SHUTTING_DOWN"), 503, 0, `{"success":false,"error":"Service unavailable","message":"m","code":"SHUTTING_DOWN"}`},
		{rpcError(codes.DeadlineExceeded, "m", "DEADLINE_EXCEEDED"), 504, 0, `{"success":false,"error":"Gateway timeout","message":"m","code":"DEADLINE_EXCEEDED"}`},
		// What transports say never reaches a caller.
		{status.Error(codes.Unavailable, "dial tcp 10.0.0.1"), 503, time.Second, `{"success":false,"error":"Service unavailable","message":"The authurl server can't be reached; try again","code":"UPSTREAM_UNAVAILABLE"}`},
		{context.DeadlineExceeded, 504, 0, `{"success":false,"error":"Gateway timeout","message":"The authurl server took too long; try again","code":"DEADLINE_EXCEEDED"}`},
		{status.Error(codes.Unimplemented, "secret"), 500, 0, `{"success":false,"error":"Internal server error","message":"The authurl server does not know this call: it is older than the gateway","code":"UNIMPLEMENTED"}`},
		{errors.New("secret"), 500, 0, `{"success":false,"error":"Internal server error","message":"Internal error; the gateway's log has the cause under this reply's X-Request-Id","code":"INTERNAL"}`},
	} {
		got := failureOf(test.err)
		if string(got.body()) != test.body || got.status != test.status || got.retryAfter != test.retry {
			t.Errorf("%v: %d %s %s", test.err, got.status, got.retryAfter, got.body())
		}
	}
}
