package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

// logBuffer collects JSON log lines and finds events in them.
type logBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *logBuffer) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(line)
}

func (l *logBuffer) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

// end is what to show when a test has failed.
func (l *logBuffer) end() string {
	text := l.String()
	return text[max(0, len(text)-4000):]
}

func (l *logBuffer) events(name string) []map[string]any {
	var found []map[string]any
	lines := bufio.NewScanner(strings.NewReader(l.String()))
	for lines.Scan() {
		var event map[string]any
		if json.Unmarshal(lines.Bytes(), &event) == nil && event["event"] == name {
			found = append(found, event)
		}
	}
	return found
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// gateway is one that runs inside the test, or as a program beside it.
type gateway struct {
	url  string
	log  *logBuffer
	stop func()
	done chan error
	// Of one that runs inside the test.
	clients *clients
}

func startGateway(t *testing.T, arguments ...string) *gateway {
	t.Helper()
	none := func(string) (string, bool) { return "", false }
	c, err := readConfig(append([]string{"--listen=127.0.0.1:0", "--drain_delay=0s"}, arguments...), none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(context.Background())
	g := &gateway{log: &logBuffer{}, stop: cancel, done: make(chan error, 1)}
	log := newLog(g.log, c.logLevel)
	g.clients = newClients(c, log)
	go func() { g.done <- run(stop, c, g.clients, log) }()
	eventually(t, "the gateway serves", func() bool { return len(g.log.events("serving")) == 1 || len(g.done) == 1 })
	if len(g.done) == 1 {
		t.Fatal(<-g.done)
	}
	scheme := "http://"
	if c.tlsCertFile != "" {
		scheme = "https://"
	}
	g.url = scheme + g.log.events("serving")[0]["address"].(string)
	t.Cleanup(func() {
		cancel()
		if err := <-g.done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(g.log.end())
		}
	})
	return g
}

type reply struct {
	status int
	header http.Header
	body   string
}

// testKey has the shape of an API key; a fakeServer asks for no more.
const testKey = "auk_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM"

// send makes a request of a method, a path and, in pairs, headers. Without Authorization it shows testKey; with an empty
// one it shows none.
func send(t *testing.T, method, url, body string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	if authorization := request.Header["Authorization"]; authorization == nil {
		request.Header.Set("Authorization", bearer(testKey))
	} else if authorization[0] == "" {
		request.Header.Del("Authorization")
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(text)}
}

const jsonType = "application/json"

// fakeServer answers GetAuthUrl, BatchGetAuthUrls and what is about social accounts, events and webhooks as a test wants,
// and remembers what it was asked.
type fakeServer struct {
	authurlv1.UnimplementedAuthUrlServiceServer
	authurlv1.UnimplementedSocialAccountServiceServer
	authurlv1.UnimplementedSocialNetworkServiceServer
	authurlv1.UnimplementedOrganizationServiceServer
	authurlv1.UnimplementedEventServiceServer
	authurlv1.UnimplementedWebhookServiceServer
	grpc_health_v1.UnimplementedHealthServer

	answer  func(context.Context, *authurlv1.GetAuthUrlRequest) (*authurlv1.GetAuthUrlResponse, error)
	results []*authurlv1.BatchGetAuthUrlsResponse_Result
	hosted  func(context.Context, *authurlv1.CompleteHostedAuthRequest) (*authurlv1.CompleteHostedAuthResponse, error)
	events  func(context.Context) (*authurlv1.ListEventsResponse, error)

	mutex    sync.Mutex
	metadata metadata.MD
	requests []any
	// Of SocialAccountService, EventService and WebhookService, for the call that it is the reply of; the others get an empty
	// one. Or the error for all.
	social      proto.Message
	socialError error
}

func (f *fakeServer) remember(ctx context.Context, request any) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.metadata, _ = metadata.FromIncomingContext(ctx)
	f.requests = append(f.requests, request)
}

func (f *fakeServer) seen() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return len(f.requests)
}

// last is the latest request, and how many there were.
func (f *fakeServer) last() (any, int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if len(f.requests) == 0 {
		return nil, 0
	}
	return f.requests[len(f.requests)-1], len(f.requests)
}

func (f *fakeServer) answerSocial(reply proto.Message, err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.social, f.socialError = reply, err
}

func socialReply[Reply any](ctx context.Context, f *fakeServer, request any) (*Reply, error) {
	f.remember(ctx, request)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if reply, ok := any(f.social).(*Reply); ok && f.socialError == nil {
		return reply, nil
	}
	return new(Reply), f.socialError
}

func (f *fakeServer) CompleteHostedAuth(ctx context.Context, request *authurlv1.CompleteHostedAuthRequest) (*authurlv1.CompleteHostedAuthResponse, error) {
	if f.hosted != nil {
		f.remember(ctx, request)
		return f.hosted(ctx, request)
	}
	return socialReply[authurlv1.CompleteHostedAuthResponse](ctx, f, request)
}

func (f *fakeServer) CompleteAuth(ctx context.Context, request *authurlv1.CompleteAuthRequest) (*authurlv1.CompleteAuthResponse, error) {
	return socialReply[authurlv1.CompleteAuthResponse](ctx, f, request)
}

func (f *fakeServer) OpenAuthResponse(ctx context.Context, request *authurlv1.OpenAuthResponseRequest) (*authurlv1.OpenAuthResponseResponse, error) {
	return socialReply[authurlv1.OpenAuthResponseResponse](ctx, f, request)
}

func (f *fakeServer) GetAuthFlow(ctx context.Context, request *authurlv1.GetAuthFlowRequest) (*authurlv1.GetAuthFlowResponse, error) {
	return socialReply[authurlv1.GetAuthFlowResponse](ctx, f, request)
}

func (f *fakeServer) DeleteSocialNetwork(ctx context.Context, request *authurlv1.DeleteSocialNetworkRequest) (*authurlv1.DeleteSocialNetworkResponse, error) {
	f.remember(ctx, request)
	return &authurlv1.DeleteSocialNetworkResponse{}, nil
}

func (f *fakeServer) GetPendingConnection(ctx context.Context, request *authurlv1.GetPendingConnectionRequest) (*authurlv1.GetPendingConnectionResponse, error) {
	return socialReply[authurlv1.GetPendingConnectionResponse](ctx, f, request)
}

func (f *fakeServer) FinalizePendingConnection(ctx context.Context, request *authurlv1.FinalizePendingConnectionRequest) (*authurlv1.FinalizePendingConnectionResponse, error) {
	return socialReply[authurlv1.FinalizePendingConnectionResponse](ctx, f, request)
}

func (f *fakeServer) ListSocialAccounts(ctx context.Context, request *authurlv1.ListSocialAccountsRequest) (*authurlv1.ListSocialAccountsResponse, error) {
	return socialReply[authurlv1.ListSocialAccountsResponse](ctx, f, request)
}

func (f *fakeServer) GetSocialAccount(ctx context.Context, request *authurlv1.GetSocialAccountRequest) (*authurlv1.GetSocialAccountResponse, error) {
	return socialReply[authurlv1.GetSocialAccountResponse](ctx, f, request)
}

func (f *fakeServer) CheckSocialAccount(ctx context.Context, request *authurlv1.CheckSocialAccountRequest) (*authurlv1.CheckSocialAccountResponse, error) {
	return socialReply[authurlv1.CheckSocialAccountResponse](ctx, f, request)
}

func (f *fakeServer) DeleteSocialAccount(ctx context.Context, request *authurlv1.DeleteSocialAccountRequest) (*authurlv1.DeleteSocialAccountResponse, error) {
	return socialReply[authurlv1.DeleteSocialAccountResponse](ctx, f, request)
}

func (f *fakeServer) DeleteSocialAccounts(ctx context.Context, request *authurlv1.DeleteSocialAccountsRequest) (*authurlv1.DeleteSocialAccountsResponse, error) {
	return socialReply[authurlv1.DeleteSocialAccountsResponse](ctx, f, request)
}

func (f *fakeServer) GetAccessToken(ctx context.Context, request *authurlv1.GetAccessTokenRequest) (*authurlv1.GetAccessTokenResponse, error) {
	return socialReply[authurlv1.GetAccessTokenResponse](ctx, f, request)
}

func (f *fakeServer) CreateTenantToken(ctx context.Context, request *authurlv1.CreateTenantTokenRequest) (*authurlv1.CreateTenantTokenResponse, error) {
	return socialReply[authurlv1.CreateTenantTokenResponse](ctx, f, request)
}

func (f *fakeServer) ImportSocialAccounts(ctx context.Context, request *authurlv1.ImportSocialAccountsRequest) (*authurlv1.ImportSocialAccountsResponse, error) {
	return socialReply[authurlv1.ImportSocialAccountsResponse](ctx, f, request)
}

func (f *fakeServer) ExportSocialAccounts(ctx context.Context, request *authurlv1.ExportSocialAccountsRequest) (*authurlv1.ExportSocialAccountsResponse, error) {
	return socialReply[authurlv1.ExportSocialAccountsResponse](ctx, f, request)
}

func (f *fakeServer) CreateWebhook(ctx context.Context, request *authurlv1.CreateWebhookRequest) (*authurlv1.CreateWebhookResponse, error) {
	return socialReply[authurlv1.CreateWebhookResponse](ctx, f, request)
}

func (f *fakeServer) GetWebhook(ctx context.Context, request *authurlv1.GetWebhookRequest) (*authurlv1.GetWebhookResponse, error) {
	return socialReply[authurlv1.GetWebhookResponse](ctx, f, request)
}

func (f *fakeServer) ListWebhooks(ctx context.Context, request *authurlv1.ListWebhooksRequest) (*authurlv1.ListWebhooksResponse, error) {
	return socialReply[authurlv1.ListWebhooksResponse](ctx, f, request)
}

func (f *fakeServer) UpdateWebhook(ctx context.Context, request *authurlv1.UpdateWebhookRequest) (*authurlv1.UpdateWebhookResponse, error) {
	return socialReply[authurlv1.UpdateWebhookResponse](ctx, f, request)
}

func (f *fakeServer) DeleteWebhook(ctx context.Context, request *authurlv1.DeleteWebhookRequest) (*authurlv1.DeleteWebhookResponse, error) {
	return socialReply[authurlv1.DeleteWebhookResponse](ctx, f, request)
}

func (f *fakeServer) RotateWebhookSecret(ctx context.Context, request *authurlv1.RotateWebhookSecretRequest) (*authurlv1.RotateWebhookSecretResponse, error) {
	return socialReply[authurlv1.RotateWebhookSecretResponse](ctx, f, request)
}

func (f *fakeServer) TestWebhook(ctx context.Context, request *authurlv1.TestWebhookRequest) (*authurlv1.TestWebhookResponse, error) {
	return socialReply[authurlv1.TestWebhookResponse](ctx, f, request)
}

func (f *fakeServer) ReplayEvents(ctx context.Context, request *authurlv1.ReplayEventsRequest) (*authurlv1.ReplayEventsResponse, error) {
	return socialReply[authurlv1.ReplayEventsResponse](ctx, f, request)
}

func (f *fakeServer) ListEvents(ctx context.Context, request *authurlv1.ListEventsRequest) (*authurlv1.ListEventsResponse, error) {
	if f.events != nil {
		f.remember(ctx, request)
		return f.events(ctx)
	}
	return socialReply[authurlv1.ListEventsResponse](ctx, f, request)
}

func (f *fakeServer) GetAuthUrl(ctx context.Context, request *authurlv1.GetAuthUrlRequest) (*authurlv1.GetAuthUrlResponse, error) {
	f.remember(ctx, request)
	if f.answer != nil {
		return f.answer(ctx, request)
	}
	_ = grpc.SendHeader(ctx, metadata.Pairs("x-internal", "1", "x-request-id", "of-the-server"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "1"))
	return &authurlv1.GetAuthUrlResponse{AuthUrl: "https://example.com/"}, nil
}

func (f *fakeServer) ExplainAuthUrl(ctx context.Context, request *authurlv1.ExplainAuthUrlRequest) (*authurlv1.ExplainAuthUrlResponse, error) {
	f.remember(ctx, request)
	return &authurlv1.ExplainAuthUrlResponse{AuthorizationEndpoint: "https://example.com/"}, nil
}

func (f *fakeServer) BatchGetAuthUrls(ctx context.Context, request *authurlv1.BatchGetAuthUrlsRequest) (*authurlv1.BatchGetAuthUrlsResponse, error) {
	f.remember(ctx, request)
	return &authurlv1.BatchGetAuthUrlsResponse{Results: f.results}, nil
}

func (f *fakeServer) ListNetworks(ctx context.Context, request *authurlv1.ListNetworksRequest) (*authurlv1.ListNetworksResponse, error) {
	f.remember(ctx, request)
	return &authurlv1.ListNetworksResponse{}, nil
}

func (f *fakeServer) ListApiKeys(ctx context.Context, request *authurlv1.ListApiKeysRequest) (*authurlv1.ListApiKeysResponse, error) {
	f.remember(ctx, request)
	return &authurlv1.ListApiKeysResponse{}, nil
}

func (f *fakeServer) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

// start serves on a port of its own and returns the address.
func (f *fakeServer) start(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	authurlv1.RegisterAuthUrlServiceServer(server, f)
	authurlv1.RegisterSocialAccountServiceServer(server, f)
	authurlv1.RegisterSocialNetworkServiceServer(server, f)
	authurlv1.RegisterOrganizationServiceServer(server, f)
	authurlv1.RegisterEventServiceServer(server, f)
	authurlv1.RegisterWebhookServiceServer(server, f)
	grpc_health_v1.RegisterHealthServer(server, f)
	go func() { _ = server.Serve(front) }()
	t.Cleanup(server.Stop)
	return front.Addr().String()
}

// realServer is authurl-server itself. Tests with it are skipped unless AUTHURL_BIN_DIR says where the programs are.
type realServer struct {
	address, folder, database, adminKey string

	process *exec.Cmd
	log     *logBuffer
}

func startServer(t *testing.T, flags ...string) *realServer {
	t.Helper()
	bin := os.Getenv("AUTHURL_BIN_DIR")
	if bin == "" {
		t.Skip("AUTHURL_BIN_DIR does not say where authurl-server is")
	}
	folder := t.TempDir()
	for file, command := range map[string]string{"key-ring": "key-ring", "admin-key": "api-key"} {
		if output, err := exec.Command(filepath.Join(bin, "authurl-keygen"), command, filepath.Join(folder, file)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	key, err := os.ReadFile(filepath.Join(folder, "admin-key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &realServer{folder: folder, database: filepath.Join(folder, "authurl.db"), adminKey: strings.TrimSpace(string(key))}
	s.start(t, "127.0.0.1:0", flags...)
	return s
}

func (s *realServer) start(t *testing.T, listen string, flags ...string) {
	t.Helper()
	s.log = &logBuffer{}
	s.process = exec.Command(filepath.Join(os.Getenv("AUTHURL_BIN_DIR"), "authurl-server"), append([]string{
		"--listen=" + listen, "--database=" + s.database, "--key_ring_file=" + filepath.Join(s.folder, "key-ring"),
		"--admin_key_file=" + filepath.Join(s.folder, "admin-key"), "--drain_delay=200ms"}, flags...)...)
	s.process.Stderr = s.log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	process := s.process
	exited := make(chan error, 1)
	go func() { exited <- process.Wait() }()
	t.Cleanup(func() {
		_ = process.Process.Kill()
		<-exited
		exited <- nil
		if t.Failed() {
			t.Log(s.log.end())
		}
	})
	eventually(t, "the server serves", func() bool {
		if len(exited) > 0 {
			t.Fatalf("the server ended: %s", s.log)
		}
		return len(s.log.events("serving")) == 1
	})
	s.address = s.log.events("serving")[0]["address"].(string)
}

func (s *realServer) terminate(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func bearer(key string) string { return "Bearer " + key }

// setUp makes an organisation with a configured Instagram and returns a key of it.
func setUp(t *testing.T, g *gateway, adminKey string) string {
	t.Helper()
	admin := []string{"Authorization", bearer(adminKey), "Content-Type", jsonType}
	if r := send(t, "POST", g.url+"/v1/organizations", `{"org_id":"acme"}`, admin...); r.status != 200 {
		t.Fatal(r)
	}
	made := send(t, "POST", g.url+"/v1/organizations/acme/api-keys", `{"role":"ROLE_ORG"}`, admin...)
	found := regexp.MustCompile(`"key":"(auk_[^"]+)"`).FindStringSubmatch(made.body)
	if found == nil {
		t.Fatal(made)
	}
	if r := send(t, "POST", g.url+"/v1/social-networks",
		`{"network":"instagram","client_key":"1234","client_secret":"s3cret","default_redirect_uri":"https://app.example.com/cb"}`,
		"Authorization", bearer(found[1]), "Content-Type", jsonType); r.status != 200 {
		t.Fatal(r)
	}
	return found[1]
}
