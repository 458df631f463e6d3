package main

import (
	"context"
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
)

// Calls that change nothing are made again when a server leaves in the middle of them. All attempts together stay well
// under a second, and fewer are made while many fail.
const serviceConfig = `{
  "loadBalancingConfig": [{"pick_first": {}}],
  "methodConfig": [{
    "name": [
      {"service": "authurl.v1.AuthUrlService", "method": "GetAuthUrl"},
      {"service": "authurl.v1.SocialNetworkService", "method": "ListSocialNetworks"},
      {"service": "authurl.v1.SocialNetworkService", "method": "GetSocialNetwork"},
      {"service": "authurl.v1.OrganizationService", "method": "ListOrganizations"},
      {"service": "authurl.v1.OrganizationService", "method": "ListApiKeys"}
    ],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.05s",
      "maxBackoff": "0.2s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}`

// How long a request waits for a connection before it is told that the server is down.
const connectWait = 700 * time.Millisecond

var errUpstreamDown = status.Error(codes.Unavailable, "no connection to the server")

// pool is the one set of connections to the server. It is what the generated handlers call.
type pool struct {
	connections []*grpc.ClientConn
	next        atomic.Uint32
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
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
		// Pings only while calls are under way, and rarer than the server's --min_client_ping_interval.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 5 * time.Second}),
		grpc.WithUserAgent("authurl-gateway"),
	}
	p := &pool{}
	for range c.upstreamConnections {
		connection, err := grpc.NewClient(target, options...)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.connections = append(p.connections, connection)
		connection.Connect()
	}
	return p, nil
}

func (p *pool) Close() {
	for _, connection := range p.connections {
		connection.Close()
	}
}

func (p *pool) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	connection, err := p.ready(ctx)
	if err != nil {
		return err
	}
	return connection.Invoke(withOwnMetadata(ctx), method, args, reply, options...)
}

func (p *pool) NewStream(ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	connection, err := p.ready(ctx)
	if err != nil {
		return nil, err
	}
	return connection.NewStream(withOwnMetadata(ctx), description, method, options...)
}

// ready takes the connections in turn and prefers one that is up. Where none is, it waits for the one whose turn it is:
// a server that is just being restarted costs a moment, one that is down a quick error and never a hang.
func (p *pool) ready(ctx context.Context) (*grpc.ClientConn, error) {
	turn := int(p.next.Add(1))
	for i := range p.connections {
		connection := p.connections[(turn+i)%len(p.connections)]
		if connection.GetState() == connectivity.Ready {
			return connection, nil
		}
		connection.Connect()
	}
	connection := p.connections[turn%len(p.connections)]
	ctx, cancel := context.WithTimeout(ctx, connectWait)
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
