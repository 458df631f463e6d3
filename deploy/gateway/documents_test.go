package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestTheDocumentIsServedAsYAMLAndAsJSON(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	asYAML := send(t, "GET", g.url+"/openapi.yaml", "")
	if asYAML.status != 200 || asYAML.body != string(openAPI) || asYAML.header.Get("Content-Type") != "application/yaml" {
		t.Error(asYAML.status)
	}
	asJSON := send(t, "GET", g.url+"/openapi.json", "")
	if asJSON.status != 200 || asJSON.header.Get("Content-Type") != jsonType {
		t.Error(asJSON.status)
	}
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(openAPI, &fromYAML); err != nil {
		t.Fatal(err)
	}
	// Numbers are of other types there.
	text, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(text, &fromYAML) != nil || json.Unmarshal([]byte(asJSON.body), &fromJSON) != nil || !reflect.DeepEqual(fromYAML, fromJSON) {
		t.Error("openapi.json is not what openapi.yaml is")
	}
	if !strings.HasPrefix(asJSON.body, `{"openapi":"3.1.0","info":{"title":"authurl",`) {
		t.Errorf("members are not in their order: %.100s", asJSON.body)
	}
}

// get asks as browsers do, and for nothing that the transport would undo.
func get(t *testing.T, url, encodings, tag string) reply {
	t.Helper()
	headers := []string{"Accept-Encoding", encodings}
	if tag != "" {
		headers = append(headers, "If-None-Match", tag)
	}
	return send(t, "GET", url, "", headers...)
}

func unpacked(t *testing.T, body string) string {
	t.Helper()
	reader, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentsAreSentOnceAndCompressed(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	for _, path := range []string{"/openapi.yaml", "/openapi.json", "/docs", "/docs/errors"} {
		plain, packed := get(t, g.url+path, "identity", ""), get(t, g.url+path, "deflate, gzip;q=0.5", "")
		if plain.header.Get("Content-Encoding") != "" || packed.header.Get("Content-Encoding") != "gzip" || unpacked(t, packed.body) != plain.body {
			t.Errorf("%s: %v, %v", path, plain.header, packed.header)
		}
		if refused := get(t, g.url+path, "gzip;q=0, *", ""); refused.body != plain.body {
			t.Errorf("%s: %v", path, refused.header)
		}
		for encoding, first := range map[string]reply{"identity": plain, "gzip": packed} {
			tag := first.header.Get("ETag")
			if first.header.Get("Cache-Control") != "no-cache" || tag == "" || first.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: %v", path, first.header)
			}
			if again := get(t, g.url+path, encoding, `"other", W/`+tag); again.status != 304 || again.body != "" || again.header.Get("ETag") != tag {
				t.Errorf("%s: %v", path, again)
			}
			if changed := get(t, g.url+path, encoding, `"other"`); changed.status != 200 {
				t.Errorf("%s: %v", path, changed)
			}
		}
		if plain.header.Get("ETag") == packed.header.Get("ETag") {
			t.Errorf("%s: both forms have the same tag", path)
		}
		if head := send(t, "HEAD", g.url+path, "", "Accept-Encoding", "identity"); head.status != 200 || head.body != "" ||
			head.header.Get("Content-Length") != plain.header.Get("Content-Length") {
			t.Errorf("%s: %v", path, head)
		}
	}
}

// What /docs loads is there, keeps for good, and is not much. extra.gateway_reference looks at it in a browser.
func TestTheReferenceLoadsFromHereOnly(t *testing.T) {
	if len(renderer) == 0 {
		t.Skip("the gateway was built without npm")
	}
	if size := len(renderer); size > 1_600_000 {
		t.Errorf("the renderer is %d bytes compressed", size)
	}
	g := startGateway(t, "--upstream="+new(fakeServer).start(t))
	page := get(t, g.url+"/docs", "identity", "")
	policy := page.header.Get("Content-Security-Policy")
	for _, never := range []string{"'unsafe-eval'", "script-src 'self' 'unsafe-inline'", "http", "*"} {
		if strings.Contains(policy, never) {
			t.Errorf("the policy is %s", policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; ") || strings.Contains(page.body, "<script>") ||
		strings.Contains(page.body, "<style") || strings.Contains(page.body, "//") {
		t.Errorf("%s\n%s", policy, page.body)
	}
	assets := regexp.MustCompile(`(?:src|href)="(docs/[a-z]+-[0-9a-f]{16}\.[a-z]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(assets) != 3 {
		t.Fatalf("%d in %s", len(assets), page.body)
	}
	for _, asset := range assets {
		packed, plain := get(t, g.url+"/"+asset[1], "gzip", ""), get(t, g.url+"/"+asset[1], "identity", "")
		if packed.status != 200 || packed.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || packed.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d %v", asset[1], packed.status, packed.header)
		}
		if want := unpacked(t, packed.body); plain.body != want && (plain.body != packed.body || !strings.HasPrefix(want, "/*! scalar-api-reference-")) {
			t.Errorf("%s is something else without gzip", asset[1])
		}
	}
}

func TestWithoutRendererThePageSaysSo(t *testing.T) {
	kept := renderer
	defer func() { renderer = kept }()
	renderer = nil
	documents, err := newReference()
	if err != nil {
		t.Fatal(err)
	}
	page := documents["/docs"]
	for _, word := range []string{`href="openapi.yaml"`, `href="docs/errors"`, "deploy/gateway/build.sh"} {
		if !strings.Contains(string(page.plain), word) {
			t.Errorf("the page does not have %s", word)
		}
	}
	if page.policy != plainPolicy || strings.Contains(string(page.plain), "<script") {
		t.Error(page.policy)
	}
}

// Who tries a call on the page of the reference sends a key from a browser; no other page may.
func TestAKeyMayBeTriedOnTheReferenceOnly(t *testing.T) {
	server := new(fakeServer)
	g := startGateway(t, "--upstream="+server.start(t))
	try := func(headers ...string) reply {
		return send(t, http.MethodPost, g.url+authURLPath, "{}", append(headers, "Content-Type", jsonType)...)
	}
	for _, headers := range [][]string{
		{"Origin", g.url, "Referer", g.url + "/docs"},
		{"Origin", g.url, "Referer", g.url + "/docs", "Sec-Fetch-Site", "same-origin"},
		{"Origin", "https://auth.example.com", "Referer", "https://auth.example.com/connect/docs", "Sec-Fetch-Site", "same-origin"},
	} {
		if r := try(headers...); r.status != 200 {
			t.Errorf("%s: %v", headers, r)
		}
	}
	before := server.seen()
	for _, headers := range [][]string{
		{"Origin", g.url},
		{"Origin", g.url, "Referer", g.url + "/"},
		{"Origin", g.url, "Referer", g.url + "/app?from=/docs"},
		{"Origin", g.url, "Referer", g.url + "/docs/errors"},
		{"Origin", g.url, "Referer", g.url + "/docs", "Sec-Fetch-Site", "cross-site"},
		{"Origin", g.url, "Referer", g.url + "/docs", "Sec-Fetch-Site", "same-site"},
		{"Origin", g.url, "Referer", "https://other.example/docs", "Sec-Fetch-Site", "same-origin"},
		{"Origin", "https://other.example", "Referer", "https://other.example/docs"},
		{"Origin", "null", "Referer", "null/docs"},
		{"Origin", g.url, "Origin", g.url, "Referer", g.url + "/docs"},
		{"Origin", g.url, "Referer", g.url + "/docs", "Referer", g.url + "/docs"},
	} {
		if r := try(headers...); r.status != 403 || !strings.Contains(r.body, "API_KEY_IN_BROWSER") {
			t.Errorf("%s: %v", headers, r)
		}
	}
	if server.seen() != before {
		t.Errorf("%d of them reached the server", server.seen()-before)
	}
}
