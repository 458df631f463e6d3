package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"authurl/deploy/gateway/gen/authurlv1"
)

const (
	hostedPath  = "/v1/social-networks/instagram/callback"
	contextPath = "/v1/social-networks/mastodon/callback/AbCdEfGhIjKlMnOpQrS-_0"
	formType    = "application/x-www-form-urlencoded"
)

type hostedReply = authurlv1.CompleteHostedAuthResponse

// comeBack makes the request of a browser that a network sent back: without a key, and following no redirect.
func comeBack(t *testing.T, g *gateway, method, path, body string, headers ...string) reply {
	t.Helper()
	return send(t, method, g.url+path, body, append([]string{"Authorization", ""}, headers...)...)
}

// expectPage makes sure that a reply is one of our pages, with the sentence and with nothing else of anybody's.
func expectPage(t *testing.T, what string, r reply, status int, language string, text sentence) {
	t.Helper()
	words := callbackWords[language]
	want := words.sentences[text]
	if !isOutcome[text] {
		want = fmt.Sprintf(words.failed, want)
	}
	shown := regexp.MustCompile(`<main><h1>(.*)</h1></main>`).FindStringSubmatch(r.body)
	if r.status != status || shown == nil || html.UnescapeString(shown[1]) != want || !strings.Contains(r.body, "<title>"+shown[1]+"</title>") {
		t.Errorf("%s: not %d %s: %v", what, status, want, r)
		return
	}
	if !strings.HasPrefix(r.body, "<!doctype html>\n<html lang=\""+language+"\">\n") || r.header.Get("Content-Language") != language {
		t.Errorf("%s: language %v", what, r)
	}
	style := regexp.MustCompile(`<style>([^<]*)</style>`).FindStringSubmatch(r.body)
	digest := sha256.Sum256([]byte(style[1]))
	for name, want := range map[string]string{
		"Content-Type":  "text/html; charset=utf-8",
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Language",
		"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %s: %q", what, name, got)
		}
	}
	if strings.Contains(strings.ToLower(r.body), "authurl") || strings.Contains(r.body, "script") || r.header.Get("Location") != "" || r.header.Get("Set-Cookie") != "" {
		t.Errorf("%s: %v", what, r)
	}
	for name := range r.header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Www-Authenticate" {
			t.Errorf("%s: the reply has %s", what, name)
		}
	}
}

func TestTheCallbackCarriesWhatCameAsItIs(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil)
	long := strings.Repeat("a", maxBodyBytes-5)
	for _, test := range []struct{ method, path, parameters, want string }{
		{"GET", hostedPath, "code=c&state=s", "code=c&state=s"},
		{"GET", contextPath, "state=s&code=4%2F0A+b&scope=a%20b&authuser=0&hd=example.com", "state=s&code=4%2F0A+b&scope=a%20b&authuser=0&hd=example.com"},
		{"GET", hostedPath, "", ""},
		// What is wrong with them is for the server to say.
		{"GET", hostedPath, "code=a&code=b&state=s&state=s", "code=a&code=b&state=s&state=s"},
		{"GET", hostedPath, "code=%zz&state=;&&=&%00&?", "code=%zz&state=;&&=&%00&?"},
		{"GET", hostedPath, "error_description=%3Cscript%3Ealert(1)%3C/script%3E'%0d%0aSet-Cookie:%20a=b", "error_description=%3Cscript%3Ealert(1)%3C/script%3E'%0d%0aSet-Cookie:%20a=b"},
		{"GET", hostedPath, "error_description=jos\xe9&state=s", "error_description=jos%E9&state=s"},
		{"GET", hostedPath, "error_description=josé", "error_description=josé"},
		{"GET", hostedPath, "error_description=%ff%C3", "error_description=%ff%C3"},
		{"POST", hostedPath, "code=c&state=s&user=%7B%22name%22%3A%7B%7D%7D", "code=c&state=s&user=%7B%22name%22%3A%7B%7D%7D"},
		{"POST", contextPath, "code=c\x00\r\n<&code=\xff\xfe", "code=c\x00\r\n<&code=%FF%FE"},
		{"POST", hostedPath, "", ""},
		{"POST", hostedPath, "code=" + long, "code=" + long},
	} {
		path, body, length := test.path, "", ""
		headers := "Authorization: Bearer evil\r\nX-Org-Id: evil\r\nOrigin: https://appleid.apple.com\r\nCookie: a=b\r\nX-Forwarded-For: 6.6.6.6\r\n"
		if test.method == "GET" {
			path += "?" + test.parameters
		} else {
			body, length = test.parameters, fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", formType, len(test.parameters))
		}
		answer := exchangeRaw(t, g, test.method+" "+path+" HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"+headers+length+"\r\n"+body)
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Errorf("%s %.100q: %s", test.method, test.parameters, answer)
			continue
		}
		want := &authurlv1.CompleteHostedAuthRequest{Path: test.path, Parameters: test.want, ClientAddress: "127.0.0.1"}
		if got, _ := server.last(); !proto.Equal(got.(proto.Message), want) {
			t.Errorf("%.100q: %.200v", test.parameters, got)
		}
		for _, secret := range []string{"evil", "alert", "Set-Cookie", "jos"} {
			if strings.Contains(answer, secret) {
				t.Errorf("%.100q: the reply has %s: %s", test.parameters, secret, answer)
			}
		}
		if len(server.metadata.Get("authorization"))+len(server.metadata.Get("x-org-id"))+len(server.metadata.Get("cookie")) > 0 {
			t.Error(server.metadata)
		}
	}
	// Pieces of unknown length.
	c := connect(t, g)
	c.write("POST " + hostedPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + formType + "; charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncode=\r\n1\r\nc\r\n0\r\n\r\n")
	if r := c.reply(); r.status != 200 {
		t.Error(r)
	}
	if got, _ := server.last(); got.(*authurlv1.CompleteHostedAuthRequest).GetParameters() != "code=c" {
		t.Error(got)
	}
}

func TestTheCallbackSendsTheBrowserOn(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	for location, isFit := range placesToGo {
		for _, outcome := range []authurlv1.CompleteHostedAuthResponse_Outcome{1, 2, 3} {
			server.answerSocial(&hostedReply{Location: location, Outcome: outcome, Reason: "USER_DENIED"}, nil)
			for _, method := range []string{"GET", "POST"} {
				r := comeBack(t, g, method, hostedPath+map[string]string{"GET": "?code=c"}[method], "", "Content-Type", formType)
				if !isFit {
					expectPage(t, location, r, 500, "en", away)
					continue
				}
				if r.status != 303 || r.body != "" || r.header.Get("Location") != location {
					t.Errorf("%q: %v", location, r)
				}
				for name, value := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Content-Length": "0", "Content-Type": ""} {
					if r.header.Get(name) != value {
						t.Errorf("%q: %s: %v", location, name, r)
					}
				}
			}
		}
	}
}

var placesToGo = map[string]bool{
	"https://app.example.com/connected?a=b&session=aus_1&flow_id=f": true,
	"https://app.example.com":                           true,
	"HTTPS://app.example.com/#":                         true,
	"http://127.0.0.1:5173/cb?error=user_denied":        true,
	"http://[::1]/":                                     true,
	"com.example.app:/cb?success=true":                  true,
	"fb123456://authorize?success=true":                 true,
	"myapp://connected?account_id=sa_1&account_id=sa_2": true,
	"https://app.example.com/\r\nSet-Cookie: a=b":       false,
	"https://app.example.com/\n":                        false,
	"https://app.example.com/\x00":                      false,
	"https://app.example.com/\x7f":                      false,
	"https://app.example.com/a b":                       false,
	"https://app.example.com/é":                         false,
	" https://app.example.com/":                         false,
	"/connected":                                        false,
	"//evil.example/":                                   false,
	"connected":                                         false,
	"?success=true":                                     false,
	"https:/app.example.com":                            false,
	"https:app.example.com":                             false,
	"https://":                                          false,
	"https:///evil.example":                             false,
	`https:\\evil.example`:                              false,
	`https:/\evil.example`:                              false,
	`myapp:\\x`:                                         false,
	"http://?a":                                         false,
	"javascript:alert(1)":                               false,
	"JavaScript://x/%0aalert(1)":                        false,
	"data:text/html,x":                                  false,
	"vbscript:x":                                        false,
	"file:///etc/passwd":                                false,
	"blob:https://x/1":                                  false,
	"intent://x#Intent;end":                             false,
	"view-source:https://x/":                            false,
	"about:blank":                                       false,
	"1app://x":                                          false,
	"my_app://x":                                        false,
	"myapp:":                                            false,
	"%68ttps://app.example.com":                         false,
}

func TestPagesSayHowItWentInEveryLanguage(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	reasons := map[string]sentence{"STATE_INVALID": unusable, "RESPONSE_INVALID": unusable, "ISSUER_MISMATCH": unusable, "SOMETHING_NEW": unusable, "": unusable, "<b>": unusable}
	for reason, text := range sentencesOfReasons {
		reasons[reason] = text
	}
	for language := range callbackWords {
		header := []string{"Accept-Language", language + ";q=0.9, xx"}
		server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil)
		expectPage(t, language, comeBack(t, g, "GET", hostedPath, "", header...), 200, language, connected)
		server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_NEEDS_CHOICE}, nil)
		expectPage(t, language, comeBack(t, g, "GET", hostedPath, "", header...), 200, language, choiceLeft)
		for reason, text := range reasons {
			server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_FAILED, Reason: reason}, nil)
			expectPage(t, language+" "+reason, comeBack(t, g, "GET", hostedPath, "", header...), 400, language, text)
		}
	}
	for _, unclear := range []*hostedReply{{}, {Outcome: 7}} {
		server.answerSocial(unclear, nil)
		expectPage(t, "unclear", comeBack(t, g, "GET", hostedPath, ""), 500, "en", away)
	}
}

func TestPagesAreCompleteAndEscaped(t *testing.T) {
	for language, words := range callbackWords {
		if strings.Count(words.failed, "%s") != 1 || !strings.HasSuffix(words.failed, "%s") {
			t.Errorf("%s: %q", language, words.failed)
		}
		seen := map[string]bool{}
		for i, text := range words.sentences {
			if end := text[max(0, len(text)-1):]; text == "" || strings.Contains(text, "%") || seen[text] || end != "." && !strings.HasSuffix(text, "。") {
				t.Errorf("%s: sentence %d is %q", language, i, text)
			}
			seen[text] = true
		}
	}
	for _, language := range []string{"en", "de", "fr", "es", "pt", "it", "nl", "pl", "ja", "zh-Hans"} {
		if callbackWords[language].failed == "" {
			t.Errorf("%s is missing", language)
		}
	}
	callbackWords["xx"] = words{failed: `"<%s`, sentences: [sentences]string{connected: `</title><script>alert('&')</script>`}}
	pages, err := newCallbackPages()
	delete(callbackWords, "xx")
	if err != nil {
		t.Fatal(err)
	}
	body := string(pages.bodies[pageKey{"xx", connected}])
	if strings.Contains(body, "<script") || strings.Count(body, `&lt;/title&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;`) != 2 {
		t.Error(body)
	}
	for _, name := range []string{"connected_en", "denied_de", "unusable_zh-Hans"} {
		word, language, _ := strings.Cut(name, "_")
		body := pages.bodies[pageKey{language, map[string]sentence{"connected": connected, "denied": denied, "unusable": unusable}[word]}]
		file := filepath.Join("testdata/golden", "callback_"+name+".html")
		if *writeGolden {
			if err := os.WriteFile(file, body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != string(body) {
			t.Errorf("%s: %v\n%s", name, err, body)
		}
	}
}

func TestTheLanguageIsTheOneLikedBest(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-AT": "de", "DE-at": "de", "fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5": "fr", "sv, da;q=0.8, pl;q=0.3": "pl",
		"en;q=0.5, ja": "ja", "de;q=0, nl;q=0.1": "nl", "*": "en", "xx": "en", "zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-TW": "zh-Hant", "zh-HK;q=0.9": "zh-Hant",
		"zh-Hant": "zh-Hant", "zh-Hans-TW": "zh-Hans", "zh-Hant-CN": "zh-Hant", "pt-BR,pt;q=0.9": "pt", "it ; q=0.4 , es ; q=0.8": "es", "de;q=2, fr;q=0.1": "fr",
		"de;q=x": "en", "de;level=1": "de", "fr;q=NaN, it": "it", ",,;;q,": "en", "-": "en", "en-GB, de": "en", "\xff, de;q=0.5": "de", "<script>": "en",
		strings.Repeat("de;q=0.1,", 800): "de",
	} {
		if got := languageFor([]string{header}); got != want {
			t.Errorf("%.60q: %s", header, got)
		}
	}
	if got := languageFor([]string{"xx", "fr"}); got != "fr" {
		t.Error(got)
	}
}

func TestWhatIsNoAnswerOfANetworkIsNotCarried(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t), "--read_timeout=1s")
	for _, method := range []string{"HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "FOO"} {
		r := comeBack(t, g, method, hostedPath+"?code=c&state=s", "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST")
		if method == "HEAD" {
			if r.status != 405 || r.body != "" {
				t.Error(r)
			}
		} else {
			expectPage(t, method, r, 405, "en", unusable)
		}
		if r.header.Get("Allow") != "GET, POST" {
			t.Error(r)
		}
	}
	for _, contentType := range []string{"", jsonType, "text/plain", "multipart/form-data; boundary=x", formType + "; charset=latin1", formType + ";;", "application/x-www-form-urlencoded-x"} {
		var headers []string
		if contentType != "" {
			headers = []string{"Content-Type", contentType}
		}
		expectPage(t, contentType, comeBack(t, g, "POST", hostedPath, "code=c", headers...), 415, "en", unusable)
	}
	expectPage(t, "gzip", comeBack(t, g, "POST", hostedPath, "code=c", "Content-Type", formType, "Content-Encoding", "gzip"), 415, "en", unusable)
	expectPage(t, "two types", comeBack(t, g, "POST", hostedPath, "code=c", "Content-Type", formType, "Content-Type", formType), 415, "en", unusable)
	expectPage(t, "large", comeBack(t, g, "POST", hostedPath, strings.Repeat("a", maxBodyBytes+1), "Content-Type", formType), 413, "en", unusable)
	head := "POST " + hostedPath + " HTTP/1.1\r\nHost: x\r\nAccept-Language: de\r\nContent-Type: " + formType + "\r\n"
	for _, body := range []string{
		"Content-Length: 70000\r\n\r\n", "Content-Length: 99999999999\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", 30_000, strings.Repeat("a", 30_000)), 3) + "0\r\n\r\n",
	} {
		c := connect(t, g)
		c.write(head + body)
		expectPage(t, "large", c.reply(), 413, "de", unusable)
	}
	c := connect(t, g)
	c.write(head + "Content-Length: 10\r\n\r\ncode=")
	expectPage(t, "slow", c.reply(), 408, "de", unusable)
	for _, path := range []string{
		"/v1/social-networks/x/callback/", "/v1/social-networks//callback", "/v1/social-networks/X/callback", "/v1/social-networks/x/Callback", "/v1/social-networks/x/callback/a/b",
		"/v1/social-networks/x/callback/" + strings.Repeat("a", 65), "/v1/social-networks/x/callback/a.b", "/v1/social-networks/%78/callback", "/v1/social-networks/x/callback%2Fa",
		"/v1/social-networks/x/callback%3Fcode=c", "/v1/social-networks/x/callback;a=b", "/v1/social-networks/../x/callback", "//v1/social-networks/x/callback", "/v1/social-networks/x/callback:a",
		"/v1/social-networks/" + strings.Repeat("x", 33) + "/callback", "http://other.example/v1/social-networks/x/callback",
	} {
		answer := exchangeRaw(t, g, "GET "+path+"?code=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 404 ") || !strings.HasSuffix(answer, `"code":"PATH_NOT_FOUND"}`) {
			t.Errorf("%s: %s", path, answer)
		}
	}
	if _, n := server.last(); n != 0 {
		t.Errorf("%d of them reached the server", n)
	}
}

func TestErrorsOfTheCallbackArePagesToo(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t))
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(2100 * time.Millisecond)}
	for _, test := range []struct {
		err        error
		status     int
		text       sentence
		retryAfter string
	}{
		{rpcError(codes.ResourceExhausted, "secret", "RATE_LIMITED", retry), 429, tooManyAtOnce, "3"},
		{rpcError(codes.ResourceExhausted, "secret", "OVERLOADED", retry), 429, tooManyAtOnce, "3"},
		{rpcError(codes.InvalidArgument, "secret", "INVALID_PAYLOAD"), 400, unusable, ""},
		{rpcError(codes.Unavailable, "secret", "STORAGE_UNAVAILABLE", retry), 503, away, "3"},
		{rpcError(codes.Unavailable, "secret", "NETWORK_UNAVAILABLE"), 503, networkAway, "1"},
		{status.Error(codes.Unavailable, "dial tcp 10.0.0.1"), 503, away, "1"},
		{rpcError(codes.Internal, "secret", "INTERNAL"), 500, away, ""},
		{status.Error(codes.Unimplemented, "secret"), 500, away, ""},
		{status.Error(codes.Unauthenticated, "secret"), 500, away, ""},
		{rpcError(codes.Unauthenticated, "secret", "API_KEY_MISSING"), 400, unusable, ""},
		{rpcError(codes.PermissionDenied, "secret", "USER_DENIED"), 400, denied, ""},
		{rpcError(codes.Aborted, "secret", "COMPLETION_IN_PROGRESS", retry), 400, takesLong, "3"},
		{status.Error(codes.DeadlineExceeded, "secret"), 504, takesLong, ""},
	} {
		server.answerSocial(nil, test.err)
		_, before := server.last()
		r := comeBack(t, g, "GET", hostedPath+"?code=c", "", "Accept-Language", "fr")
		expectPage(t, test.err.Error(), r, test.status, "fr", test.text)
		if r.header.Get("Retry-After") != test.retryAfter || strings.Contains(r.body, "secret") {
			t.Errorf("%v: %v", test.err, r)
		}
		if _, after := server.last(); after != before+1 {
			t.Errorf("%v: it was sent %d times", test.err, after-before)
		}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	down := startGateway(t, "--upstream="+closed.Addr().String())
	r := comeBack(t, down, "GET", hostedPath+"?code=c", "")
	expectPage(t, "down", r, 503, "en", away)
	if r.header.Get("Retry-After") != "1" {
		t.Error(r)
	}
}

// A server that leaves refuses the call, and has done nothing of it.
func TestACallbackThatWasRefusedIsMadeAgain(t *testing.T) {
	calls := 0
	server := &fakeServer{hosted: func(context.Context, *authurlv1.CompleteHostedAuthRequest) (*hostedReply, error) {
		if calls++; calls < 3 {
			return nil, rpcError(codes.Unavailable, "m", "SHUTTING_DOWN")
		}
		return &hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil
	}}
	g := startGateway(t, "--upstream="+server.start(t))
	expectPage(t, "leaving", comeBack(t, g, "GET", hostedPath+"?code=c", ""), 200, "en", connected)
	if calls != 3 {
		t.Error(calls)
	}
}

func TestCompletingMayTakeAsLongAsAFlow(t *testing.T) {
	left := make(chan time.Duration, 1)
	server := &fakeServer{}
	server.hosted = func(ctx context.Context, _ *authurlv1.CompleteHostedAuthRequest) (*hostedReply, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		time.Sleep(time.Second)
		return &hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil
	}
	// Longer than each of these.
	g := startGateway(t, "--upstream="+server.start(t), "--upstream_timeout=100ms", "--read_timeout=300ms", "--read_header_timeout=300ms", "--write_timeout=400ms")
	for _, method := range []string{"GET", "POST"} {
		expectPage(t, method, comeBack(t, g, method, hostedPath, "", "Content-Type", formType), 200, "en", connected)
		if got := <-left; got < 24*time.Second || got > 25*time.Second {
			t.Errorf("%s: the server is given %s", method, got)
		}
	}
}

func TestRequestsThatWaitForANetworkTakeNoPlaceFromOthers(t *testing.T) {
	release := make(chan struct{})
	server := &fakeServer{hosted: func(context.Context, *authurlv1.CompleteHostedAuthRequest) (*hostedReply, error) {
		<-release
		return &hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil
	}}
	g := startGateway(t, "--upstream="+server.start(t), "--max_requests=1", "--max_network_requests=1")
	first := make(chan reply)
	go func() { first <- comeBack(t, g, "GET", hostedPath, "") }()
	eventually(t, "the first is under way", func() bool { return server.seen() == 1 })
	r := comeBack(t, g, "GET", hostedPath, "")
	expectPage(t, "second", r, 429, "en", tooManyAtOnce)
	if r.header.Get("Retry-After") != "1" {
		t.Error(r)
	}
	for _, call := range [][2]string{{"POST", accountsPath + ":complete"}, {"GET", accountsPath + "/sa_1/health"}} {
		if r := send(t, call[0], g.url+call[1], ""); r.status != 429 {
			t.Errorf("%s: %v", call, r)
		}
	}
	for _, call := range [][2]string{{"POST", authURLPath}, {"GET", accountsPath}, {"GET", pendingPath}} {
		if r := send(t, call[0], g.url+call[1], ""); r.status != 200 {
			t.Errorf("%s: %v", call, r)
		}
	}
	close(release)
	expectPage(t, "first", <-first, 200, "en", connected)
}

func TestTheLogHasNothingOfWhatCameBack(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t), "--log_level=debug")
	const canaries = "code=canary-code&state=canary-state&user=canary-user"
	count := 0
	for _, answer := range []struct {
		reply *hostedReply
		err   error
	}{
		{&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil},
		{&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_NEEDS_CHOICE, Location: "https://app.example.com/?session=canary-session"}, nil},
		{&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_NEEDS_CHOICE, Location: "nowhere?session=canary-session"}, nil},
		{&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_FAILED, Reason: "USER_DENIED"}, nil},
		{nil, rpcError(codes.InvalidArgument, "m", "INVALID_PAYLOAD", &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "parameters", Description: "canary"}}})},
	} {
		server.answerSocial(answer.reply, answer.err)
		comeBack(t, g, "GET", hostedPath+"?"+canaries, "")
		comeBack(t, g, "POST", contextPath, canaries, "Content-Type", formType)
		comeBack(t, g, "POST", contextPath, canaries, "Content-Type", "text/plain")
		comeBack(t, g, "PUT", hostedPath+"?"+canaries, canaries)
		count += 4
	}
	eventually(t, "all are logged", func() bool { return len(g.log.events("request")) == count })
	if strings.Contains(g.log.String(), "canary") {
		t.Error(g.log)
	}
	outcomes := map[string]bool{}
	for _, event := range g.log.events("request") {
		if path := event["path"]; path != hostedPath && path != contextPath {
			t.Error(event)
		}
		outcomes[fmt.Sprint(event["status"], event["code"])] = true
	}
	for _, want := range []string{"200 <nil>", "303 <nil>", "500INTERNAL", "400USER_DENIED", "400INVALID_PAYLOAD", "415UNSUPPORTED_MEDIA_TYPE", "405METHOD_NOT_ALLOWED"} {
		if !outcomes[want] {
			t.Errorf("%s is not in %v", want, outcomes)
		}
	}
}
