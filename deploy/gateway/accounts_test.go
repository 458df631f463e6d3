package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"authurl/deploy/gateway/gen/authurlv1"
)

const (
	accountsPath = "/v1/social-accounts"
	sessionToken = "aus_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
	pendingPath  = accountsPath + "/pending/" + sessionToken
	finalizePath = pendingPath + "/finalize"
	testToken    = "aut_0123456789abcdefghijklmnopqrstuvwxyz-_ABCDEFG"
)

func somePage() *authurlv1.SocialAccount {
	at := func(minute int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 11, 23, 12, minute, 0, 120_000_000, time.UTC))
	}
	return &authurlv1.SocialAccount{
		Id: "sa_4zjq0v1r8k2m6c3t9xwp", OrgId: "acme", Network: "facebook", SocialNetworkId: "sn_4zjq0v1r8k2m6c3t9xwp", TenantId: "customer_42",
		NetworkUniqueId: "17841400000000000123", Username: "acme.inc", DisplayName: "Acme <Inc>", AvatarUrl: "https://cdn.example/a.jpg?b=1&c=2",
		AccountType: authurlv1.SocialAccount_ACCOUNT_TYPE_ORGANIZATION, Status: authurlv1.SocialAccount_STATUS_ACTIVE,
		Scopes: []string{"pages_show_list"}, MissingScopes: []string{"pages_manage_posts"}, AccessTokenExpiresAt: at(59), CreatedAt: at(0), UpdatedAt: at(1), CheckedAt: at(2),
	}
}

// somePerson is an account of which little is known.
func somePerson() *authurlv1.SocialAccount {
	return &authurlv1.SocialAccount{Id: "sa_0", Network: "x", Username: "acme", AccountType: authurlv1.SocialAccount_ACCOUNT_TYPE_PERSONAL,
		Status: authurlv1.SocialAccount_STATUS_NEEDS_RECONNECT, StatusReason: "REFRESH_DEAD", StatusMessage: "The person has to connect again"}
}

func someChoice() *authurlv1.PendingConnection {
	return &authurlv1.PendingConnection{Network: "facebook", TenantId: "customer_42", MoreChoices: true,
		ExpiresAt: timestamppb.New(time.UnixMilli(1_734_567_890_123)),
		Choices: []*authurlv1.AccountChoice{
			{Id: "17841400000000000123", Username: "acme.inc", DisplayName: "Acme Inc", AvatarUrl: "https://cdn.example/a.jpg", AccountType: authurlv1.SocialAccount_ACCOUNT_TYPE_ORGANIZATION},
			{Id: "2", Username: "jo", AccountType: authurlv1.SocialAccount_ACCOUNT_TYPE_PERSONAL},
		}}
}

func TestShapesOfSocialAccounts(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	at := timestamppb.New(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	withToken := someChoice()
	withToken.SessionToken = sessionToken
	for _, test := range []struct {
		golden, method, path, body string
		reply                      proto.Message
		request                    proto.Message
	}{
		{"complete_connected", "POST", accountsPath + ":complete", `{"response":"https://app.example.com/cb?code=c&state=s","session_binding":"0123456789abcdef","redirectUri":"https://app.example.com/cb"}`,
			&authurlv1.CompleteAuthResponse{Accounts: []*authurlv1.SocialAccount{somePage()}, Replayed: true, FlowId: "f", ReturnState: "r"},
			&authurlv1.CompleteAuthRequest{Response: "https://app.example.com/cb?code=c&state=s", SessionBinding: proto.String("0123456789abcdef"), RedirectUri: proto.String("https://app.example.com/cb")}},
		{"complete_pending", "POST", accountsPath + ":complete", `{"response":"code=c&state=s"}`,
			&authurlv1.CompleteAuthResponse{Pending: withToken, FlowId: "f"}, &authurlv1.CompleteAuthRequest{Response: "code=c&state=s"}},
		{"auth_response", "POST", "/v1/auth-responses:open", `{"response":"code=c&state=s"}`,
			&authurlv1.OpenAuthResponseResponse{Network: "x", SocialNetworkId: "sn_1", RedirectUri: "https://app.example.com/cb", Scopes: []string{"a"}, Code: "c", CodeVerifier: "v", FlowId: "f"},
			&authurlv1.OpenAuthResponseRequest{Response: "code=c&state=s"}},
		{"auth_flow_completed", "GET", "/v1/auth-flows/AQG5", "",
			&authurlv1.GetAuthFlowResponse{Status: authurlv1.GetAuthFlowResponse_STATUS_COMPLETED, AccountIds: []string{"sa_1", "sa_2"}}, &authurlv1.GetAuthFlowRequest{FlowId: "AQG5"}},
		{"auth_flow_failed", "GET", "/v1/auth-flows/AQG5", "",
			&authurlv1.GetAuthFlowResponse{Status: authurlv1.GetAuthFlowResponse_STATUS_FAILED, Reason: "USER_DENIED", Message: "The person said no"}, &authurlv1.GetAuthFlowRequest{FlowId: "AQG5"}},
		{"auth_flow_choice", "GET", "/v1/auth-flows/AQG5", "",
			&authurlv1.GetAuthFlowResponse{Status: authurlv1.GetAuthFlowResponse_STATUS_NEEDS_CHOICE, Pending: someChoice()}, &authurlv1.GetAuthFlowRequest{FlowId: "AQG5"}},
		{"finalized", "POST", "/v1/auth-flows/AQG5/finalize", `{"choice_ids":["17841400000000000123","2"]}`,
			&authurlv1.FinalizePendingConnectionResponse{Accounts: []*authurlv1.SocialAccount{somePage(), somePerson()}},
			&authurlv1.FinalizePendingConnectionRequest{FlowId: "AQG5", ChoiceIds: []string{"17841400000000000123", "2"}}},
		{"social_accounts", "GET", accountsPath, "",
			&authurlv1.ListSocialAccountsResponse{Accounts: []*authurlv1.SocialAccount{somePage(), somePerson()}, NextPageToken: "n", UnreadableIds: []string{"sa_2"}, Total: proto.Int64(5_000_000_000)},
			&authurlv1.ListSocialAccountsRequest{CountTotal: true}},
		{"social_accounts_none", "GET", accountsPath + "?limit=7&offset=14", "",
			&authurlv1.ListSocialAccountsResponse{Total: proto.Int64(3)}, &authurlv1.ListSocialAccountsRequest{PageSize: 7, Offset: 14, CountTotal: true}},
		{"social_account", "GET", accountsPath + "/sa_4zjq0v1r8k2m6c3t9xwp", "",
			&authurlv1.GetSocialAccountResponse{Account: somePage()}, &authurlv1.GetSocialAccountRequest{Id: "sa_4zjq0v1r8k2m6c3t9xwp"}},
		{"social_account_health", "GET", accountsPath + "/sa_0/health", "",
			&authurlv1.CheckSocialAccountResponse{Account: somePerson()}, &authurlv1.CheckSocialAccountRequest{Id: "sa_0"}},
		{"social_account_deleted", "DELETE", accountsPath + "/sa_0", "",
			&authurlv1.DeleteSocialAccountResponse{Revocation: authurlv1.RevocationResult_REVOCATION_RESULT_REVOKED}, &authurlv1.DeleteSocialAccountRequest{Id: "sa_0"}},
		{"social_account_deleted_here", "DELETE", accountsPath + "/sa_0", "",
			&authurlv1.DeleteSocialAccountResponse{Revocation: authurlv1.RevocationResult_REVOCATION_RESULT_NOT_OFFERED, Message: "The person can take the consent back in the network's settings"},
			&authurlv1.DeleteSocialAccountRequest{Id: "sa_0"}},
		{"social_accounts_deleted", "DELETE", accountsPath + "?tenantId=customer_42", "",
			&authurlv1.DeleteSocialAccountsResponse{Deleted: 3}, &authurlv1.DeleteSocialAccountsRequest{TenantId: "customer_42"}},
		{"access_token", "POST", accountsPath + "/sa_0/access-token", `{"min_validity":"300s"}`,
			&authurlv1.GetAccessTokenResponse{AccessToken: "t", ExpiresAt: at, Scopes: []string{"a"}, TokenType: "Bearer", Network: "x", NetworkUniqueId: "17841400000000000123"},
			&authurlv1.GetAccessTokenRequest{AccountId: "sa_0", MinValidity: durationpb.New(5 * time.Minute)}},
		{"pending", "GET", pendingPath, "",
			&authurlv1.GetPendingConnectionResponse{Pending: someChoice()}, &authurlv1.GetPendingConnectionRequest{SessionToken: sessionToken}},
		{"finalized", "POST", finalizePath, `{"selectedPageIds":["17841400000000000123","2"]}`,
			&authurlv1.FinalizePendingConnectionResponse{Accounts: []*authurlv1.SocialAccount{somePage(), somePerson()}},
			&authurlv1.FinalizePendingConnectionRequest{SessionToken: sessionToken, ChoiceIds: []string{"17841400000000000123", "2"}}},
		{"tenant_token", "POST", "/v1/tenant-tokens", `{"tenant_id":"customer_42","ttl":"900s","actions":["ACTION_CONNECT","ACTION_LIST"]}`,
			&authurlv1.CreateTenantTokenResponse{Token: "aut_EXAMPLE", ExpiresAt: at},
			&authurlv1.CreateTenantTokenRequest{TenantId: "customer_42", Ttl: durationpb.New(15 * time.Minute), Actions: []authurlv1.CreateTenantTokenRequest_Action{
				authurlv1.CreateTenantTokenRequest_ACTION_CONNECT, authurlv1.CreateTenantTokenRequest_ACTION_LIST}}},
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

// What Outstand's published clients read of a reply: their types, as far as they are read.
func TestClientsOfOutstandsAPIFindWhatTheyRead(t *testing.T) {
	type account struct {
		ID, OrgID, Nickname, Network, Username, AccountType, TenantID, CreatedAt string
		ProfilePictureURL                                                        string `json:"profile_picture_url"`
		NetworkUniqueID                                                          string `json:"network_unique_id"`
		CustomerSocialNetworkID                                                  string `json:"customer_social_network_id"`
		IsActive                                                                 int
	}
	page := account{"sa_4zjq0v1r8k2m6c3t9xwp", "acme", "Acme <Inc>", "facebook", "acme.inc", "organization", "customer_42", "2026-11-23T12:00:00.120Z",
		"https://cdn.example/a.jpg?b=1&c=2", "17841400000000000123", "sn_4zjq0v1r8k2m6c3t9xwp", 1}
	person := account{ID: "sa_0", Nickname: "acme", Network: "x", Username: "acme", AccountType: "personal"}
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	read := func(method, path, body string, reply proto.Message, into any) {
		t.Helper()
		server.answerSocial(reply, nil)
		// Their components send this Content-Type with a GET too.
		r := send(t, method, g.url+path, body, "Authorization", bearer(testToken), "Content-Type", jsonType)
		if err := json.Unmarshal([]byte(r.body), into); err != nil || r.status != 200 {
			t.Errorf("%v: %v", r, err)
		}
	}
	var list struct {
		Success              bool
		Data                 []account
		Count, Limit, Offset int
	}
	read("GET", accountsPath+"?limit=10&offset=0&tenantId=customer_42", "",
		&authurlv1.ListSocialAccountsResponse{Accounts: []*authurlv1.SocialAccount{somePage(), somePerson()}, Total: proto.Int64(12)}, &list)
	if !list.Success || !slices.Equal(list.Data, []account{page, person}) || list.Count != 12 || list.Limit != 10 || list.Offset != 0 {
		t.Errorf("%+v", list)
	}
	type choice struct{ ID, Type, Name, Username, ProfilePictureURL string }
	var pending struct {
		Success bool
		Data    struct {
			Network        string
			ExpiresAt      int64
			AvailablePages []choice
		}
	}
	read("GET", pendingPath, "", &authurlv1.GetPendingConnectionResponse{Pending: someChoice()}, &pending)
	if pending.Data.Network != "facebook" || pending.Data.ExpiresAt != 1_734_567_890_123 || !slices.Equal(pending.Data.AvailablePages,
		[]choice{{"17841400000000000123", "organization", "Acme Inc", "acme.inc", "https://cdn.example/a.jpg"}, {"2", "personal", "jo", "jo", ""}}) {
		t.Errorf("%+v", pending)
	}
	var finalized struct {
		Data              struct{ ConnectedAccounts []account }
		ConnectedAccounts []account
	}
	read("POST", finalizePath, `{"selectedPageIds":["2"]}`, &authurlv1.FinalizePendingConnectionResponse{Accounts: []*authurlv1.SocialAccount{somePage()}}, &finalized)
	if !slices.Equal(finalized.Data.ConnectedAccounts, []account{page}) || !slices.Equal(finalized.ConnectedAccounts, []account{page}) {
		t.Errorf("%+v", finalized)
	}
	var deleted struct {
		Success bool
		Message string
	}
	read("DELETE", accountsPath+"/sa_0", "", &authurlv1.DeleteSocialAccountResponse{}, &deleted)
	if !deleted.Success || deleted.Message == "" {
		t.Errorf("%+v", deleted)
	}
}

func TestWhatBecomesOfAConfigurationsAccountsIsSaidInTheQuery(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	const path = "/v1/social-networks/sn_1"
	r := send(t, "DELETE", g.url+path+"?accounts=ACCOUNTS_DISCONNECT", "")
	got, _ := server.last()
	want := &authurlv1.DeleteSocialNetworkRequest{Id: "sn_1", Accounts: authurlv1.DeleteSocialNetworkRequest_ACCOUNTS_DISCONNECT}
	if request, ok := got.(proto.Message); !ok || !proto.Equal(request, want) {
		t.Errorf("%v: %v", r, got)
	}
	for _, call := range [][3]string{
		{"DELETE", "accounts=1", `{"accounts":{"_errors":["Expected ACCOUNTS_UNSPECIFIED or ACCOUNTS_DISCONNECT or ACCOUNTS_KEEP_UNTIL_EXPIRY, received \"1\""]}}`},
		{"GET", "accounts=ACCOUNTS_DISCONNECT", `{"_errors":["There are no query parameters here"]}`},
	} {
		r := send(t, call[0], g.url+path+"?"+call[1], "")
		if r.body != `{"success":false,"error":"Invalid payload","details":`+call[2]+"}" || r.status != 400 {
			t.Errorf("%s %s: %v", call[0], call[1], r)
		}
	}
}

func TestQueriesOfTheListOfSocialAccounts(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for query, want := range map[string]string{
		"tenantId=t&network=x&networkUniqueId=1&socialNetworkId=sn_1":       `{"tenantId":"t","network":"x","networkUniqueId":"1","socialNetworkId":"sn_1","countTotal":true}`,
		"tenant_id=t&network_unique_id=1&social_network_id=sn_1&pageSize=3": `{"tenantId":"t","networkUniqueId":"1","socialNetworkId":"sn_1","pageSize":3,"countTotal":true}`,
		"limit=3&offset=6":                `{"pageSize":3,"offset":6,"countTotal":true}`,
		"username=Acme":                   `{"username":"Acme"}`,
		"page_token=t&page_size=2":        `{"pageToken":"t","pageSize":2}`,
		"page_token=t&count_total=true":   `{"pageToken":"t","countTotal":true}`,
		"count_total=false&tenantId=":     `{"tenantId":"","countTotal":true}`,
		"username=a&countTotal=true":      `{"username":"a","countTotal":true}`,
		"network=%C3%A9%22%3C%26&limit=0": `{"network":"é\"<&","countTotal":true}`,
	} {
		var request authurlv1.ListSocialAccountsRequest
		if err := protojson.Unmarshal([]byte(want), &request); err != nil {
			t.Fatal(err)
		}
		if r := send(t, "GET", g.url+accountsPath+"?"+query, ""); r.status != 200 {
			t.Errorf("%s: %v", query, r)
		}
		if got, _ := server.last(); !proto.Equal(got.(proto.Message), &request) {
			t.Errorf("%s: %v", query, got)
		}
	}
	_, before := server.last()
	for query, want := range map[string]string{
		"limit=x":                          `{"page_size":{"_errors":["Expected a whole number from -2147483648 to 2147483647, received \"x\""]}}`,
		"limit=1&page_size=1":              `{"page_size":{"_errors":["Is given more than once"]}}`,
		"count_total=1":                    `{"count_total":{"_errors":["Expected true or false, received \"1\""]}}`,
		"orgId=a":                          `{"_errors":["Unknown query parameter \"orgId\""]}`,
		"id=":                              `{"id":{"_errors":["must not be empty; leave it out to have all"]}}`,
		"id=a&id=b":                        `{"id":{"_errors":["Is given more than once"]}}`,
		"id=%ff":                           `{"id":{"_errors":["Expected text in UTF-8, received \"` + "\ufffd" + `\""]}}`,
		"id=a&pageToken=b":                 `{"page_token":{"_errors":["must be left out together with id"]}}`,
		"id=a&nonsense=b":                  `{"_errors":["Unknown query parameter \"nonsense\""]}`,
		"id=a&tenantId=":                   `{"tenant_id":{"_errors":["must not be empty; leave it out to have all"]}}`,
		"id=a&network=&username=&limit=-1": `{"network":{"_errors":["must not be empty; leave it out to have all"]},"username":{"_errors":["must not be empty; leave it out to have all"]},"page_size":{"_errors":["must not be negative"]}}`,
		"id=a&offset=10001":                `{"offset":{"_errors":["must be 0 to 10000"]}}`,
		"id=a;b":                           `{"_errors":["invalid semicolon separator in query"]}`,
	} {
		r := send(t, "GET", g.url+accountsPath+"?"+query, "")
		if r.body != `{"success":false,"error":"Invalid payload","details":`+want+"}" || r.status != 400 {
			t.Errorf("%s: %v", query, r)
		}
	}
	for _, call := range [][2]string{{"GET", accountsPath + "/sa_1"}, {"DELETE", accountsPath + "/sa_1"}, {"GET", accountsPath + "/sa_1/health"}, {"GET", "/v1/auth-flows/a"}} {
		if r := send(t, call[0], g.url+call[1]+"?id=sa_2", ""); r.status != 400 || !strings.Contains(r.body, "There are no query parameters here") {
			t.Errorf("%s: %v", call, r)
		}
	}
	if r := send(t, "DELETE", g.url+accountsPath+"?id=sa_2", ""); r.status != 400 || !strings.Contains(r.body, `Unknown query parameter \"id\"`) {
		t.Error(r)
	}
	if _, after := server.last(); after != before {
		t.Errorf("%d of them reached the server", after-before)
	}
}

func TestTheFilterIDIsALookUp(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	server.answerSocial(&authurlv1.GetSocialAccountResponse{Account: somePage()}, nil)
	const found, end = `{"success":true,"data":[{"id":"sa_4zjq0v1r8k2m6c3t9xwp",`, `"next_page_token":"","unreadable_ids":[],"total":`
	for query, want := range map[string][2]string{
		"":                                    {found, end + `1,"count":1,"limit":100,"offset":0}`},
		"&limit=5":                            {found, end + `1,"count":1,"limit":5,"offset":0}`},
		"&username=ACME.inc&network=facebook": {found, end + `1,"count":1,"limit":100,"offset":0}`},
		"&tenantId=customer_42&networkUniqueId=17841400000000000123&social_network_id=sn_4zjq0v1r8k2m6c3t9xwp": {found, end + `1,"count":1,"limit":100,"offset":0}`},
		"&offset=1":          {`{"success":true,"data":[],`, end + `1,"count":1,"limit":100,"offset":1}`},
		"&tenantId=other":    {`{"success":true,"data":[],`, end + `0,"count":0,"limit":100,"offset":0}`},
		"&network=x":         {`{"success":true,"data":[],`, end + `0,"count":0,"limit":100,"offset":0}`},
		"&networkUniqueId=2": {`{"success":true,"data":[],`, end + `0,"count":0,"limit":100,"offset":0}`},
		"&username=acme":     {`{"success":true,"data":[],`, end + `0,"count":0,"limit":100,"offset":0}`},
	} {
		r := send(t, "GET", g.url+accountsPath+"?id=sa_4zjq0v1r8k2m6c3t9xwp"+query, "")
		if r.status != 200 || !strings.HasPrefix(r.body, want[0]) || !strings.HasSuffix(r.body, want[1]) {
			t.Errorf("%s: %v", query, r)
		}
		if got, _ := server.last(); got.(*authurlv1.GetSocialAccountRequest).GetId() != "sa_4zjq0v1r8k2m6c3t9xwp" {
			t.Error(got)
		}
	}
	server.answerSocial(nil, rpcError(codes.NotFound, "m", "SOCIAL_ACCOUNT_NOT_FOUND"))
	if r := send(t, "GET", g.url+accountsPath+"?id=sa_1", ""); r.status != 200 || r.body != `{"success":true,"data":[],`+end+`0,"count":0,"limit":100,"offset":0}` {
		t.Error(r)
	}
	for want, err := range map[int]error{
		403: rpcError(codes.PermissionDenied, "m", "ROLE_NOT_ALLOWED"),
		404: rpcError(codes.NotFound, "m", "ORGANIZATION_NOT_FOUND"),
	} {
		server.answerSocial(nil, err)
		if r := send(t, "GET", g.url+accountsPath+"?id=sa_1", ""); r.status != want {
			t.Error(r)
		}
	}
}

func TestCountIsToldWhereItIsKnown(t *testing.T) {
	some := []*authurlv1.SocialAccount{somePerson(), somePerson()}
	for want, l := range map[string]listing{
		`"count":7,"limit":100,"offset":0}`:  {&authurlv1.ListSocialAccountsResponse{Accounts: some, NextPageToken: "n", Total: proto.Int64(7)}, &authurlv1.ListSocialAccountsRequest{}},
		`"count":2,"limit":100,"offset":0}`:  {&authurlv1.ListSocialAccountsResponse{Accounts: some}, &authurlv1.ListSocialAccountsRequest{}},
		`"count":5,"limit":9,"offset":3}`:    {&authurlv1.ListSocialAccountsResponse{Accounts: some}, &authurlv1.ListSocialAccountsRequest{PageSize: 9, Offset: 3}},
		`"count":0,"limit":1000,"offset":0}`: {&authurlv1.ListSocialAccountsResponse{}, &authurlv1.ListSocialAccountsRequest{PageSize: 2000}},
		// There are more; or it is not the first page; or so many as are passed over need not be there.
		`"count":null,"limit":100,"offset":0}`: {&authurlv1.ListSocialAccountsResponse{Accounts: some, NextPageToken: "n"}, &authurlv1.ListSocialAccountsRequest{}},
		`"count":null,"limit":2,"offset":0}`:   {&authurlv1.ListSocialAccountsResponse{Accounts: some}, &authurlv1.ListSocialAccountsRequest{PageToken: "t", PageSize: 2}},
		`"count":null,"limit":100,"offset":3}`: {&authurlv1.ListSocialAccountsResponse{}, &authurlv1.ListSocialAccountsRequest{Offset: 3}},
	} {
		got, err := envelope{}.Marshal(l)
		if err != nil || !json.Valid(got) || !strings.HasSuffix(string(got), want) {
			t.Errorf("%v %s", err, got)
		}
	}
}

func TestBodiesAboutSocialAccounts(t *testing.T) {
	for body, want := range map[string]string{
		`{"selectedPageIds":["a","b"]}`:                 `{"choiceIds":["a","b"]}`,
		`{"choice_ids":["a"],"session_binding":"b"}`:    `{"choiceIds":["a"],"sessionBinding":"b"}`,
		`{"choiceIds":["a"],"sessionBinding":""}`:       `{"choiceIds":["a"],"sessionBinding":""}`,
		`{"selectedPageIds":[` + items(maxItems) + `]}`: `{"choiceIds":[` + items(maxItems) + `]}`,
	} {
		var got, expected authurlv1.FinalizePendingConnectionRequest
		if faults := decoded(t, body, &got); faults != "" {
			t.Errorf("%.60s: %s", body, faults)
		}
		if err := protojson.Unmarshal([]byte(want), &expected); err != nil || !proto.Equal(&got, &expected) {
			t.Errorf("%.60s: %v %v", body, err, &got)
		}
	}
	for body, want := range map[string]string{
		`{"selectedPageIds":["a"],"choice_ids":["b"]}`: `{"choice_ids":{"_errors":["Is given more than once"]}}`,
		`{"selectedPageIds":"a"}`:                      `{"choice_ids":{"_errors":["Expected array, received string"]}}`,
		`{"selected_page_ids":["a"]}`:                  `{"_errors":["Unknown field \"selected_page_ids\""]}`,
		`{"choice_ids":[1]}`:                           `{"choice_ids":{"0":{"_errors":["Expected string, received number"]}}}`,
	} {
		if got := decoded(t, body, &authurlv1.FinalizePendingConnectionRequest{}); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
	for text, want := range map[string]*durationpb.Duration{
		`"900s"`: durationpb.New(900 * time.Second), `"1.5s"`: durationpb.New(1500 * time.Millisecond), `"0s"`: {}, `"-1s"`: durationpb.New(-time.Second),
		`900`: nil, `"900"`: nil, `"15m"`: nil, `""`: nil, `"s"`: nil, `" 1s"`: nil, `"1e3s"`: nil, `"999999999999999s"`: nil, `null`: nil, `{"seconds":900}`: nil, `"\u00001s"`: nil,
	} {
		var got authurlv1.CreateTenantTokenRequest
		faults := decoded(t, `{"ttl":`+text+`}`, &got)
		if want == nil && !strings.HasPrefix(faults, `{"ttl":{"_errors":["Expected s`) || want != nil && (faults != "" || !proto.Equal(got.Ttl, want)) {
			t.Errorf("%s: %s %v", text, faults, got.Ttl)
		}
	}
	if got := decoded(t, `{"actions":["ACTION_CONNECT","LIST"]}`, &authurlv1.CreateTenantTokenRequest{}); got !=
		`{"actions":{"1":{"_errors":["Expected one of ACTION_CONNECT, ACTION_LIST, ACTION_FINALIZE, ACTION_DISCONNECT, received \"LIST\""]}}}` {
		t.Error(got)
	}
}

func items(n int) string { return strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") }

func TestErrorsOfSocialAccountsKeepTheirCode(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for _, test := range []struct {
		err    error
		status int
		body   string
	}{
		{rpcError(codes.InvalidArgument, "m", "STATE_INVALID"), 400, `{"success":false,"error":"Invalid payload","message":"m","code":"STATE_INVALID"}`},
		{rpcError(codes.InvalidArgument, "m", "RESPONSE_INVALID"), 400, `{"success":false,"error":"Invalid payload","message":"m","code":"RESPONSE_INVALID"}`},
		{rpcError(codes.PermissionDenied, "m", "USER_DENIED"), 403, `{"success":false,"error":"Forbidden","message":"m","code":"USER_DENIED"}`},
		{rpcError(codes.FailedPrecondition, "m", "STATE_EXPIRED"), 409, `{"success":false,"error":"Conflict","message":"m","code":"STATE_EXPIRED"}`},
		{rpcError(codes.Aborted, "m", "COMPLETION_IN_PROGRESS"), 409, `{"success":false,"error":"Conflict","message":"m","code":"COMPLETION_IN_PROGRESS"}`},
		{rpcError(codes.ResourceExhausted, "m", "RATE_LIMITED"), 429, `{"success":false,"error":"Too many requests","message":"m","code":"RATE_LIMITED"}`},
		{rpcError(codes.Unavailable, "m", "NETWORK_UNAVAILABLE"), 503, `{"success":false,"error":"Service unavailable","message":"m","code":"NETWORK_UNAVAILABLE"}`},
	} {
		server.answerSocial(nil, test.err)
		_, before := server.last()
		r := send(t, "POST", g.url+accountsPath+":complete", `{"response":"code=c"}`, "Content-Type", jsonType)
		if r.status != test.status || r.body != test.body {
			t.Errorf("%v: %v", test.err, r)
		}
		// A code goes to the network once.
		if _, after := server.last(); after != before+1 {
			t.Errorf("%v: it was sent %d times", test.err, after-before)
		}
	}
	server.answerSocial(nil, rpcError(codes.NotFound, "m", "SESSION_NOT_FOUND"))
	if r := send(t, "GET", g.url+pendingPath, ""); r.status != 404 || !strings.Contains(r.body, `"code":"SESSION_NOT_FOUND"`) {
		t.Error(r)
	}
	// A network that can't be reached is not asked again by way of a read.
	server.answerSocial(nil, rpcError(codes.Unavailable, "m", "NETWORK_UNAVAILABLE"))
	_, before := server.last()
	send(t, "GET", g.url+accountsPath+"/sa_1", "")
	if _, after := server.last(); after != before+1 {
		t.Errorf("it was asked %d times", after-before)
	}
}

func TestPendingConnectionsNeedNoKey(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	server.answerSocial(&authurlv1.GetPendingConnectionResponse{Pending: someChoice()}, nil)
	for _, authorization := range []string{"", bearer(testKey), bearer(testToken), "Basic eDp5", "nonsense"} {
		r := send(t, "GET", g.url+pendingPath+"?scope=a&authuser=0&session_token=other", "", "Authorization", authorization, "X-Org-Id", "é", "Origin", "https://anywhere.example")
		if r.status != 200 || strings.Contains(r.body, sessionToken) {
			t.Errorf("%q: %v", authorization, r)
		}
		if got, _ := server.last(); got.(*authurlv1.GetPendingConnectionRequest).GetSessionToken() != sessionToken {
			t.Error(got)
		}
		if len(server.metadata.Get("authorization"))+len(server.metadata.Get("x-org-id")) > 0 {
			t.Error(server.metadata)
		}
	}
	// A stranger's body is not read, nor waited for.
	answer := exchangeRaw(t, g, "GET "+pendingPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{")
	if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Error(answer)
	}
	_, before := server.last()
	for _, call := range [][2]string{{"POST", finalizePath}, {"GET", accountsPath}, {"GET", accountsPath + "/pending"}, {"GET", accountsPath + "/pending/health"}, {"DELETE", accountsPath}, {"GET", accountsPath + "/sa_1"},
		{"DELETE", accountsPath + "/sa_1"}, {"GET", accountsPath + "/sa_1/health"}, {"POST", accountsPath + "/sa_1/access-token"}, {"POST", accountsPath + ":complete"},
		{"POST", "/v1/auth-responses:open"}, {"GET", "/v1/auth-flows/a"}, {"POST", "/v1/tenant-tokens"}} {
		if r := send(t, call[0], g.url+call[1], "", "Authorization", ""); r.status != 401 {
			t.Errorf("%s: %v", call, r)
		}
	}
	if _, after := server.last(); after != before {
		t.Errorf("%d of them reached the server", after-before)
	}
}

func TestTokensOfTenantsAreSentLikeKeys(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	long := "aut_" + strings.Repeat("a", 1000)
	for _, token := range []string{testToken, long} {
		if r := send(t, "GET", g.url+accountsPath, "", "Authorization", bearer(token)); r.status != 200 {
			t.Error(r)
		}
		if got := server.metadata.Get("authorization"); len(got) != 1 || got[0] != bearer(token) {
			t.Errorf("%q", got)
		}
	}
	for _, token := range []string{"aut_", "aut_short", long + "a", testToken + ".", testToken + " x", "AUT_" + testToken[4:], "aus_" + testToken[4:], sessionToken} {
		if r := send(t, "GET", g.url+accountsPath, "", "Authorization", bearer(token)); r.status != 401 || !strings.Contains(r.body, "API_KEY_INVALID") {
			t.Errorf("%s: %v", token, r)
		}
	}
}

func TestMethodsOfSocialAccounts(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	for _, test := range [][3]string{
		{"POST", accountsPath, "DELETE, GET"}, {"GET", accountsPath + ":complete", "POST"}, {"POST", accountsPath + "/sa_1", "DELETE, GET"}, {"POST", pendingPath, "GET"},
		{"GET", finalizePath, "POST"}, {"POST", accountsPath + "/sa_1/health", "GET"}, {"GET", accountsPath + "/sa_1/access-token", "POST"},
		{"GET", "/v1/auth-responses:open", "POST"}, {"POST", "/v1/auth-flows/a", "GET"}, {"GET", "/v1/auth-flows/a/finalize", "POST"}, {"GET", "/v1/tenant-tokens", "POST"},
	} {
		if r := send(t, test[0], g.url+test[1], ""); r.status != 405 || r.header.Get("Allow") != test[2] {
			t.Errorf("%v: %v", test, r)
		}
	}
}

func TestNoPathInTheLogHasACredential(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/social-accounts/sa_1/health":     "/v1/social-accounts/sa_1/health",
		pendingPath:                           accountsPath + "/pending/{session_token}",
		finalizePath:                          accountsPath + "/pending/{session_token}/finalize",
		pendingPath + "/":                     accountsPath + "/pending/{session_token}",
		pendingPath + "/x/finalize":           accountsPath + "/pending/{session_token}/finalize",
		accountsPath + "/pending//secret":     accountsPath + "/pending/{session_token}",
		"/pending/secret":                     "/pending/{session_token}",
		"/v1/Social-Accounts/" + sessionToken: "/v1/Social-Accounts/{credential}",
		"/v2/x" + testToken + "/" + testKey + "/" + sessionToken + "y":              "/v2/x{credential}/{credential}/{credential}",
		"/v1/social-networks/x/callback?code=secret":                                "/v1/social-networks/x/callback…",
		"/v1/social-networks/x/callback&code=secret":                                "/v1/social-networks/x/callback…",
		"/v1/social-networks/x/callback/code=secret":                                "/v1/social-networks/x/callback/code…",
		"/v1/social-networks/x/callback/AAAAAAAAAAAAAAAAAAAAAA":                     "/v1/social-networks/x/callback/AAAAAAAAAAAAAAAAAAAAAA",
		"/v1/social-accounts/PENDING/" + strings.Repeat("aus_", 2) + "secret-value": "/v1/social-accounts/PENDING/{credential}",
	} {
		if got := pathForLog(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	calls := 0
	for _, method := range []string{"GET", "POST", "PUT", "OPTIONS"} {
		for _, path := range []string{pendingPath, finalizePath, pendingPath + "/", pendingPath + "/x", pendingPath + ":x", "/v1/social-accounts/" + sessionToken, "/" + sessionToken,
			"/v1/social-networks/x/callback?code=" + sessionToken, "/v1/social-networks/x/callback%3Fcode=" + sessionToken} {
			send(t, method, g.url+path, "")
			calls++
		}
	}
	eventually(t, "all are logged", func() bool { return len(g.log.events("request")) == calls })
	if strings.Contains(g.log.String(), sessionToken[4:20]) {
		t.Error(g.log)
	}
	if want := fmt.Sprintf(`"path":%q`, accountsPath+"/pending/{session_token}/finalize"); !strings.Contains(g.log.String(), want) {
		t.Errorf("%s is not in %s", want, g.log)
	}
}
