// Asks authurl for authorization URLs as a service in production does: with a deadline, retries, all replicas in turn,
// only those that are well, and errors read to their details.
//
//	get-auth-url NETWORK [TENANT_ID [COUNT]]
//
// AUTHURL_ADDRESS: host:port, or another target of gRPC such as dns:///authurl.internal:50051; address:port,address:port
// for several. AUTHURL_API_KEY: a key of role ROLE_ORG or ROLE_MINT. AUTHURL_CA_FILE, AUTHURL_CERT_FILE and
// AUTHURL_KEY_FILE: for a server with TLS, which asks for a certificate. Prints the last URL. Exit code 1: the server said
// no.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // Has the service config's healthCheckConfig heeded.
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	authurlv1 "example.com/authurl-clients/gen/authurl/v1"
)

const (
	deadline = 5 * time.Second  // Of one call, its retries included.
	patience = 30 * time.Second // How long to wait for room under the rate limit.
	// Retries, replicas in turn, and none of those that say they are not well.
	serviceConfig = "authurl-protos/authurl/v1/service_config.json"
)

func transport() (credentials.TransportCredentials, error) {
	ca := os.Getenv("AUTHURL_CA_FILE")
	if ca == "" {
		return insecure.NewCredentials(), nil
	}
	certificate, err := tls.LoadX509KeyPair(os.Getenv("AUTHURL_CERT_FILE"), os.Getenv("AUTHURL_KEY_FILE"))
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authorities) {
		return nil, errors.New(ca + " holds no certificate")
	}
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: trusted}), nil
}

func connect() (*grpc.ClientConn, error) {
	config, err := os.ReadFile(serviceConfig)
	if err != nil {
		return nil, err
	}
	secured, err := transport()
	if err != nil {
		return nil, err
	}
	target := os.Getenv("AUTHURL_ADDRESS")
	options := []grpc.DialOption{grpc.WithTransportCredentials(secured), grpc.WithDefaultServiceConfig(string(config))}
	// A name in DNS has all replicas' addresses. Where there is none, they are listed here.
	if addresses := strings.Split(target, ","); len(addresses) > 1 {
		listed := manual.NewBuilderWithScheme("listed")
		var state resolver.State
		for _, address := range addresses {
			state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: address}}})
		}
		listed.InitialState(state)
		options = append(options, grpc.WithResolvers(listed))
		target = "listed:///authurl"
	}
	return grpc.NewClient(target, options...)
}

// The detail of that type which the server gives beside code and message; nil where there is none.
func detailOf[Detail any](err error) *Detail {
	for _, detail := range status.Convert(err).Details() {
		if found, ok := detail.(*Detail); ok {
			return found
		}
	}
	return nil
}

func report(err error) {
	fmt.Printf("error: %s %s: %s\n", status.Code(err), detailOf[errdetails.ErrorInfo](err).GetReason(),
		status.Convert(err).Message())
	for _, fault := range detailOf[errdetails.BadRequest](err).GetFieldViolations() {
		fmt.Printf("  %s: %s\n", fault.Field, fault.Description)
	}
	if request := detailOf[errdetails.RequestInfo](err); request != nil { // The server's log has it, too.
		fmt.Printf("  request id: %s\n", request.RequestId)
	}
}

// Calls again when the server says when. Returns how often it waited.
func patiently(call func() error) (waits int, err error) {
	giveUp := time.Now().Add(patience)
	for ; ; waits++ {
		err = call()
		retry := detailOf[errdetails.RetryInfo](err)
		if status.Code(err) != codes.ResourceExhausted || retry == nil {
			return waits, err
		}
		pause := retry.RetryDelay.AsDuration()
		if time.Now().Add(pause).After(giveUp) {
			return waits, err
		}
		time.Sleep(pause)
	}
}

func run(network, tenantID string, count int) error {
	connection, err := connect()
	if err != nil {
		return err
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	health, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	fmt.Println("health:", health.Status)

	client := authurlv1.NewAuthUrlServiceClient(connection)
	request := &authurlv1.GetAuthUrlRequest{Network: network}
	if tenantID != "" {
		request.TenantId = &tenantID
	}
	authorized := metadata.AppendToOutgoingContext(context.Background(),
		"authorization", "Bearer "+os.Getenv("AUTHURL_API_KEY"))
	var reply *authurlv1.GetAuthUrlResponse
	waits := 0
	for range count {
		waited, err := patiently(func() (err error) {
			ctx, cancel := context.WithTimeout(authorized, deadline)
			defer cancel()
			reply, err = client.GetAuthUrl(ctx, request)
			return err
		})
		if err != nil {
			return err
		}
		waits += waited
	}
	fmt.Println("auth_url:", reply.GetAuthUrl())
	fmt.Println("waits:", waits)
	return nil
}

func main() {
	arguments := append(os.Args[1:], make([]string, 3)...)
	count, err := strconv.Atoi(arguments[2])
	if err != nil {
		count = 1
	}
	if err := run(arguments[0], arguments[1], count); err != nil {
		report(err)
		os.Exit(1)
	}
}
