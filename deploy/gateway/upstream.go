package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

// Calls that change nothing that matters: they are made again when a server leaves in the middle of them.
var safeCalls = map[string]bool{
	// These two may store states: another one does no harm.
	authurlv1.AuthUrlService_GetAuthUrl_FullMethodName:                 true,
	authurlv1.AuthUrlService_BatchGetAuthUrls_FullMethodName:           true,
	authurlv1.AuthUrlService_ExplainAuthUrl_FullMethodName:             true,
	authurlv1.AuthUrlService_ListNetworks_FullMethodName:               true,
	authurlv1.SocialNetworkService_ListSocialNetworks_FullMethodName:   true,
	authurlv1.SocialNetworkService_GetSocialNetwork_FullMethodName:     true,
	authurlv1.SocialAccountService_GetAuthFlow_FullMethodName:          true,
	authurlv1.SocialAccountService_GetPendingConnection_FullMethodName: true,
	authurlv1.SocialAccountService_ListSocialAccounts_FullMethodName:   true,
	authurlv1.SocialAccountService_GetSocialAccount_FullMethodName:     true,
	authurlv1.SocialAccountService_ExportSocialAccounts_FullMethodName: true,
	// Stores nothing.
	authurlv1.SocialAccountService_CreateTenantToken_FullMethodName: true,
	authurlv1.OrganizationService_ListOrganizations_FullMethodName:  true,
	authurlv1.OrganizationService_ListApiKeys_FullMethodName:        true,
	authurlv1.EventService_ListEvents_FullMethodName:                true,
	authurlv1.WebhookService_ListWebhooks_FullMethodName:            true,
	authurlv1.WebhookService_GetWebhook_FullMethodName:              true,
}

const (
	// How long a request goes on hoping for a server that is being replaced before it is told that there is none.
	patience = 800 * time.Millisecond
	// Before the second attempt; doubled for each further one.
	firstPause = 40 * time.Millisecond
	// Room for a batch of 100 URLs with the longest that configurations can hold.
	maxReplyBytes = 32 << 20
)

// replyBytes is how much a reply takes; as JSON it is about as long.
func replyBytes(reply any) int64 {
	message, _ := reply.(proto.Message)
	return int64(proto.Size(message))
}

var errNoRoomForReply = status.Error(codes.ResourceExhausted, "there is no room for the reply")

var errUpstreamDown = status.Error(codes.Unavailable, "no connection to the server")

// How many calls one connection carries at a time: the server's --max_concurrent_streams, as it comes.
const callsOfConnection = 128

// pool is the one set of connections to the server. It is what the generated handlers call.
type pool struct {
	connections []*grpc.ClientConn
	// For calls that wait for a network or an event. On the connections of the others a few hundred of them would leave
	// no room. They are opened when they are needed, the first ones first.
	patient []*patientConnection
	meters  *meters
	next    atomic.Uint32
}

type patientConnection struct {
	*grpc.ClientConn
	underWay atomic.Int32
}

// connectionsFor is how many it takes for so many calls.
func connectionsFor(calls int) int {
	return (calls + callsOfConnection - 1) / callsOfConnection
}

func dial(c config) (*pool, error) {
	transport := insecure.NewCredentials()
	if c.upstreamTLSCAFile != "" {
		tlsConfig, err := upstreamTLS(c)
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(tlsConfig)
	}
	target := "dns:///" + c.upstream
	if isUnixSocket(c.upstream) {
		target = c.upstream
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
		// Pings only while calls are under way, and rarer than the server's --min_client_ping_interval.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReplyBytes)),
		grpc.WithUserAgent("authurl-gateway/" + version),
	}
	p := &pool{}
	for range max(c.upstreamConnections, connectionsFor(c.maxRequests)) {
		connection, err := grpc.NewClient(target, options...)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.connections = append(p.connections, connection)
		connection.Connect()
	}
	for range connectionsFor(c.maxNetworkRequests + c.maxWaitingRequests) {
		connection, err := grpc.NewClient(target, options...)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.patient = append(p.patient, &patientConnection{ClientConn: connection})
	}
	return p, nil
}

func (p *pool) Close() {
	for _, connection := range p.connections {
		connection.Close()
	}
	for _, connection := range p.patient {
		connection.Close()
	}
}

func (p *pool) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	err := p.invoke(withOwnMetadata(ctx), method, args, reply, options)
	p.meters.called(err)
	return err
}

func (p *pool) invoke(ctx context.Context, method string, args, reply any, options []grpc.CallOption) error {
	connections := p.connections
	if e := exchangeOf(ctx); e != nil && e.waits {
		connection := p.takePatient()
		defer connection.underWay.Add(-1)
		connections = []*grpc.ClientConn{connection.ClientConn}
	}
	giveUp := time.Now().Add(patience)
	for pause := firstPause; ; pause *= 2 {
		connection, err := p.ready(ctx, connections, giveUp)
		if err != nil {
			return err
		}
		err = connection.Invoke(ctx, method, args, reply, options...)
		// What was changed has to be told, and takes little to tell.
		if err == nil && safeCalls[method] && !ownConnOf(ctx).hold(2*replyBytes(reply)) {
			return errNoRoomForReply
		}
		if err == nil || !isWorthRepeating(method, err) || time.Now().Add(pause).After(giveUp) {
			return err
		}
		select {
		case <-time.After(pause):
			p.meters.callRepeated()
		case <-ctx.Done():
			return err
		}
	}
}

// isWorthRepeating: a server that is stopping has done nothing of what it refused, and a call that changes nothing can't
// do harm twice. What storage or a network can't do it won't be able to do a moment later.
func isWorthRepeating(method string, err error) bool {
	if status.Code(err) != codes.Unavailable {
		return false
	}
	reason := failureOf(err).code
	return reason == "SHUTTING_DOWN" || safeCalls[method] && reason != "STORAGE_UNAVAILABLE" && !strings.HasPrefix(reason, "NETWORK_")
}

func (p *pool) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the API has no streams")
}

// takePatient is the first connection with room for one more. There are enough of them for all that the bounds let in.
func (p *pool) takePatient() *patientConnection {
	for _, connection := range p.patient {
		if connection.underWay.Add(1) <= callsOfConnection {
			return connection
		}
		connection.underWay.Add(-1)
	}
	last := p.patient[len(p.patient)-1]
	last.underWay.Add(1)
	return last
}

// ready takes the connections in turn and prefers one that is up. Where none is, it waits for the one whose turn it is:
// a server that is just being restarted costs a moment, one that is down a quick error and never a hang.
func (p *pool) ready(ctx context.Context, connections []*grpc.ClientConn, giveUp time.Time) (*grpc.ClientConn, error) {
	turn := int(p.next.Add(1) % uint32(len(connections)))
	for i := range connections {
		connection := connections[(turn+i)%len(connections)]
		if connection.GetState() == connectivity.Ready {
			return connection, nil
		}
		connection.Connect()
	}
	connection := connections[turn]
	ctx, cancel := context.WithDeadline(ctx, giveUp)
	defer cancel()
	for {
		state := connection.GetState()
		if state == connectivity.Ready {
			return connection, nil
		}
		connection.Connect()
		if !connection.WaitForStateChange(ctx, state) {
			return nil, errUpstreamDown
		}
	}
}

// withOwnMetadata lets through what the server is to see, and nothing else that grpc-gateway adds (x-forwarded-for, …).
func withOwnMetadata(ctx context.Context) context.Context {
	given, _ := metadata.FromOutgoingContext(ctx)
	kept := metadata.MD{}
	for _, name := range []string{"authorization", "x-org-id"} {
		if values := given.Get(name); len(values) > 0 {
			kept.Set(name, values...)
		}
	}
	if e := exchangeOf(ctx); e != nil {
		kept.Set("x-request-id", e.requestID)
	}
	return metadata.NewOutgoingContext(ctx, kept)
}
