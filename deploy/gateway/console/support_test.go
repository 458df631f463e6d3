package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

const (
	testKey    = "auk_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM"
	here       = "http://127.0.0.1:8080"
	testSecret = "the client's secret"
)

// fakeServer answers calls by the name of their rpc, an empty reply where a test has none, and remembers them.
type fakeServer struct {
	answers map[string]func(request proto.Message) (proto.Message, error)
	// For every call, where it is set.
	failure error
	calls   []call
}

type call struct {
	rpc     string
	request proto.Message
	key     string
}

func (f *fakeServer) Invoke(ctx context.Context, method string, request, reply any, _ ...grpc.CallOption) error {
	given, _ := metadata.FromOutgoingContext(ctx)
	rpc := path.Base(method)
	f.calls = append(f.calls, call{rpc, proto.Clone(request.(proto.Message)), strings.Join(given.Get("authorization"), " ")})
	answer := f.answers[rpc]
	if f.failure != nil {
		return f.failure
	}
	if answer == nil {
		return nil
	}
	made, err := answer(request.(proto.Message))
	if err == nil {
		proto.Merge(reply.(proto.Message), made)
	}
	return err
}

func (f *fakeServer) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no streams")
}

func (f *fakeServer) answer(rpc string, reply proto.Message, err error) {
	if f.answers == nil {
		f.answers = map[string]func(proto.Message) (proto.Message, error){}
	}
	f.answers[rpc] = func(proto.Message) (proto.Message, error) { return reply, err }
}

// of are the requests of an rpc.
func (f *fakeServer) of(rpc string) []proto.Message {
	var found []proto.Message
	for _, each := range f.calls {
		if each.rpc == rpc {
			found = append(found, each.request)
		}
	}
	return found
}

func failed(code codes.Code, reason, message string, faults ...Fault) error {
	st := status.New(code, message)
	st, _ = st.WithDetails(&errdetails.ErrorInfo{Reason: reason})
	if faults != nil {
		violations := &errdetails.BadRequest{}
		for _, fault := range faults {
			violations.FieldViolations = append(violations.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: fault.Field, Description: fault.Text})
		}
		st, _ = st.WithDetails(violations)
	}
	return st.Err()
}

// explain is a small one of the gateway's.
func explain(_ context.Context, err error) Problem {
	st := status.Convert(err)
	statuses := map[codes.Code]int{codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.NotFound: 404, codes.InvalidArgument: 400,
		codes.FailedPrecondition: 409, codes.Aborted: 409}
	problem := Problem{Status: statuses[st.Code()], Message: st.Message()}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			problem.Code = detail.GetReason()
		case *errdetails.BadRequest:
			problem.Message = ""
			for _, violation := range detail.GetFieldViolations() {
				problem.Faults = append(problem.Faults, Fault{violation.GetField(), violation.GetDescription()})
			}
		}
	}
	if problem.Status == 0 {
		problem.Status = http.StatusInternalServerError
	}
	return problem
}

func newTestHandler(t *testing.T, server *fakeServer) *Handler {
	t.Helper()
	h, err := New(Options{Key: []byte(strings.Repeat("k", KeySize)), Server: server, Explain: explain, Note: func(context.Context, string) {},
		ClientAddress: func(r *http.Request) string { return r.Header.Get("X-Test-Address") }})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// browser keeps the cookies of one host.
type browser struct {
	h       *Handler
	origin  string
	cookies map[string]string
}

func newBrowser(h *Handler) *browser { return &browser{h, here, map[string]string{}} }

func (b *browser) send(method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, b.origin+path, strings.NewReader(form.Encode()))
	r.TLS = nil // That the gateway has no TLS: the proxy in front does.
	if method == http.MethodPost {
		r.Header.Set("Origin", b.origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie.Value
		}
	}
	return w
}

func (b *browser) get(path string) *httptest.ResponseRecorder { return b.send("GET", path, nil) }

func (b *browser) post(path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.send("POST", path, form)
}

// signedIn is a browser that has just signed in.
func signedIn(t *testing.T, server *fakeServer) *browser {
	t.Helper()
	b := newBrowser(newTestHandler(t, server))
	if w := b.post("/console/sign-in", "key", testKey); w.Code != http.StatusSeeOther || w.Header().Get("Location") != networksPath {
		t.Fatal(w.Code, w.Body)
	}
	server.calls = nil
	return b
}

// anInstagram has all that forms are made of.
func anInstagram() *authurlv1.ListNetworksResponse {
	return &authurlv1.ListNetworksResponse{Networks: []*authurlv1.Network{{Id: "instagram", DisplayName: "Instagram",
		Status: authurlv1.Network_STATUS_LIVE, ClientKeyLabel: "Instagram app ID", ClientSecretLabel: "Instagram app secret",
		DefaultScopes:       []string{"basic"},
		ConfigurationParams: []*authurlv1.NetworkParameter{{Name: "team_id", Required: true}, {Name: "display"}},
		Variables:           []*authurlv1.NetworkVariable{{Name: "version", DefaultValue: "v1"}},
		Variants: []*authurlv1.NetworkVariant{{Id: "page", DisplayName: "Instagram pages", Description: "For pages",
			ConfigurationParams: []*authurlv1.NetworkParameter{{Name: "team_id"}}, Variables: []*authurlv1.NetworkVariable{{Name: "version"}}}}}}}
}

func aConfiguration() *authurlv1.SocialNetwork {
	return &authurlv1.SocialNetwork{Id: "sn_1", Network: "instagram", ClientKey: "k", Name: "a", AllowedReturnUris: []string{"https://app.example.com/"},
		Scopes: []string{"basic"}, ExtraParams: map[string]string{"team_id": "7", "other": "8"}}
}
