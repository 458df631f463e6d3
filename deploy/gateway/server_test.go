package main

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var writeGolden = flag.Bool("write_golden", false, "write the golden files instead of comparing with them")

// What differs from call to call.
var masks = map[*regexp.Regexp]string{
	regexp.MustCompile(`state=[A-Za-z0-9_-]+`):                      "state=STATE",
	regexp.MustCompile(`code_challenge=[A-Za-z0-9_-]{43}`):          "code_challenge=CHALLENGE",
	regexp.MustCompile(`id":"sn_[A-Za-z0-9]+"`):                     `id":"ID"`,
	regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`): `"TIME"`,
	regexp.MustCompile(`"flow_id":"[A-Za-z0-9_-]+"`):                `"flow_id":"FLOW"`,
}

func masked(body string) string {
	for pattern, mask := range masks {
		body = pattern.ReplaceAllString(body, mask)
	}
	return body
}

// idIn finds the id of a configuration in a reply that has one of them.
func idIn(t *testing.T, body string) string {
	t.Helper()
	found := regexp.MustCompile(`"id":"(sn_[^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(found) != 1 {
		t.Fatalf("%d ids in %s", len(found), body)
	}
	return found[0][1]
}

// expectGolden compares a reply, byte for byte, with a file in testdata/golden.
func expectGolden(t *testing.T, name string, status int, got reply) {
	t.Helper()
	body := masked(got.body)
	file := filepath.Join("testdata/golden", name+".json")
	if *writeGolden {
		if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if body != string(want) || got.status != status {
		t.Errorf("%s: %d\n got %s\nwant %s", name, got.status, body, want)
	}
	if got.header.Get("Content-Type") != jsonType {
		t.Error(got.header)
	}
}

func TestSeedShapes(t *testing.T) {
	server := startServer(t)
	g := startGateway(t, "--upstream="+server.address)
	key := setUp(t, g, server.adminKey)
	headers := []string{"Authorization", bearer(key), "Content-Type", jsonType}

	expectGolden(t, "auth_url", 200, send(t, "POST", g.url+authURLPath, `{"redirect_uri":"https://app.example.com/cb","tenant_id":"customer_42"}`, headers...))
	expectGolden(t, "network_required", 400, send(t, "POST", g.url+"/v1/social-networks//auth-url", `{}`, headers...))
	expectGolden(t, "tenant_id_invalid", 400, send(t, "POST", g.url+authURLPath, `{"tenant_id":"no spaces","scopes":["a","b\"","b\""],"redirect_uri":""}`, headers...))
	expectGolden(t, "network_not_configured", 404, send(t, "POST", g.url+"/v1/social-networks/linkedin/auth-url", ``, headers...))
	expectGolden(t, "api_key_missing", 401, send(t, "POST", g.url+authURLPath, ``, "Authorization", ""))

	// The database goes away under the running server.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(server.database + suffix)
	}
	eventually(t, "the server notices", func() bool { return send(t, "GET", g.url+"/readyz", "").status == 503 })
	// What was asked for before is answered from the server's memory.
	broken := send(t, "POST", g.url+"/v1/social-networks/reddit/auth-url", `{}`, headers...)
	expectGolden(t, "database", 500, broken)
	if broken.header.Get("Retry-After") != "1" {
		t.Error(broken.header)
	}
}

func TestShapesOfExplainBatchAndNetworks(t *testing.T) {
	server := startServer(t, "--networks_file=testdata/networks.textproto")
	g := startGateway(t, "--upstream="+server.address)
	headers := []string{"Authorization", bearer(setUp(t, g, server.adminKey)), "Content-Type", jsonType}
	call := func(method, path, body string) reply {
		t.Helper()
		return send(t, method, g.url+path, body, headers...)
	}
	path := func(network string) string { return "/v1/social-networks/" + network + "/auth-url" }

	expectGolden(t, "variant_unknown", 400, call("POST", "/v1/social-networks", `{"network":"test_full","client_key":"k","client_secret":"s","variant":"none"}`))
	full := call("POST", "/v1/social-networks", `{"network":"test_full","client_key":"k","client_secret":"s","variant":"page",
		"extra_params":{"config_id":"42"},"variables":{"version":"v2"},"default_redirect_uri":"https://app.example.com/cb"}`)
	expectGolden(t, "social_network", 200, full)
	expectGolden(t, "social_network_instance", 200, call("POST", "/v1/social-networks", `{"network":"test_instances","client_key":"k","client_secret":"s","instance":"i.example.com"}`))
	expectGolden(t, "networks", 200, someNetworks(t, call("GET", "/v1/networks", ""), "test_full", "test_instances", "test_closed"))

	expectGolden(t, "explain", 200, call("POST", path("test_full")+":explain", `{"tenant_id":"customer_42","force_account_selection":true,"login_hint":"a@example.com"}`))
	// Explaining has the errors of the call that it explains.
	expectGolden(t, "network_required", 400, call("POST", path("")+":explain", ""))
	expectGolden(t, "tenant_id_invalid", 400, call("POST", explainPath, `{"tenant_id":"no spaces","scopes":["a","b\"","b\""],"redirect_uri":""}`))
	expectGolden(t, "network_not_configured", 404, call("POST", path("linkedin")+":explain", ""))
	expectGolden(t, "api_key_missing", 401, send(t, "POST", g.url+explainPath, "", "Authorization", ""))

	// In the order of their ids, which are random.
	every := masked(call("POST", batchPath, "").body)
	const ofAll = `"social_network_id":"ID","configuration_name":"",`
	for _, holds := range []string{`"network":"instagram",` + ofAll + `"success":true,`, `"network":"test_full",` + ofAll + `"success":true,`,
		`"network":"test_instances","instance":"i.example.com",` + ofAll + `"success":false,`} {
		if strings.Count(every, `"network":`) != 3 || !strings.Contains(every, holds) {
			t.Errorf("%s is not in %s", holds, every)
		}
	}
	expectGolden(t, "batch_invalid", 400, call("POST", batchPath, `{"networks":["x","x"],"tenant_id":"no spaces","instance":"a b"}`))
	const others = `"instance":"i.example.com","redirect_uri":"https://app.example.com/cb?a=b"`
	batch := call("POST", batchPath, `{"networks":["test_instances","test_full","linkedin","test_closed","No network"],`+others+`}`)
	expectGolden(t, "batch", 200, batch)
	// So have the results of a batch.
	for network, body := range map[string]string{"test_full": `{"redirect_uri":"https://app.example.com/cb?a=b"}`, "linkedin": "", "test_closed": "", "No network": ""} {
		alone := call("POST", path(strings.ReplaceAll(network, " ", "%20")), body)
		id := map[string]string{"test_full": idIn(t, full.body)}[network]
		want := `{"network":"` + network + `","social_network_id":"` + id + `","configuration_name":"",` + strings.TrimPrefix(alone.body, "{")
		if alone.status == 200 || !strings.Contains(batch.body, want) {
			t.Errorf("not in the batch: %s", want)
		}
	}
}

func TestSeveralConfigurationsOfOneNetwork(t *testing.T) {
	server := startServer(t)
	g := startGateway(t, "--upstream="+server.address)
	// One of Instagram, without a name.
	headers := []string{"Authorization", bearer(setUp(t, g, server.adminKey)), "Content-Type", jsonType}
	call := func(method, path, body string) reply {
		t.Helper()
		return send(t, method, g.url+path, body, headers...)
	}
	create := func(members string) reply {
		t.Helper()
		return call("POST", "/v1/social-networks", `{"client_secret":"s","default_redirect_uri":"https://app.example.com/cb",`+members+`}`)
	}
	// Client keys tell the apps apart.
	expectApp := func(key, body string) {
		t.Helper()
		if r := call("POST", authURLPath, body); r.status != 200 || !strings.Contains(r.body, "?client_id="+key+"&") {
			t.Errorf("%s: %v", body, r)
		}
	}

	brandA := create(`"network":"instagram","client_key":"key-a","name":"brand_a"`)
	expectGolden(t, "social_network_named", 200, brandA)
	brandB := create(`"network":"instagram","client_key":"key-b","name":"brand_b"`)
	a, b := idIn(t, brandA.body), idIn(t, brandB.body)
	expectGolden(t, "social_network_exists", 409, create(`"network":"instagram","client_key":"1"`))
	expectGolden(t, "social_network_exists_named", 409, create(`"network":"instagram","client_key":"1","name":"brand_a"`))
	expectGolden(t, "name_invalid", 400, create(`"network":"instagram","client_key":"1","name":"Brand A"`))

	expectApp("1234", ``)
	expectApp("key-a", `{"configuration":"brand_a"}`)
	expectApp("key-b", `{"configuration":"brand_b"}`)
	expectApp("key-a", `{"configuration":"`+a+`"}`)
	for _, test := range [][2]string{{"brand_b", "brand_b"}, {b, "brand_b"}} {
		want := `"social_network_id":"` + b + `","configuration_name":"` + test[1] + `",`
		if r := call("POST", explainPath, `{"configuration":"`+test[0]+`"}`); r.status != 200 || !strings.Contains(r.body, want) {
			t.Errorf("%s: %v", test[0], r)
		}
	}
	expectGolden(t, "configuration_unknown", 404, call("POST", authURLPath, `{"configuration":"brand_c"}`))
	expectGolden(t, "configuration_unknown", 404, call("POST", explainPath, `{"configuration":"brand_c"}`))
	expectGolden(t, "configuration_invalid", 400, call("POST", authURLPath, `{"configuration":""}`))

	expectGolden(t, "is_default_invalid", 400, call("PATCH", "/v1/social-networks/"+b, `{"is_default":false}`))
	for i, spelling := range []string{"is_default", "isDefault"} {
		id, key := []string{b, a}[i], []string{"key-b", "key-a"}[i]
		if r := call("PATCH", "/v1/social-networks/"+id, `{"`+spelling+`":true}`); r.status != 200 || !strings.Contains(r.body, `"is_default":true,"allowed_return_uris":[],`) {
			t.Error(r)
		}
		expectApp(key, ``)
	}
	if list := call("GET", "/v1/social-networks", "").body; strings.Count(list, `"network":"instagram"`) != 3 ||
		strings.Count(list, `"is_default":true`) != 1 || !strings.Contains(list, `"name":"brand_a","is_default":true,`) {
		t.Error(list)
	}

	linkedin := idIn(t, create(`"network":"linkedin","client_key":"key-b","name":"brand_b"`).body)
	if r := call("PATCH", "/v1/social-networks/"+linkedin, `{"update_mask":"default_redirect_uri"}`); r.status != 200 {
		t.Error(r)
	}
	// A URL; an error of a configuration that was found; an error of one that was not.
	batch := call("POST", batchPath, `{"networks":["instagram","linkedin","reddit"],"configuration":"brand_b"}`)
	expectGolden(t, "batch_named", 200, batch)
	for _, id := range []string{b, linkedin} {
		if !strings.Contains(batch.body, `"social_network_id":"`+id+`"`) {
			t.Errorf("%s is not in %v", id, batch)
		}
	}
	every := call("POST", batchPath, "").body
	for _, holds := range []string{`"configuration_name":"","success":true,`, `"configuration_name":"brand_a","success":true,`, `"configuration_name":"brand_b","success":true,`,
		`"social_network_id":"` + linkedin + `","configuration_name":"brand_b","success":false,`} {
		if strings.Count(every, `"network":`) != 4 || !strings.Contains(every, holds) {
			t.Errorf("%s is not in %s", holds, every)
		}
	}
	expectGolden(t, "batch_configuration_alone", 400, call("POST", batchPath, `{"configuration":"brand_b"}`))

	// What was the default before is so again.
	if r := call("DELETE", "/v1/social-networks/"+a, ""); r.status != 200 {
		t.Error(r)
	}
	expectApp("key-b", ``)
	if r := call("PATCH", "/v1/social-networks/"+b, `{"name":"brand_a"}`); r.status != 200 || !strings.Contains(r.body, `"name":"brand_a"`) {
		t.Error(r)
	}
	expectApp("key-b", `{"configuration":"brand_a"}`)
	expectGolden(t, "social_network_exists", 409, call("PATCH", "/v1/social-networks/"+b, `{"name":""}`))
}

func TestAKeyThatMintsExplainsAndLists(t *testing.T) {
	server := startServer(t)
	g := startGateway(t, "--upstream="+server.address)
	setUp(t, g, server.adminKey)
	made := send(t, "POST", g.url+"/v1/organizations/acme/api-keys", `{"role":"ROLE_MINT"}`, "Authorization", bearer(server.adminKey), "Content-Type", jsonType)
	key := regexp.MustCompile(`"key":"(auk_[^"]+)"`).FindStringSubmatch(made.body)[1]
	for path, method := range map[string]string{explainPath: "POST", batchPath: "POST", "/v1/networks": "GET"} {
		if r := send(t, method, g.url+path, "", "Authorization", bearer(key)); r.status != 200 || !strings.Contains(r.body, "instagram") {
			t.Error(r)
		}
		if r := send(t, method, g.url+path, "", "Authorization", bearer(server.adminKey)); r.status != 403 || !strings.Contains(r.body, `"code":"ROLE_NOT_ALLOWED"`) {
			t.Error(r)
		}
	}
}

// someNetworks is the reply with these networks only: the catalog grows.
func someNetworks(t *testing.T, all reply, ids ...string) reply {
	t.Helper()
	var list struct{ Data []json.RawMessage }
	if err := json.Unmarshal([]byte(all.body), &list); err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, network := range list.Data {
		var named struct{ ID string }
		if err := json.Unmarshal(network, &named); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(ids, named.ID) {
			kept = append(kept, string(network))
		}
	}
	all.body = `{"success":true,"data":[` + strings.Join(kept, ",") + `]}`
	return all
}

func TestEveryCallOfTheAPIOverREST(t *testing.T) {
	server := startServer(t)
	g := startGateway(t, "--upstream="+server.address)
	key := setUp(t, g, server.adminKey)
	org := []string{"Authorization", bearer(key), "Content-Type", jsonType}
	admin := []string{"Authorization", bearer(server.adminKey), "Content-Type", jsonType}
	call := func(status int, holds, method, path, body string, headers []string) string {
		t.Helper()
		r := send(t, method, g.url+path, body, headers...)
		if r.status != status || !strings.Contains(r.body, holds) {
			t.Errorf("%s %s %s: %v", method, path, body, r)
		}
		return r.body
	}
	networks := call(200, `"data":[{"id":"sn_`, "GET", "/v1/social-networks", "", org)
	if !strings.HasSuffix(networks, `,"next_page_token":"","unreadable_ids":[]}`) {
		t.Error(networks)
	}
	id := idIn(t, networks)
	call(409, `"SOCIAL_NETWORK_EXISTS"`, "POST", "/v1/social-networks", `{"network":"instagram","client_key":"1","client_secret":"2"}`, org)
	call(400, `{"client_key":{"_errors":["Required"]},"client_secret":{"_errors":["Required"]}`, "POST", "/v1/social-networks", `{"network":"linkedin"}`, org)
	call(400, `"extra_params":{"state":{"_errors":[`, "POST", "/v1/social-networks", `{"network":"linkedin","client_key":"1","client_secret":"2","extra_params":{"state":"x"}}`, org)
	call(200, `"network":"instagram"`, "GET", "/v1/social-networks/"+id, "", org)
	changed := call(200, `"client_key":"new"`, "PATCH", "/v1/social-networks/"+id, `{"client_key":"new"}`, org)
	updatedAt := regexp.MustCompile(`"updated_at":"[^"]+"`).FindString(changed)
	for _, nothing := range []string{"{}", "", `{"client_key":"new"}`} {
		call(200, updatedAt, "PATCH", "/v1/social-networks/"+id, nothing, org)
	}
	call(200, `"scopes":["a","b"],"extra_params":{"c":"d"}`, "PATCH", "/v1/social-networks/"+id, `{"scopes":["a","b"],"extra_params":{"c":"d"}}`, org)
	call(200, `"scopes":[],"extra_params":{"c":"d"}`, "PATCH", "/v1/social-networks/"+id, `{"scopes":[]}`, org)
	call(200, `"client_key":"newer","default_redirect_uri":"https://app.example.com/cb","allowed_redirect_uris":[],"scopes":[],"extra_params":{}`,
		"PATCH", "/v1/social-networks/"+id, `{"client_key":"newer","extra_params":{}}`, org)
	call(400, `"update_mask":{"_errors":["Has 30001 names; there are only 16 fields"]}`, "PATCH", "/v1/social-networks/"+id, `{"update_mask":"`+strings.Repeat("a,", 30_000)+`a"}`, org)
	call(200, `"default_redirect_uri":"",`, "PATCH", "/v1/social-networks/"+id, `{"update_mask":"default_redirect_uri"}`, org)
	call(409, `"NO_REDIRECT_URI"`, "POST", authURLPath, "", org)
	call(409, `"NO_REDIRECT_URI"`, "POST", explainPath, "", org)
	call(200, `"code":"NO_REDIRECT_URI"}]}`, "POST", batchPath, "", org)
	for _, variant := range []string{"", "none"} {
		call(400, `{"variant":{"_errors":[`, "PATCH", "/v1/social-networks/"+id, `{"variant":"`+variant+`"}`, org)
	}
	call(200, `"allowed_return_uris":["https://app.example.com/connected"],"default_return_uri":"https://app.example.com/","session_binding_policy":"SESSION_BINDING_POLICY_REQUIRED","return_profile":true`,
		"PATCH", "/v1/social-networks/"+id, `{"allowedReturnUris":["https://app.example.com/connected"],"default_return_uri":"https://app.example.com/","sessionBindingPolicy":"SESSION_BINDING_POLICY_REQUIRED","return_profile":true}`, org)
	call(400, `{"session_binding":{"_errors":["Required by the configuration's session_binding_policy"]}}`, "POST", authURLPath, "", org)
	call(400, `{"session_binding_policy":{"_errors":["Expected one of SESSION_BINDING_POLICY_OPTIONAL, SESSION_BINDING_POLICY_REQUIRED`,
		"PATCH", "/v1/social-networks/"+id, `{"session_binding_policy":"REQUIRED"}`, org)
	call(200, `"allowed_return_uris":[],"default_return_uri":"","session_binding_policy":"SESSION_BINDING_POLICY_OPTIONAL","return_profile":false`,
		"PATCH", "/v1/social-networks/"+id, `{"update_mask":"allowed_return_uris,default_return_uri,session_binding_policy,returnProfile"}`, org)
	call(200, `"variant":"facebook_login"`, "PATCH", "/v1/social-networks/"+id, `{"variant":"facebook_login"}`, org)
	call(200, `"variant":""`, "PATCH", "/v1/social-networks/"+id, `{"update_mask":"variant"}`, org)
	call(404, `"SOCIAL_NETWORK_NOT_FOUND"`, "GET", "/v1/social-networks/sn_nothing", "", org)
	call(403, `"ROLE_NOT_ALLOWED"`, "GET", "/v1/organizations", "", org)
	call(200, `{"success":true,"message":"The social network was deleted"}`, "DELETE", "/v1/social-networks/"+id, "", org)

	call(409, `"ORGANIZATION_EXISTS"`, "POST", "/v1/organizations", `{"org_id":"acme"}`, admin)
	call(200, `"data":[{"org_id":"acme"`, "GET", "/v1/organizations", "", admin)
	call(400, `{"role":{"_errors":["Expected one of ROLE_ORG, ROLE_MINT, received \"ROLE_ADMIN\""]}}`,
		"POST", "/v1/organizations/acme/api-keys", `{"role":"ROLE_ADMIN"}`, admin)
	call(200, `"next_page_token":"","unreadable_ids":[]}`, "GET", "/v1/organizations", "", admin)
	call(200, `"display_name":"Acme Ltd"`, "PATCH", "/v1/organizations/acme", `{"display_name":"Acme Ltd"}`, admin)
	call(200, `"display_name":"Acme Ltd"`, "PATCH", "/v1/organizations/acme", "", admin)
	call(200, `{"success":true,"data":{"org_id":"acme","display_name":"Acme Ltd","created_at":"`, "GET", "/v1/organizations/acme", "", admin)
	call(200, `"display_name":""`, "PATCH", "/v1/organizations/acme", `{"display_name":""}`, admin)
	call(404, `"ORGANIZATION_NOT_FOUND"`, "GET", "/v1/organizations/other", "", admin)
	call(404, `"ORGANIZATION_NOT_FOUND"`, "PATCH", "/v1/organizations/other", "{}", admin)
	first := call(200, `"next_page_token":"A`, "GET", "/v1/api-keys?page_size=1", "", admin)
	token := regexp.MustCompile(`"next_page_token":"([^"]+)"`).FindStringSubmatch(first)[1]
	call(200, `"next_page_token":"","unreadable_ids":[]}`, "GET", "/v1/api-keys?pageSize=1&pageToken="+token, "", admin)
	call(400, `{"page_size":{"_errors":["must not be negative"]}}`, "GET", "/v1/api-keys?page_size=-1", "", admin)
	service := call(200, `"role":"ROLE_SERVICE"`, "POST", "/v1/api-keys", `{"role":"ROLE_SERVICE","display_name":"caller"}`, admin)
	serviceKey := regexp.MustCompile(`"key":"(auk_[^"]+)"`).FindStringSubmatch(service)[1]
	call(200, `"data":[]`, "GET", "/v1/social-networks", "", []string{"Authorization", bearer(serviceKey), "X-Org-Id", "acme"})
	call(404, `"ORGANIZATION_NOT_FOUND"`, "GET", "/v1/social-networks", "", []string{"Authorization", bearer(serviceKey), "X-Org-Id", "other"})
	call(400, `{"x-org-id":{"_errors":["Required with a key of role ROLE_SERVICE: the organisation that it acts for"]}}`,
		"GET", "/v1/social-networks", "", []string{"Authorization", bearer(serviceKey)})
	serviceID := strings.Split(serviceKey, "_")[1]
	call(200, `{"success":true,"message":"The API key was revoked"}`, "DELETE", "/v1/api-keys/"+serviceID, "", admin)
	keyID := strings.Split(key, "_")[1]
	call(200, `"key_id":"`+keyID+`"`, "GET", "/v1/organizations/acme/api-keys", "", admin)
	call(200, `"message":"The API key was revoked"`, "DELETE", "/v1/organizations/acme/api-keys/"+keyID, "", admin)
	call(401, `"API_KEY_INVALID"`, "GET", "/v1/social-networks", "", org)
	call(404, `"API_KEY_NOT_FOUND"`, "DELETE", "/v1/api-keys/nothing", "", admin)
	call(200, `{"success":true,"message":"The organisation was deleted"}`, "DELETE", "/v1/organizations/acme", "", admin)
	// It is gone at once; its id is free when all that it left is removed.
	call(200, `"data":[],"next_page_token"`, "GET", "/v1/organizations", "", admin)
	call(404, `"ORGANIZATION_NOT_FOUND"`, "DELETE", "/v1/organizations/acme", "", admin)
	eventually(t, "the id is free", func() bool {
		r := send(t, "POST", g.url+"/v1/organizations", `{"org_id":"acme"}`, admin...)
		if r.status != 200 && (r.status != 409 || !strings.HasSuffix(r.body, `"code":"ORGANIZATION_BEING_DELETED"}`)) {
			t.Fatal(r)
		}
		return r.status == 200
	})

	// The same name in both logs.
	send(t, "GET", g.url+"/v1/organizations", "", "Authorization", bearer(server.adminKey), "X-Request-Id", "in-both-logs")
	for _, log := range []*logBuffer{g.log, server.log} {
		eventually(t, "both logs name the request", func() bool { return strings.Contains(log.String(), `"request_id":"in-both-logs"`) })
	}
	if strings.Contains(g.log.String(), "auk_") {
		t.Error("the gateway's log has a key in it")
	}
}

func TestEventsWebhooksAndTheExport(t *testing.T) {
	server := startServer(t)
	g := startGateway(t, "--upstream="+server.address)
	org := []string{"Authorization", bearer(setUp(t, g, server.adminKey)), "Content-Type", jsonType}
	admin := []string{"Authorization", bearer(server.adminKey), "Content-Type", jsonType}
	call := func(status int, holds, method, path, body string, headers []string) string {
		t.Helper()
		r := send(t, method, g.url+path, body, headers...)
		if r.status != status || !strings.Contains(r.body, holds) {
			t.Errorf("%s %s %s: %v", method, path, body, r)
		}
		return r.body
	}
	const nothing = `{"success":true,"data":[],"nextAfter":"","hasMore":false,"unreadable":0}`
	call(200, nothing, "GET", "/v1/events?types=account.connected,account.updated&tenantId=t", "", org)
	started := time.Now()
	call(200, nothing, "GET", "/v1/events?wait=1", "", org)
	if took := time.Since(started); took < 900*time.Millisecond {
		t.Errorf("it waited for %s", took)
	}
	call(400, `{"wait":{"_errors":[`, "GET", "/v1/events?wait=16", "", org)
	call(400, `{"page_size":{"_errors":["must not be negative"]}}`, "GET", "/v1/events?limit=-1", "", org)

	made := call(200, `"url":"https://receiver.invalid/authurl","event_types":["account.connected"],"description":"ours","enabled":true,"disabled_reason":"",`,
		"POST", "/v1/webhooks", `{"url":"https://receiver.invalid/authurl","event_types":["account.connected"],"description":"ours"}`, org)
	secret := regexp.MustCompile(`"secret":"(whsec_[A-Za-z0-9+/]{43}=)"`)
	first, id := secret.FindStringSubmatch(made), regexp.MustCompile(`"id":"(wh_[^"]+)"`).FindStringSubmatch(made)
	if first == nil || id == nil {
		t.Fatal(made)
	}
	path := "/v1/webhooks/" + id[1]
	for _, shown := range []string{"/v1/webhooks", path} {
		if body := call(200, id[1], "GET", shown, "", org); strings.Contains(body, "whsec_") {
			t.Error(body)
		}
	}
	call(400, `{"url":{"_errors":[`, "POST", "/v1/webhooks", `{"url":"http://receiver.invalid/"}`, org)
	call(200, `"event_types":["account.updated"],"description":"ours"`, "PATCH", path, `{"event_types":["account.updated"]}`, org)
	call(200, `"event_types":[],"description":"theirs"`, "PATCH", path, `{"eventTypes":[],"description":"theirs"}`, org)
	call(200, `"enabled":false,"disabled_reason":"DISABLED_BY_CALLER"`, "PATCH", path, `{"enabled":false}`, org)
	call(200, `"delivered":false,"http_status":0,`, "POST", path+"/test", "", org)
	call(200, `"enabled":true,"disabled_reason":""`, "PATCH", path, `{"enabled":true}`, org)
	call(404, `"EVENT_NOT_FOUND"`, "POST", path+"/replay", `{"eventIds":["ev_000643f1a2b3c4d5"]}`, org)
	second := secret.FindStringSubmatch(call(200, `"old_secret_expires_at":"`, "POST", path+"/rotate-secret", `{"overlap":"3600s"}`, org))
	if second == nil || second[1] == first[1] {
		t.Error("the secret is the same")
	}
	call(200, `{"success":true,"message":"The webhook was deleted"}`, "DELETE", path, "", org)
	call(404, `"WEBHOOK_NOT_FOUND"`, "GET", path, "", org)

	call(400, `{"accounts":{"_errors":[`, "POST", "/v1/social-accounts:import", "", org)
	call(403, `"ROLE_NOT_ALLOWED"`, "GET", "/v1/social-accounts:export", "", org)
	reader := call(200, `"read_tokens":true`, "POST", "/v1/organizations/acme/api-keys", `{"role":"ROLE_ORG","read_tokens":true}`, admin)
	readerKey := regexp.MustCompile(`"key":"(auk_[^"]+)"`).FindStringSubmatch(reader)[1]
	call(200, `{"success":true,"data":[],"next_page_token":"","unreadable_ids":[]}`, "GET", "/v1/social-accounts:export?tenantId=t", "", []string{"Authorization", bearer(readerKey)})
	for _, path := range []string{"/v1/events", "/v1/webhooks", "/v1/social-accounts:export"} {
		call(403, `"ROLE_NOT_ALLOWED"`, "GET", path, "", admin)
	}
	for _, log := range []*logBuffer{g.log, server.log} {
		if strings.Contains(log.String(), "whsec_") {
			t.Error("a secret of a webhook is in a log")
		}
	}
}

func TestAUnixSocketToTheServer(t *testing.T) {
	server := startServer(t)
	server.terminate(t)
	_, _ = server.process.Process.Wait()
	server.start(t, "unix:"+server.folder+"/socket")
	g := startGateway(t, "--upstream=unix:"+server.folder+"/socket")
	if r := send(t, "GET", g.url+"/readyz", ""); r.status != http.StatusOK {
		t.Error(r)
	}
}
