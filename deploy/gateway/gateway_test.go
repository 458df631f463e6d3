package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

const (
	authURLPath = "/v1/social-networks/instagram/auth-url"
	explainPath = authURLPath + ":explain"
	batchPath   = "/v1/auth-urls:batch"
)

const authorization = "Authorization: Bearer " + testKey + "\r\n"

// exchangeRaw sends bytes and returns what comes back until the connection is closed.
func exchangeRaw(t *testing.T, g *gateway, text string) string {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(connection)
	return string(answer)
}

func expectEnvelope(t *testing.T, what string, r reply) {
	t.Helper()
	if !strings.HasPrefix(r.body, `{"success":false,"error":"`) || r.header.Get("Content-Type") != jsonType ||
		r.header.Get("Cache-Control") != "no-store" || !isRequestID(r.header.Get("X-Request-Id")) {
		t.Errorf("%s: not the envelope: %v", what, r)
	}
}

func TestBodiesOfCallsThatNeedNone(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	for _, path := range []string{authURLPath, explainPath, batchPath} {
		expectStrictBodies(t, g.url+path)
	}
}

func expectStrictBodies(t *testing.T, url string) {
	t.Helper()
	for _, test := range []struct {
		body, contentType string
		status            int
	}{
		{"", "", 200}, {"", jsonType, 200}, {"{}", jsonType, 200}, {" \n", jsonType, 200},
		{"{}", "application/json; charset=utf-8", 200}, {"{}", "Application/JSON", 200},
		{"{}", "", 415}, {"{}", "text/plain", 415}, {"a=b", "application/x-www-form-urlencoded", 415},
		{"", "application/x-www-form-urlencoded", 415}, {"{}", "application/json; charset=latin1", 415}, {"{}", "application/json;;", 415},
		{"nonsense", jsonType, 400}, {"[]", jsonType, 400}, {`{"network":"x"}`, jsonType, 400}, {`{"tenant_id":5}`, jsonType, 400},
		{`{"tenant_id":"` + strings.Repeat("a", maxBodyBytes) + `"}`, jsonType, 413},
		{`{"tenant_id":"` + strings.Repeat("a", maxBodyBytes-16) + `"}`, jsonType, 200},
	} {
		var headers []string
		if test.contentType != "" {
			headers = []string{"Content-Type", test.contentType}
		}
		r := send(t, "POST", url, test.body, headers...)
		if r.status != test.status {
			t.Errorf("%s: %.40q as %q: %v", url, test.body, test.contentType, r)
		}
		if r.status != 200 {
			expectEnvelope(t, test.body, r)
		}
	}
	r := send(t, "POST", url, "{}", "Content-Type", jsonType, "Content-Encoding", "gzip")
	if r.status != 415 {
		t.Error(r)
	}
	r = send(t, "POST", url, `{"tenant_id":5}`, "Content-Type", jsonType)
	if want := `{"success":false,"error":"Invalid payload","details":{"tenant_id":{"_errors":["Expected string, received number"]}}}`; r.body != want {
		t.Error(r.body)
	}
	r = send(t, "POST", url+"?tenant_id=a", "")
	if r.status != 400 {
		t.Error(r)
	}
}

func TestUnknownPathsAndTheirTricksReachNoHandler(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/social-networks", "/v1/social-networks/", "/v1/social-networks/instagram", "/v1/social-networks/instagram/",
		"/v1/social-networks/instagram/auth-url/", "/v1/social-networks/instagram/auth-url:explode", "/V1/social-networks/instagram/auth-url",
		"/v1;x/social-networks/instagram/auth-url", "/v1/social-networks/instagram/auth-url;x=y", "/v1/social-networks;/instagram/auth-url",
		"/v1/social-networks%2finstagram/auth-url", "/v1/social-networks/instagram%2Fauth-url", "/v1/social-networks/a%2f..%2finstagram/auth-url",
		"//v1/social-networks/instagram/auth-url", "/v1//social-networks/instagram/auth-url", "/v1/social-networks/instagram//auth-url",
		"/v1/./social-networks/instagram/auth-url", "/v1/x/../social-networks/instagram/auth-url", "/v1/x/..;/social-networks/instagram/auth-url",
		"/v1/x/%2e%2e/social-networks/instagram/auth-url", "/v1/social-networks/%2e/auth-url", "/v1/social-networks/../auth-url",
		"/v1/social-networks/instagram%00/auth-url", "/v1/social-networks/insta%0d%0agram/auth-url", "/v1/social-networks/instagram%5cauth-url",
		"/v1/social-networks/insta%255fgram/auth-url", "/v1/social-networks/%ff/auth-url", "/v1/social-networks/%c3/auth-url:explain", "/v1/api-keys/%ff", "/v1/organizations/%ed%a0%80", "/%ff", "/v1/social-networks/insta%3bgram/auth-url", "/v1/social-networks%2f/auth-url",
		"/v1/social-networks/instagram/auth-url:", "/v1/social-networks/instagram/auth-url::explain", "/v1/social-networks/instagram/auth-url:Explain",
		"/v1/social-networks/instagram/auth-url:explain:explain", "/v1/social-networks/instagram/auth-url:batch", "/v1/social-networks/instagram/:explain",
		"/v1/social-networks/instagram/auth-url:explain/", "/v1/social-networks/instagram/auth-url/:explain", "/v1/social-networks/instagram/auth-url%253Aexplain",
		"/v1/social-networks/instagram%2Fauth-url:explain", "/v1/social-networks/instagram/auth-url:explain;x=y", "/v1/social-networks/../auth-url:explain",
		"/v1/social-networks//auth-url:explode", "/v1/social-networks//:explain", "/v1/auth-urls", "/v1/auth-urls:", "/v1/auth-urls:explain", "/v1/auth-urls/:batch",
		"/v1/auth-urls:batch:batch", "/v1/auth-urls:batch/", "/v1/auth-urls:batch/x", "/v1/auth-urls%2F:batch", "/v1/:batch", "/:batch", "/v1//auth-urls:batch",
		"/v1/networks/", "/v1/networks/x", "/v1/networks:", "/v1/networks:list",
		"/healthz/", "/%68ealthz", "/docs/x", "/authurl.v1.AuthUrlService/GetAuthUrl", "*", "http://other.example/v1/social-networks/instagram/auth-url",
	} {
		answer := exchangeRaw(t, g, "POST "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		if strings.HasPrefix(path, "/v1/social-networks/instagram") && strings.HasPrefix(answer, "HTTP/1.1 405 ") {
			continue // A GET could be answered there.
		}
		if !strings.HasPrefix(answer, "HTTP/1.1 404 ") || !strings.HasSuffix(answer, `"code":"PATH_NOT_FOUND"}`) {
			t.Errorf("%s: %s", path, answer)
		}
	}
	if server.seen() != 0 {
		t.Errorf("%d of them reached the server", server.seen())
	}
}

func TestAMissingOrOddNetworkIsTheServersToName(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for i, path := range []string{"/v1/social-networks//auth-url", "/v1/social-networks/Insta%20gram/auth-url", "/v1/social-networks/a:b/auth-url"} {
		if r := send(t, "POST", g.url+path, ""); r.status != 200 {
			t.Error(r)
		}
		want := []string{"", "Insta gram", "a:b"}[i]
		if got := server.requests[i].(*authurlv1.GetAuthUrlRequest).Network; got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestAColonIsPartOfTheNetworkOrBeginsTheVerb(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	get := func(network string) proto.Message { return &authurlv1.GetAuthUrlRequest{Network: network} }
	explain := func(network string) proto.Message { return &authurlv1.ExplainAuthUrlRequest{Network: network} }
	for path, want := range map[string]proto.Message{
		explainPath:                                         explain("instagram"),
		authURLPath + "%3Aexplain":                          explain("instagram"),
		authURLPath + "%3aexplain":                          explain("instagram"),
		"/v1/social-networks//auth-url:explain":             explain(""),
		"/v1/social-networks/a:explain/auth-url:explain":    explain("a:explain"),
		"/v1/social-networks/Insta%20gram/auth-url:explain": explain("Insta gram"),
		"/v1/social-networks/auth-url:explain/auth-url":     get("auth-url:explain"),
		"/v1/social-networks/instagram%3Aexplain/auth-url":  get("instagram:explain"),
		batchPath:               &authurlv1.BatchGetAuthUrlsRequest{},
		"/v1/auth-urls%3Abatch": &authurlv1.BatchGetAuthUrlsRequest{},
	} {
		if r := send(t, "POST", g.url+path, ""); r.status != 200 {
			t.Errorf("%s: %v", path, r)
			continue
		}
		if got := server.requests[server.seen()-1].(proto.Message); !proto.Equal(got, want) {
			t.Errorf("%s: %T %v", path, got, got)
		}
	}
}

func TestBodiesOfExplainAndBatchReachTheServer(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	const fields = `"redirect_uri":"https://a/","tenantId":"t","scopes":["a","b"],"force_account_selection":false,"login_hint":"l","instance":"i","session_binding":"s","configuration":"c","return_uri":"https://b/","returnState":"r"`
	for i, path := range []string{explainPath, batchPath} {
		body, request := "{"+fields+"}", proto.Message(&authurlv1.ExplainAuthUrlRequest{Network: "instagram"})
		if path == batchPath {
			body, request = `{"networks":["x","y"],`+fields+"}", &authurlv1.BatchGetAuthUrlsRequest{Networks: []string{"x", "y"}}
		}
		if r := send(t, "POST", g.url+path, body, "Content-Type", jsonType); r.status != 200 {
			t.Fatal(r)
		}
		same := proto.Clone(request)
		if err := (protojson.UnmarshalOptions{}).Unmarshal([]byte("{"+fields+"}"), same); err != nil {
			t.Fatal(err)
		}
		proto.Merge(same, request)
		if got := server.requests[i].(proto.Message); !proto.Equal(got, same) {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestABatchSucceedsWhateverItsResultsAre(t *testing.T) {
	long := strings.Repeat("a", 60_000)
	server := &fakeServer{results: []*authurlv1.BatchGetAuthUrlsResponse_Result{
		batchError("x", "", rpcError(codes.Unavailable, "m", "STORAGE_UNAVAILABLE")), batchError("y", "", rpcError(codes.NotFound, "m", "NETWORK_NOT_CONFIGURED")),
	}}
	for range 98 {
		server.results = append(server.results, batchURL("z", "", &authurlv1.GetAuthUrlResponse{AuthUrl: "https://z/" + long}))
	}
	g := startGateway(t, "--upstream="+server.start(t))
	r := send(t, "POST", g.url+batchPath, "")
	const opening = `{"success":true,"data":[{"network":"x","social_network_id":"","configuration_name":"","success":false,"error":"Internal server error","message":"Database connection failed","code":"STORAGE_UNAVAILABLE"},` +
		`{"network":"y","social_network_id":"","configuration_name":"","success":false,"error":"Not found","message":"m","code":"NETWORK_NOT_CONFIGURED"},{"network":"z","social_network_id":"","configuration_name":"","success":true,"auth_url":"https://z/a`
	if r.status != 200 || !strings.HasPrefix(r.body, opening) || strings.Count(r.body, long) != 98 {
		t.Errorf("%d %.500s", r.status, r.body)
	}
	if r.header.Get("Retry-After") != "" || r.header.Get("Cache-Control") != "no-store" {
		t.Error(r.header)
	}
}

func TestOtherMethodsAre405WithWhatIsAllowed(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	for _, test := range [][3]string{
		{"GET", authURLPath, "POST"}, {"OPTIONS", authURLPath, "POST"}, {"PUT", "/v1/social-networks/x", "DELETE, GET, PATCH"},
		{"DELETE", "/v1/organizations", "GET, POST"}, {"TRACE", "/v1/api-keys", "GET, POST"}, {"FOO", "/v1/api-keys/x", "DELETE"},
		{"GET", explainPath, "POST"}, {"PUT", "/v1/social-networks//auth-url:explain", "POST"}, {"PATCH", batchPath, "POST"}, {"GET", "/v1/auth-urls%3Abatch", "POST"},
		{"POST", "/v1/networks", "GET"}, {"POST", "/v1/social-networks/:explain", "DELETE, GET, PATCH"}, {"POST", "/v1/social-networks/x:explain", "DELETE, GET, PATCH"},
		{"POST", "/healthz", "GET, HEAD"}, {"DELETE", "/docs", "GET, HEAD"},
	} {
		r := send(t, test[0], g.url+test[1], "")
		if r.status != 405 || r.header.Get("Allow") != test[2] {
			t.Errorf("%v: %v", test, r)
		}
		expectEnvelope(t, test[1], r)
	}
	// Browsers are told nothing that would let a page of another site call.
	r := send(t, "OPTIONS", g.url+authURLPath, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
	if r.status != 405 {
		t.Error(r)
	}
	for name := range r.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("the reply has %s", name)
		}
	}
	// No way around by a header or a form.
	r = send(t, "POST", g.url+authURLPath, "", "X-HTTP-Method-Override", "GET")
	if r.status != 200 {
		t.Error(r)
	}
	r = send(t, "POST", g.url+"/v1/api-keys/x", "", "Content-Type", "application/x-www-form-urlencoded", "X-HTTP-Method-Override", "DELETE")
	if r.status != 405 {
		t.Error(r)
	}
}

func TestHeadersGoThroughOnlyAsAgreed(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	r := send(t, "POST", g.url+authURLPath, "", "Authorization", bearer(testKey), "X-Org-Id", "acme", "X-Request-Id", "my-id.1",
		"Grpc-Metadata-X-Org-Id", "evil", "Grpc-Metadata-Authorization", "Bearer evil", "Grpc-Timeout", "1n", "Grpc-Metadata-X-Bin", "!",
		"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil", "Cookie", "a=b", "X-Bin", "!", "TE", "trailers", "Authorization-Bin", "!", "Accept", "text/html")
	if r.status != 200 || r.header.Get("X-Request-Id") != "my-id.1" {
		t.Fatal(r)
	}
	for name := range r.header {
		switch name {
		case "Content-Type", "Content-Length", "Date", "Cache-Control", "X-Request-Id", "X-Content-Type-Options":
		default:
			t.Errorf("the reply has %s", name)
		}
	}
	for name, values := range server.metadata {
		switch name {
		case ":authority", "content-type", "user-agent", "grpc-accept-encoding":
		case "authorization", "x-org-id", "x-request-id":
			want := map[string]string{"authorization": bearer(testKey), "x-org-id": "acme", "x-request-id": "my-id.1"}[name]
			if len(values) != 1 || values[0] != want {
				t.Errorf("%s: %q", name, values)
			}
		default:
			t.Errorf("the server sees %s: %q", name, values)
		}
	}
	// An id that is unfit for a log is replaced.
	server.metadata = nil
	r = send(t, "POST", g.url+authURLPath, "", "X-Request-Id", "a b")
	if id := r.header.Get("X-Request-Id"); len(id) != 32 || server.metadata.Get("x-request-id")[0] != id {
		t.Errorf("%q", id)
	}
	if got := server.metadata.Get("authorization"); len(got) != 1 || got[0] != bearer(testKey) {
		t.Error("the key of an earlier request was sent")
	}
}

func TestAKeyIsAskedForBeforeTheBodyIsRead(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for header, want := range map[string]string{
		"":                    `"message":"Send your API key in the header Authorization: Bearer auk_…","code":"API_KEY_MISSING"}`,
		"Authorization: \r\n": `"code":"API_KEY_INVALID"}`,
		"Authorization: Basic " + testKey + "\r\n":                          `"code":"API_KEY_INVALID"}`,
		"Authorization: Bearer " + testKey[1:] + "\r\n":                     `"code":"API_KEY_INVALID"}`,
		"Authorization: Bearer " + testKey + "x\r\n":                        `"code":"API_KEY_INVALID"}`,
		"Authorization: Bearer a" + testKey[1:] + "\xff\r\n":                `"code":"API_KEY_INVALID"}`,
		"Authorization: Bearer " + testKey[:63] + "-" + "x\r\n":             `"code":"API_KEY_INVALID"}`,
		authorization + authorization:                                       `"There is more than one header Authorization: send one","code":"API_KEY_INVALID"}`,
		"Authorization: Bearer " + testKey + ", Bearer " + testKey + "\r\n": `"code":"API_KEY_INVALID"}`,
	} {
		// Of the body, not one byte comes.
		started := time.Now()
		answer := exchangeRaw(t, g, "POST "+authURLPath+" HTTP/1.1\r\nHost: x\r\n"+header+"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 401 ") || !strings.HasSuffix(answer, want) || !strings.Contains(answer, `{"success":false,"error":"Unauthorized",`) {
			t.Errorf("%q: %s", header, answer)
		}
		if !strings.Contains(answer, "\r\nConnection: close\r\n") || time.Since(started) > 5*time.Second {
			t.Errorf("%q: the connection was held for %s", header, time.Since(started))
		}
	}
	// The answer does not wait for the body.
	connection, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	started := time.Now()
	_, _ = io.WriteString(connection, "POST "+authURLPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
	if _, err := connection.Read(make([]byte, 1)); err != nil || time.Since(started) > unreadBodyTime/2 {
		t.Error(err, time.Since(started))
	}
	// Who sends it all the same can read the answer.
	r := send(t, "POST", g.url+authURLPath, strings.Repeat(" ", 200_000), "Authorization", "", "Content-Type", jsonType)
	if r.status != 401 {
		t.Error(r)
	}
	for _, call := range [][2]string{{"GET", "/v1/networks"}, {"DELETE", "/v1/api-keys/x"}, {"PATCH", "/v1/social-networks/x"}, {"POST", batchPath}} {
		if r := send(t, call[0], g.url+call[1], "", "Authorization", ""); r.status != 401 || r.header.Get("WWW-Authenticate") == "" {
			t.Error(r)
		}
	}
	for _, keyless := range []string{"/healthz", "/readyz", "/docs", "/docs/errors", "/openapi.yaml", "/openapi.json"} {
		if r := send(t, "GET", g.url+keyless, "", "Authorization", ""); r.status != 200 {
			t.Errorf("%s: %v", keyless, r)
		}
	}
	if server.seen() != 0 {
		t.Errorf("%d of them reached the server", server.seen())
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  ", "Bearer     "} {
		if r := send(t, "POST", g.url+authURLPath, "", "Authorization", scheme+testKey); r.status != 200 {
			t.Error(r)
		}
	}
}

func TestAnOrganisationThatMetadataCannotCarryIsNotDropped(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for _, name := range []string{"a\tb", "é"} {
		r := send(t, "POST", g.url+authURLPath, "", "X-Org-Id", name)
		if r.status != 400 || !strings.Contains(r.body, `{"x-org-id":{"_errors":["must be `) {
			t.Error(r)
		}
	}
	if server.seen() != 0 {
		t.Error("the call was made without it")
	}
}

func TestListsTakeBothSpellingsOfTheirParameters(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for i, query := range []string{"page_size=7&page_token=t&org_id=o", "pageSize=7&pageToken=t&orgId=o"} {
		if r := send(t, "GET", g.url+"/v1/api-keys?"+query, ""); r.status != 200 {
			t.Fatal(r)
		}
		if got := server.requests[i].(*authurlv1.ListApiKeysRequest); got.PageSize != 7 || got.PageToken != "t" || got.GetOrgId() != "o" {
			t.Error(got)
		}
	}
	for query, want := range map[string]string{
		"page_size=x":              `{"page_size":{"_errors":["Expected a whole number from -2147483648 to 2147483647, received \"x\""]}}`,
		"pageSize=99999999999":     `{"page_size":{"_errors":["Expected a whole number from -2147483648 to 2147483647, received \"99999999999\""]}}`,
		"page_size=1&pageSize=1":   `{"page_size":{"_errors":["Is given more than once"]}}`,
		"page_size=1&page_size=2":  `{"page_size":{"_errors":["Is given more than once"]}}`,
		"a=1&page_token[x]=1":      `{"_errors":["Unknown query parameter \"a\"","Unknown query parameter \"page_token[x]\""]}`,
		"page_token=%ff":           `{"page_token":{"_errors":["Expected text in UTF-8, received \"` + "\ufffd" + `\""]}}`,
		"%ff=1":                    `{"_errors":["Unknown query parameter \"` + "\ufffd" + `\""]}`,
		"%zz=1":                    `{"_errors":["invalid URL escape \"%zz\""]}`,
		"page_size=1;page_token=x": `{"_errors":["invalid semicolon separator in query"]}`,
	} {
		r := send(t, "GET", g.url+"/v1/api-keys?"+query, "")
		if r.body != `{"success":false,"error":"Invalid payload","details":`+want+"}" || r.status != 400 {
			t.Errorf("%s: %v", query, r)
		}
	}
	for _, path := range []string{"/v1/social-networks", "/v1/organizations", "/v1/organizations/acme/api-keys", "/v1/api-keys"} {
		if r := send(t, "GET", g.url+path+"?nonsense=1", ""); r.status != 400 || !strings.Contains(r.body, `Unknown query parameter \"nonsense\"`) {
			t.Errorf("%s: %v", path, r)
		}
	}
	for _, call := range [][2]string{{"GET", "/v1/networks"}, {"GET", "/v1/social-networks/x"}, {"DELETE", "/v1/organizations/x"},
		{"DELETE", "/v1/organizations/x/api-keys/y"}} {
		r := send(t, call[0], g.url+call[1]+"?page_size=1", "")
		if r.status != 400 || r.body != `{"success":false,"error":"Invalid payload","details":{"_errors":["There are no query parameters here"]}}` {
			t.Errorf("%s: %v", call, r)
		}
	}
	// What the path says, the query can't change.
	if r := send(t, "GET", g.url+"/v1/organizations/acme/api-keys?org_id=other", ""); r.status != 400 {
		t.Error(r)
	}
}

func TestAServerThatIsDownIsToldWithinASecond(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.Addr().String()
	closed.Close()
	// Takes connections and says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, address := range []string{refusing, silent.Addr().String(), "unix:/nowhere/socket", "no-such-host.invalid:1"} {
		g := startGateway(t, "--upstream="+address)
		for range 3 {
			started := time.Now()
			r := send(t, "POST", g.url+authURLPath, "")
			if took := time.Since(started); took > time.Second {
				t.Errorf("%s: %s", address, took)
			}
			if r.status != 503 || r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"code":"UPSTREAM_UNAVAILABLE"`) {
				t.Errorf("%s: %v", address, r)
			}
			expectEnvelope(t, address, r)
		}
		if r := send(t, "GET", g.url+"/healthz", ""); r.status != 200 {
			t.Error(r)
		}
		if r := send(t, "GET", g.url+"/readyz", ""); r.status != 503 {
			t.Error(r)
		}
	}
}

func TestAServerThatComesBackIsFound(t *testing.T) {
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := front.Addr().String()
	front.Close()
	g := startGateway(t, "--upstream="+address)
	if r := send(t, "POST", g.url+authURLPath, ""); r.status != 503 {
		t.Fatal(r)
	}
	server := startServer(t)
	server.terminate(t)
	_, _ = server.process.Process.Wait()
	server.start(t, address)
	eventually(t, "it is found", func() bool { return send(t, "GET", g.url+"/readyz", "").status == 200 })
}

func TestASlowServerIsADeadline(t *testing.T) {
	server := &fakeServer{answer: func(ctx context.Context, _ *authurlv1.GetAuthUrlRequest) (*authurlv1.GetAuthUrlResponse, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}}
	g := startGateway(t, "--upstream="+server.start(t), "--upstream_timeout=200ms")
	r := send(t, "POST", g.url+authURLPath, "")
	if want := `{"success":false,"error":"Gateway timeout","message":"The authurl server took too long; try again","code":"DEADLINE_EXCEEDED"}`; r.status != 504 || r.body != want {
		t.Error(r)
	}
}

func TestARefusedCallThatChangesNothingIsMadeAgain(t *testing.T) {
	calls := 0
	server := &fakeServer{}
	server.answer = func(context.Context, *authurlv1.GetAuthUrlRequest) (*authurlv1.GetAuthUrlResponse, error) {
		if calls++; calls < 3 {
			return nil, status.Error(codes.Unavailable, "leaving")
		}
		return &authurlv1.GetAuthUrlResponse{}, nil
	}
	g := startGateway(t, "--upstream="+server.start(t))
	if r := send(t, "POST", g.url+authURLPath, ""); r.status != 200 || calls != 3 {
		t.Error(r, calls)
	}
}

func TestAPanicIsAnInternalErrorAndIsLogged(t *testing.T) {
	log := &logBuffer{}
	handler := withExchange(newLog(log, 0), nil, new(atomic.Bool), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") }))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if recorder.Code != 500 || strings.Contains(recorder.Body.String(), "oops") || len(log.events("panic")) != 1 {
		t.Error(recorder.Code, recorder.Body, log)
	}
}

func TestWhatIsNoHTTPGetsTheEnvelopeToo(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	large := "X-Large: " + strings.Repeat("a", 9000) + "\r\n"
	for request, want := range map[string]string{
		"nonsense\r\n\r\n":                                                                               "400 Bad Request",
		"GET /healthz HTTP/1.1\r\n\r\n":                                                                  "400 Bad Request",
		"GET /healthz HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n":                                           "400 Bad Request",
		"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n":                                                       "505 HTTP Version Not Supported",
		"GET /healthz HTTP/1.1\r\nHost: x\r\n" + large + "\r\n":                                          "431 Request Header Fields Too Large",
		"POST " + authURLPath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n":                "501 Not Implemented",
		"POST " + authURLPath + " HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\n\r\n":                       "417 Expectation Failed",
		"POST " + authURLPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": "400 Bad Request",
	} {
		answer := exchangeRaw(t, g, request)
		response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
		if err != nil {
			t.Errorf("%.60q: %v: %q", request, err, answer)
			continue
		}
		body, _ := io.ReadAll(response.Body)
		if response.Status != want && !strings.HasPrefix(want, "505") {
			t.Errorf("%.60q: %s", request, response.Status)
		}
		expectEnvelope(t, request[:8], reply{response.StatusCode, response.Header, string(body)})
	}
	// On a connection that had a good reply too.
	answer := exchangeRaw(t, g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.HasSuffix(answer, `"details":{"_errors":["The request is not valid HTTP"]}}`) {
		t.Error(answer)
	}
	header := "X-Large: " + strings.Repeat("a", 7000) + "\r\n"
	if answer := exchangeRaw(t, g, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+header+"\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("7 KB of header: %.100s", answer)
	}
}

// countReplies reads replies from a connection to the last byte of each and returns an error where one is not followed by
// the beginning of the next, or by the connection's end.
func countReplies(from io.Reader) (int, error) {
	in := bufio.NewReader(from)
	for n := 0; ; n++ {
		if _, err := in.Peek(1); err != nil {
			return n, nil
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return n, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.ContentLength != int64(len(body)) {
			return n, fmt.Errorf("%d bytes of %d: %v", len(body), response.ContentLength, err)
		}
	}
}

// net/http hands a reply on in pieces of 4,096 bytes, so with the right length of a header anything that a reply quotes
// can come to stand where a piece begins.
func TestNoReplyHasMoreBytesThanItSays(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	const requests, kinds = 10_000, 4
	for _, status := range []string{"417 x", "431 x", "400 x", "100 Continue"} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(time.Minute))
		go func() {
			out := bufio.NewWriter(connection)
			for i := range requests / kinds {
				var body strings.Builder
				for j := range 31 {
					fmt.Fprintf(&body, `,"HTTP/1.1 %s%s%d":1`, status, strings.Repeat("\\u0001", i/64%20), j)
				}
				end := []string{"", "Connection: close\r\n"}[(i+1)/(requests/kinds)]
				fmt.Fprintf(out, "POST %s HTTP/1.1\r\nHost: x\r\n%s%sX-Request-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{%s}",
					authURLPath, authorization, end, strings.Repeat("i", 1+i%64), body.Len()+1, body.String()[1:])
			}
			_ = out.Flush()
		}()
		if n, err := countReplies(connection); n != requests/kinds || err != nil {
			t.Errorf("%s: after %d replies: %v", status, n, err)
		}
	}
}

func TestTheLogHasOneLineForEachRequestAndNoSecret(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	send(t, "POST", g.url+authURLPath, `{"login_hint":"canary"}`, "Authorization", bearer(testKey), "Content-Type", jsonType, "X-Request-Id", "mine")
	send(t, "GET", g.url+"/v1/api-keys?page_token=canary", "", "Authorization", bearer(testKey))
	send(t, "GET", g.url+"/no%0Asuch", "")
	eventually(t, "three lines", func() bool { return len(g.log.events("request")) == 3 })
	if strings.Contains(g.log.String(), "canary") || strings.Contains(g.log.String(), testKey) {
		t.Error(g.log)
	}
	first := g.log.events("request")[0]
	if first["request_id"] != "mine" || first["path"] != authURLPath || first["status"] != 200.0 || first["level"] != "info" ||
		!strings.HasSuffix(fmt.Sprint(first["time"]), "Z") || first["microseconds"] == nil {
		t.Error(first)
	}
}
