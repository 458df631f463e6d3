package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"authurl/deploy/gateway/gen/authurlv1"
)

const (
	eventsPath   = "/v1/events"
	webhooksPath = "/v1/webhooks"
	webhookPath  = webhooksPath + "/wh_4zjq0v1r8k2m6c3t9xwp"
	testSecret   = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
)

func someWebhook() *authurlv1.Webhook {
	at := timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	return &authurlv1.Webhook{Id: "wh_4zjq0v1r8k2m6c3t9xwp", Url: "https://app.example.com/webhooks/authurl?a=b&c=d", EventTypes: []string{"account.needs_reconnect"},
		Description: "Ours", Enabled: true, CreatedAt: at, UpdatedAt: at, DeliveredUpTo: "ev_000643f1a2b3c4d5", LastSuccessAt: at}
}

// one that was given up.
func deadWebhook() *authurlv1.Webhook {
	at := timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	return &authurlv1.Webhook{Id: "wh_0", Url: "https://app.example.com/gone", DisabledReason: "DELIVERY_FAILED", CreatedAt: at, UpdatedAt: at,
		LastFailureAt: at, LastFailure: "The receiver answered with status 500", Failures: 42, NextAttemptAt: at, OldSecretExpiresAt: at}
}

func TestShapesOfEventsAndWebhooks(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	at := timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 120_000_000, time.UTC))
	for _, test := range []struct {
		golden, method, path, body string
		reply                      proto.Message
		request                    proto.Message
	}{
		{"events", "GET", eventsPath + "?after=ev_1&limit=2&wait=15&types=account.needs_reconnect,account.updated&accountId=sa_0&tenantId=customer_42", "",
			&authurlv1.ListEventsResponse{Events: []*authurlv1.Event{
				{Id: "ev_000643f1a2b3c4d5", Type: "account.needs_reconnect", CreatedAt: at, AccountId: "sa_0", SocialNetworkId: "sn_1", Network: "x", TenantId: "customer_42", Reason: "REFRESH_DEAD", Message: "X no longer takes the refresh token. The person must connect again"},
				{Id: "ev_000643f1a2b3c4d6", Type: "account.updated", CreatedAt: at, AccountId: "sa_0", SocialNetworkId: "sn_1", Network: "mastodon", Instance: "m.example", Variant: "v", TenantId: "customer_42", FlowId: "AQG5", Changed: []string{"connection", "scopes"}},
				{Id: "ev_000643f1a2b3c4d7", Type: "webhook.disabled", CreatedAt: at, Reason: "GONE", WebhookId: "wh_0"},
			}, NextAfter: "ev_000643f1a2b3c4d7", HasMore: true, Unreadable: 1},
			&authurlv1.ListEventsRequest{After: "ev_1", PageSize: 2, Wait: durationpb.New(15 * time.Second), Types: []string{"account.needs_reconnect", "account.updated"}, AccountId: proto.String("sa_0"), TenantId: proto.String("customer_42")}},
		{"events_none", "GET", eventsPath, "", &authurlv1.ListEventsResponse{}, &authurlv1.ListEventsRequest{}},
		{"webhook_created", "POST", webhooksPath, `{"url":"https://app.example.com/webhooks/authurl?a=b&c=d","event_types":["account.needs_reconnect"],"description":"Ours"}`,
			&authurlv1.CreateWebhookResponse{Webhook: someWebhook(), Secret: testSecret},
			&authurlv1.CreateWebhookRequest{Url: "https://app.example.com/webhooks/authurl?a=b&c=d", EventTypes: []string{"account.needs_reconnect"}, Description: "Ours"}},
		{"webhooks", "GET", webhooksPath, "",
			&authurlv1.ListWebhooksResponse{Webhooks: []*authurlv1.Webhook{someWebhook(), deadWebhook()}, UnreadableIds: []string{"wh_1"}}, &authurlv1.ListWebhooksRequest{}},
		{"webhook", "GET", webhookPath, "", &authurlv1.GetWebhookResponse{Webhook: someWebhook()}, &authurlv1.GetWebhookRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp"}},
		{"webhook", "PATCH", webhookPath, `{"enabled":true,"eventTypes":[]}`, &authurlv1.UpdateWebhookResponse{Webhook: someWebhook()},
			&authurlv1.UpdateWebhookRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp", Enabled: proto.Bool(true), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"enabled", "event_types"}}}},
		{"webhook", "PATCH", webhookPath, `{"url":"https://a.example/"}`, &authurlv1.UpdateWebhookResponse{Webhook: someWebhook()},
			&authurlv1.UpdateWebhookRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp", Url: proto.String("https://a.example/")}},
		{"webhook_deleted", "DELETE", webhookPath, "", &authurlv1.DeleteWebhookResponse{}, &authurlv1.DeleteWebhookRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp"}},
		{"webhook_created", "POST", webhookPath + "/rotate-secret", `{"overlap":"3600s"}`, &authurlv1.RotateWebhookSecretResponse{Webhook: someWebhook(), Secret: testSecret},
			&authurlv1.RotateWebhookSecretRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp", Overlap: durationpb.New(time.Hour)}},
		{"webhook_tested", "POST", webhookPath + "/test", "", &authurlv1.TestWebhookResponse{Delivered: true, HttpStatus: 204, Took: durationpb.New(120 * time.Millisecond)},
			&authurlv1.TestWebhookRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp"}},
		{"webhook_replayed", "POST", webhookPath + "/replay", `{"eventIds":["ev_1","ev_2"]}`, &authurlv1.ReplayEventsResponse{},
			&authurlv1.ReplayEventsRequest{Id: "wh_4zjq0v1r8k2m6c3t9xwp", EventIds: []string{"ev_1", "ev_2"}}},
		{"imported", "POST", accountsPath + ":import", `{"accounts":[{"network":"x","configuration":"brand_b","tenant_id":"customer_42","tokens":{"access_token":"t","refreshToken":"r","access_token_expires_at":"2026-11-23T12:00:00.12Z","scopes":["a"],"kept":{"device_id":"d"}},"network_unique_ids":["1"]},{"network":"y"}]}`,
			&authurlv1.ImportSocialAccountsResponse{Results: []*authurlv1.ImportSocialAccountsResponse_Result{
				{Accounts: []*authurlv1.SocialAccount{somePerson()}}, {Reason: "NETWORK_UNAVAILABLE", Message: "The network can't be reached", Retriable: true}}},
			&authurlv1.ImportSocialAccountsRequest{Accounts: []*authurlv1.ImportedAccount{{Network: "x", Configuration: "brand_b", TenantId: "customer_42",
				Tokens:           &authurlv1.AccountTokens{AccessToken: "t", RefreshToken: "r", AccessTokenExpiresAt: at, Scopes: []string{"a"}, Kept: map[string]string{"device_id": "d"}},
				NetworkUniqueIds: []string{"1"}}, {Network: "y"}}}},
		{"exported", "GET", accountsPath + ":export?tenantId=customer_42&network=x&limit=2&pageToken=p", "",
			&authurlv1.ExportSocialAccountsResponse{Accounts: []*authurlv1.ExportedAccount{{Account: somePerson(), ConsentId: "c", OwnAccessToken: "o",
				Tokens: &authurlv1.AccountTokens{AccessToken: "t", AccessTokenExpiresAt: at, Kept: map[string]string{"device_id": "d"}}}}, NextPageToken: "n", UnreadableIds: []string{"sa_2"}},
			&authurlv1.ExportSocialAccountsRequest{TenantId: proto.String("customer_42"), Network: proto.String("x"), PageSize: 2, PageToken: "p"}},
	} {
		server.answerSocial(test.reply, nil)
		var headers []string
		if test.body != "" {
			headers = []string{"Content-Type", jsonType}
		}
		r := send(t, test.method, g.url+test.path, test.body, headers...)
		expectGolden(t, test.golden, 200, r)
		if !json.Valid([]byte(r.body)) {
			t.Errorf("%s: %s", test.golden, r.body)
		}
		if got, _ := server.last(); !proto.Equal(got.(proto.Message), test.request) {
			t.Errorf("%s: the server was asked %v", test.golden, got)
		}
	}
}

func TestQueriesOfEventsAndOfTheExport(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for query, want := range map[string]string{
		"":                           `{}`,
		"after=&page_size=7":         `{"pageSize":7}`,
		"pageSize=7&account_id=sa_1": `{"pageSize":7,"accountId":"sa_1"}`,
		// Not as if they were left out: the server refuses them.
		"account_id=":                  `{"accountId":""}`,
		"tenantId=":                    `{"tenantId":""}`,
		"wait=0":                       `{"wait":"0s"}`,
		"wait=2.5":                     `{"wait":"2.5s"}`,
		"wait=15s":                     `{"wait":"15s"}`,
		"wait=0.000000001s":            `{"wait":"0.000000001s"}`,
		"wait=60":                      `{"wait":"60s"}`, // The server knows its bound.
		"types=account.connected":      `{"types":["account.connected"]}`,
		"types=a,b&tenant_id=t":        `{"types":["a","b"],"tenantId":"t"}`,
		"types=a%2Cb,":                 `{"types":["a","b",""]}`,
		"types=%C3%A9":                 `{"types":["é"]}`,
		"after=ev_000643f1a2b3c4d5":    `{"after":"ev_000643f1a2b3c4d5"}`,
		"limit=1000&after=ev_1&wait=1": `{"pageSize":1000,"after":"ev_1","wait":"1s"}`,
	} {
		var request authurlv1.ListEventsRequest
		if err := protojson.Unmarshal([]byte(want), &request); err != nil {
			t.Fatal(err)
		}
		if r := send(t, "GET", g.url+eventsPath+"?"+query, ""); r.status != 200 {
			t.Errorf("%s: %v", query, r)
		}
		if got, _ := server.last(); !proto.Equal(got.(proto.Message), &request) {
			t.Errorf("%s: %v", query, got)
		}
	}
	_, before := server.last()
	expectRefusal := func(path, want string) {
		t.Helper()
		if r := send(t, "GET", g.url+path, ""); r.status != 400 || r.body != `{"success":false,"error":"Invalid payload","details":`+want+"}" {
			t.Errorf("%s: %v", path, r)
		}
	}
	for _, wait := range []string{"", "s", "-1", "1m", "1e1", "x", ".5", "15ss", " 1", "1.0000000001", "999999999999999"} {
		expectRefusal(eventsPath+"?wait="+strings.ReplaceAll(wait, " ", "%20"), `{"wait":{"_errors":["Expected seconds such as 15 or 15s, received `+strings.ReplaceAll(fmt.Sprintf("%q", wait), `"`, `\"`)+`"]}}`)
	}
	for query, want := range map[string]string{
		"limit=x":             `{"page_size":{"_errors":["Expected a whole number from -2147483648 to 2147483647, received \"x\""]}}`,
		"limit=1&pageSize=1":  `{"page_size":{"_errors":["Is given more than once"]}}`,
		"types=a&types=b":     `{"types":{"_errors":["Is given more than once"]}}`,
		"types=%ff":           `{"types":{"_errors":["Expected text in UTF-8, received \"` + "\ufffd" + `\""]}}`,
		"type=a&page_token=b": `{"_errors":["Unknown query parameter \"page_token\"","Unknown query parameter \"type\""]}`,
	} {
		expectRefusal(eventsPath+"?"+query, want)
	}
	expectRefusal(accountsPath+":export?username=a", `{"_errors":["Unknown query parameter \"username\""]}`)
	expectRefusal(accountsPath+":export?id=a", `{"_errors":["Unknown query parameter \"id\""]}`)
	for _, path := range []string{webhooksPath, webhookPath} {
		expectRefusal(path+"?limit=1", `{"_errors":["There are no query parameters here"]}`)
	}
	for _, path := range []string{webhooksPath, webhookPath + "/test", webhookPath + "/rotate-secret", webhookPath + "/replay", accountsPath + ":import"} {
		if r := send(t, "POST", g.url+path+"?id=a", ""); r.status != 400 || !strings.Contains(r.body, "There are no query parameters here: put them into the body") {
			t.Errorf("%s: %v", path, r)
		}
	}
	if _, after := server.last(); after != before {
		t.Errorf("%d of them reached the server", after-before)
	}
}

func TestBodiesOfImportsAndWebhooks(t *testing.T) {
	for body, want := range map[string]string{
		`{"accounts":[{"tokens":{"access_token_expires_at":"soon"}}]}`:   `{"accounts":{"0":{"tokens":{"access_token_expires_at":{"_errors":["Expected a time such as \"2026-11-23T12:00:00Z\", received \"soon\""]}}}}}`,
		`{"accounts":[{"tokens":{"refreshTokenExpiresAt":1795435200}}]}`: `{"accounts":{"0":{"tokens":{"refresh_token_expires_at":{"_errors":["Expected string, received number"]}}}}}`,
		`{"accounts":[{"access_token":"secret"}]}`:                       `{"accounts":{"0":{"_errors":["Unknown field \"access_token\""]}}}`,
		`{"accounts":[{"tokens":{"kept":{"a":1}}}]}`:                     `{"accounts":{"0":{"tokens":{"kept":{"a":{"_errors":["Expected string, received number"]}}}}}}`,
		`{"accounts":[{"network_unique_ids":["a"` + strings.Repeat(`,"a"`, 499) + `]},{"network_unique_ids":["a"` + strings.Repeat(`,"a"`, 499) + `]},{"network_unique_ids":["a"` + strings.Repeat(`,"a"`, 499) + `]}]}`: `{"_errors":["The body has more than 1024 values: send fewer"]}`,
	} {
		if got := decoded(t, body, &authurlv1.ImportSocialAccountsRequest{}); got != want {
			t.Errorf("%.80s: %s", body, got)
		}
	}
	// As many as there may be, with tokens as long as those of most networks.
	account := `{"network":"microsoft","configuration":"brand_b","tenant_id":"customer_42","tokens":{"access_token":"` + strings.Repeat("a", 1800) + `","refresh_token":"` + strings.Repeat("r", 900) +
		`","access_token_expires_at":"2026-11-23T12:00:00Z","scopes":["a"` + strings.Repeat(`,"scope"`, 19) + `]}}`
	var request authurlv1.ImportSocialAccountsRequest
	if body := `{"accounts":[` + account + strings.Repeat(","+account, 19) + `]}`; decoded(t, body, &request) != "" || len(request.GetAccounts()) != 20 || len(body) > maxBodyBytes {
		t.Errorf("%d bytes, %d accounts", len(body), len(request.GetAccounts()))
	}
	if got := decoded(t, `{"overlap":3600}`, &authurlv1.RotateWebhookSecretRequest{}); got != `{"overlap":{"_errors":["Expected string, received number"]}}` {
		t.Error(got)
	}
}

// Times that are shorter than the wait, as those of a real gateway are.
func TestTheTimeForAnEventIsNotCutShort(t *testing.T) {
	server := &fakeServer{events: func(ctx context.Context) (*authurlv1.ListEventsResponse, error) {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) < longestWait {
			return nil, status.Errorf(codes.Internal, "the deadline is %v", end)
		}
		select {
		case <-time.After(time.Second):
			return &authurlv1.ListEventsResponse{NextAfter: "ev_1"}, nil
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}}
	g := startGateway(t, "--upstream="+server.start(t), "--upstream_timeout=200ms", "--read_timeout=100ms", "--read_header_timeout=100ms", "--write_timeout=300ms")
	if r := send(t, "GET", g.url+eventsPath+"?wait=15", ""); r.status != 200 || r.body != `{"success":true,"data":[],"nextAfter":"ev_1","hasMore":false,"unreadable":0}` {
		t.Error(r)
	}
}

func TestWhoWaitsForAnEventCanHangUp(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	server := &fakeServer{events: func(ctx context.Context) (*authurlv1.ListEventsResponse, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, status.FromContextError(ctx.Err()).Err()
	}}
	g := startGateway(t, "--upstream="+server.start(t))
	caller := connect(t, g)
	caller.write("GET " + eventsPath + "?wait=15 HTTP/1.1\r\nHost: x\r\n" + authorization + "\r\n")
	<-begun
	caller.Close()
	select {
	case err := <-ended:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the server still waits")
	}
	eventually(t, "its place is free", func() bool { return len(g.clients.eventSlots) == 0 })
	eventually(t, "it is logged", func() bool { return len(g.log.events("request")) == 1 })
	// It is how many end, and no error.
	if log := g.log.events("request")[0]; log["level"] != "info" || log["status"] != 499.0 {
		t.Error(log)
	}
}

func TestWhoWaitsForAnEventTakesNoPlaceFromOthers(t *testing.T) {
	release := make(chan struct{})
	server := &fakeServer{events: func(ctx context.Context) (*authurlv1.ListEventsResponse, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return &authurlv1.ListEventsResponse{}, nil
	}}
	g := startGateway(t, "--upstream="+server.start(t), "--max_requests=1", "--max_network_requests=1", "--max_waiting_requests=1")
	first := make(chan reply)
	go func() { first <- send(t, "GET", g.url+eventsPath+"?wait=15", "") }()
	eventually(t, "the first waits", func() bool { return server.seen() == 1 })
	if r := send(t, "GET", g.url+eventsPath, ""); r.status != 429 || r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"code":"OVERLOADED"`) {
		t.Error(r)
	}
	for _, call := range [][2]string{{"POST", authURLPath}, {"GET", webhooksPath}, {"POST", webhookPath + "/test"}, {"POST", accountsPath + ":import"}, {"GET", accountsPath + "/sa_1/health"}} {
		if r := send(t, call[0], g.url+call[1], ""); r.status != 200 {
			t.Errorf("%s: %v", call, r)
		}
	}
	close(release)
	if r := <-first; r.status != 200 {
		t.Error(r)
	}
}

// As many as may wait, at a server that carries no more calls on a connection than the real one.
func TestAllWhoMayWaitLeaveRoomOnTheConnectionsForOthers(t *testing.T) {
	release := make(chan struct{})
	wait := func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	server := &fakeServer{
		events: func(ctx context.Context) (*authurlv1.ListEventsResponse, error) {
			wait(ctx)
			return &authurlv1.ListEventsResponse{}, nil
		},
		hosted: func(ctx context.Context, _ *authurlv1.CompleteHostedAuthRequest) (*authurlv1.CompleteHostedAuthResponse, error) {
			wait(ctx)
			return &authurlv1.CompleteHostedAuthResponse{}, nil
		},
	}
	g := startGateway(t, "--upstream="+server.start(t, grpc.MaxConcurrentStreams(callsOfConnection)), "--max_network_requests=300", "--max_waiting_requests=512")
	var waiting sync.WaitGroup
	for i := range 512 + 300 {
		path := eventsPath + "?wait=15"
		if i >= 512 {
			path = "/v1/social-networks/github/callback?code=c&state=s"
		}
		waiting.Go(func() { send(t, "GET", g.url+path, "") })
	}
	eventually(t, "all of them wait", func() bool { return server.seen() == 512+300 })
	for range 8 {
		if r := send(t, "GET", g.url+webhooksPath, ""); r.status != 200 {
			t.Error(r)
		}
	}
	if r := send(t, "GET", g.url+"/readyz", ""); r.status != 200 {
		t.Error(r)
	}
	close(release)
	waiting.Wait()
}

func TestErrorsOfEventsAndWebhooksKeepTheirCode(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for _, test := range []struct {
		err          error
		method, path string
		status       int
		body         string
	}{
		{rpcError(codes.OutOfRange, "m", "EVENTS_EXPIRED"), "GET", eventsPath, 400, `{"success":false,"error":"Invalid payload","message":"m","code":"EVENTS_EXPIRED"}`},
		{rpcError(codes.ResourceExhausted, "m", "TOO_MANY_WAITING"), "GET", eventsPath, 429, `{"success":false,"error":"Too many requests","message":"m","code":"TOO_MANY_WAITING"}`},
		{rpcError(codes.ResourceExhausted, "m", "TOO_MANY_WEBHOOKS"), "POST", webhooksPath, 409, `{"success":false,"error":"Conflict","message":"m","code":"TOO_MANY_WEBHOOKS"}`},
		{rpcError(codes.NotFound, "m", "WEBHOOK_NOT_FOUND"), "GET", webhookPath, 404, `{"success":false,"error":"Not found","message":"m","code":"WEBHOOK_NOT_FOUND"}`},
		{rpcError(codes.NotFound, "m", "EVENT_NOT_FOUND"), "POST", webhookPath + "/replay", 404, `{"success":false,"error":"Not found","message":"m","code":"EVENT_NOT_FOUND"}`},
		{rpcError(codes.FailedPrecondition, "m", "WEBHOOK_DISABLED"), "POST", webhookPath + "/replay", 409, `{"success":false,"error":"Conflict","message":"m","code":"WEBHOOK_DISABLED"}`},
		{rpcError(codes.PermissionDenied, "m", "ROLE_NOT_ALLOWED"), "GET", accountsPath + ":export", 403, `{"success":false,"error":"Forbidden","message":"m","code":"ROLE_NOT_ALLOWED"}`},
	} {
		server.answerSocial(nil, test.err)
		if r := send(t, test.method, g.url+test.path, ""); r.status != test.status || r.body != test.body {
			t.Errorf("%v: %v", test.err, r)
		}
	}
	// Of these, only reads are made again.
	for _, test := range []struct {
		method, path string
		again        bool
	}{{"GET", eventsPath, true}, {"GET", webhooksPath, true}, {"GET", accountsPath + ":export", true}, {"POST", accountsPath + ":import", false}, {"POST", webhookPath + "/rotate-secret", false}} {
		server.answerSocial(nil, status.Error(codes.Unavailable, "leaving"))
		_, before := server.last()
		r := send(t, test.method, g.url+test.path, "")
		if _, after := server.last(); r.status != 503 || after-before > 1 != test.again {
			t.Errorf("%s: it was asked %d times: %v", test.path, after-before, r)
		}
	}
}

func TestWhoMayAskForEventsAndWebhooks(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for _, call := range [][2]string{{"GET", eventsPath}, {"GET", webhooksPath}, {"POST", webhooksPath}, {"GET", webhookPath}, {"PATCH", webhookPath}, {"DELETE", webhookPath},
		{"POST", webhookPath + "/rotate-secret"}, {"POST", webhookPath + "/test"}, {"POST", webhookPath + "/replay"}, {"POST", accountsPath + ":import"}, {"GET", accountsPath + ":export"}} {
		if r := send(t, call[0], g.url+call[1], "", "Authorization", ""); r.status != 401 {
			t.Errorf("%s: %v", call, r)
		}
	}
	for _, test := range [][3]string{{"POST", eventsPath, "GET"}, {"DELETE", webhooksPath, "GET, POST"}, {"POST", webhookPath, "DELETE, GET, PATCH"}, {"GET", webhookPath + "/test", "POST"},
		{"GET", webhookPath + "/rotate-secret", "POST"}, {"GET", webhookPath + "/replay", "POST"}, {"GET", accountsPath + ":import", "POST"}, {"POST", accountsPath + ":export", "GET"}} {
		if r := send(t, test[0], g.url+test[1], ""); r.status != 405 || r.header.Get("Allow") != test[2] {
			t.Errorf("%v: %v", test, r)
		}
	}
	if server.seen() != 0 {
		t.Errorf("%d of them reached the server", server.seen())
	}
}

func TestNoSecretOfWebhooksOrImportsIsLogged(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t), "--log_level=debug")
	const canary = "whsec_canary/canary+canary=="
	server.answerSocial(&authurlv1.CreateWebhookResponse{Webhook: someWebhook(), Secret: canary}, nil)
	send(t, "POST", g.url+webhooksPath, `{"url":"https://canary.example/"}`, "Content-Type", jsonType)
	server.answerSocial(&authurlv1.RotateWebhookSecretResponse{Webhook: someWebhook(), Secret: canary}, nil)
	send(t, "POST", g.url+webhookPath+"/rotate-secret", "")
	server.answerSocial(&authurlv1.ExportSocialAccountsResponse{Accounts: []*authurlv1.ExportedAccount{{Tokens: &authurlv1.AccountTokens{AccessToken: "canary"}, OwnAccessToken: "canary"}}}, nil)
	send(t, "GET", g.url+accountsPath+":export?pageToken=canary&tenantId=canary", "")
	for _, body := range []string{`{"accounts":[{"tokens":{"access_token":"canary"}}]}`, `{"accounts":[{"tokens":{"access_token_expires_at":"canary"}}]}`, `{"canary":1}`, `{"accounts":"canary`} {
		send(t, "POST", g.url+accountsPath+":import", body, "Content-Type", jsonType)
	}
	send(t, "GET", g.url+webhooksPath+"/"+canary, "")
	send(t, "POST", g.url+eventsPath+"/"+canary, "")
	eventually(t, "all are logged", func() bool { return len(g.log.events("request")) == 9 })
	if log := g.log.String(); strings.Contains(log, "canary") || !strings.Contains(log, `"path":"`+webhooksPath+`/{credential}`) {
		t.Error(log)
	}
}
