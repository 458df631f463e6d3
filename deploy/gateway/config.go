package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"
)

// config is everything an operator can set: as a flag, or as an environment variable (AUTHURL_GATEWAY_LISTEN for
// --listen). A flag wins. Secrets are named as files and never given as values.
type config struct {
	listen      string
	tlsCertFile string
	tlsKeyFile  string

	upstream              string
	upstreamConnections   int
	upstreamTimeout       time.Duration
	upstreamTLSCAFile     string
	upstreamTLSCertFile   string
	upstreamTLSKeyFile    string
	upstreamTLSServerName string

	readHeaderTimeout time.Duration
	readTimeout       time.Duration
	writeTimeout      time.Duration
	idleTimeout       time.Duration

	trustedProxies addressBlocks
	corsOrigins    origins
	consoleKeyFile string

	metricsListen        string
	metricsOpenToNetwork bool

	maxConnections           int
	maxConnectionsPerAddress int
	maxRequests              int
	maxNetworkRequests       int
	maxWaitingRequests       int
	maxHeldMiB               int
	memoryLimitMiB           int

	drainDelay    time.Duration
	shutdownGrace time.Duration
	logLevel      slog.Level
}

const environmentPrefix = "AUTHURL_GATEWAY_"

// Not from the environment: there, somebody may have put the version that is to run.
const versionFlag = "version"

// readConfig reads and verifies the settings. An error is one sentence that names the flag and says what to change;
// flag.ErrHelp means that the help, or the version, was printed to `help`.
func readConfig(arguments []string, environment func(string) (string, bool), help io.Writer) (config, error) {
	var c config
	flags := flag.NewFlagSet("authurl-gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {
		fmt.Fprintf(help, "usage: authurl-gateway [flags]\n       authurl-gateway healthcheck [flags]   asks the one that was started with them, for containers; 0: it is ready\n\nEach flag can be set in the environment too: %sLISTEN for --listen.\n\n",
			environmentPrefix)
		flags.SetOutput(help)
		flags.PrintDefaults()
	}
	showVersion := flags.Bool(versionFlag, false, "print the version and end")
	flags.StringVar(&c.listen, "listen", "127.0.0.1:8080", "where to serve REST: `host:port`; port 0 means any free one")
	flags.StringVar(&c.tlsCertFile, "tls_cert_file", "", "PEM `file` with the certificate to serve HTTPS with; read again when it changes")
	flags.StringVar(&c.tlsKeyFile, "tls_key_file", "", "PEM `file` with its key")
	flags.StringVar(&c.upstream, "upstream", "127.0.0.1:50051", "the authurl server: `host:port` or unix:/path")
	flags.IntVar(&c.upstreamConnections, "upstream_connections", 2, "`number` of connections to the server, or as many as --max_requests needs; requests that wait have others")
	flags.DurationVar(&c.upstreamTimeout, "upstream_timeout", 5*time.Second, "how long the server may take for a call")
	flags.StringVar(&c.upstreamTLSCAFile, "upstream_tls_ca_file", "", "PEM `file` with the authority of the server's certificate; switches TLS on")
	flags.StringVar(&c.upstreamTLSCertFile, "upstream_tls_cert_file", "", "PEM `file` with the certificate to show to the server (mTLS); read again when it changes")
	flags.StringVar(&c.upstreamTLSKeyFile, "upstream_tls_key_file", "", "PEM `file` with its key")
	flags.StringVar(&c.upstreamTLSServerName, "upstream_tls_server_name", "", "the `name` in the server's certificate, where it isn't the host of --upstream")
	flags.DurationVar(&c.readHeaderTimeout, "read_header_timeout", 5*time.Second, "how long a client may take to send the header of a request")
	flags.DurationVar(&c.readTimeout, "read_timeout", 10*time.Second, "how long a client may take to send a whole request")
	flags.DurationVar(&c.writeTimeout, "write_timeout", 20*time.Second, "how long a request may take from its header's end until the reply is sent")
	flags.DurationVar(&c.idleTimeout, "idle_timeout", time.Minute, "how long a connection may stay open between requests")
	flags.Func("trusted_proxies", "`blocks` of addresses, separated by commas, such as 10.0.0.0/8,fd00::/8, from which proxies connect whose X-Forwarded-For is believed; none by default", func(text string) (err error) {
		c.trustedProxies, err = parseAddressBlocks(text)
		return err
	})
	flags.Func("cors_origins", "`origins`, separated by commas, such as https://app.example.com, whose pages may call from a browser with the token of a tenant; none by default", func(text string) (err error) {
		c.corsOrigins, err = parseOrigins(text)
		return err
	})
	flags.StringVar(&c.metricsListen, "metrics_listen", "", "where to serve metrics to Prometheus, `host:port`, without a key; off by default")
	flags.BoolVar(&c.metricsOpenToNetwork, "metrics_open_to_network", false, "let --metrics_listen be an address that other machines reach")
	flags.StringVar(&c.consoleKeyFile, "console_key_file", "", "`file` with the 32 bytes under which the console at /console seals its cookies; without it there is no console")
	flags.IntVar(&c.maxConnections, "max_connections", 2048, "`number` of connections of clients; beyond it those that have kept the gateway waiting longest are closed")
	flags.IntVar(&c.maxConnectionsPerAddress, "max_connections_per_address", 0, "`number` of connections from one address, beyond which new ones are closed; 0, no such bound, is right behind a proxy, from which all come")
	flags.IntVar(&c.maxRequests, "max_requests", 256, "`number` of requests that may be under way to the server")
	flags.IntVar(&c.maxNetworkRequests, "max_network_requests", 1024, "`number` of requests beside them for which the server asks a network, such as those that complete a flow")
	flags.IntVar(&c.maxWaitingRequests, "max_waiting_requests", 512, "`number` of requests beside them that wait for an event")
	flags.IntVar(&c.maxHeldMiB, "max_held_mib", 24, "`MiB` of bodies and replies to hold for all clients together; beyond it those that have kept the gateway waiting longest are cut off")
	flags.IntVar(&c.memoryLimitMiB, "memory_limit_mib", 0, "`MiB` of memory to take at most, as far as Go's collector can help it; 0: what the bounds above add up to, and at most 80% of the container's. GOMEMLIMIT wins")
	flags.DurationVar(&c.drainDelay, "drain_delay", 5*time.Second, "how long to go on serving after SIGTERM while load balancers notice that /readyz says no")
	flags.DurationVar(&c.shutdownGrace, "shutdown_grace", 10*time.Second, "how long requests in flight may take after that")
	flags.TextVar(&c.logLevel, "log_level", slog.LevelInfo, "`level`: debug, info, warn or error")

	var problem error
	flags.VisitAll(func(f *flag.Flag) {
		name := environmentPrefix + strings.ToUpper(f.Name)
		if value, found := environment(name); found && problem == nil && f.Name != versionFlag {
			if err := flags.Set(f.Name, value); err != nil {
				problem = fmt.Errorf("%s=%q: %w", name, value, err)
			}
		}
	})
	if problem != nil {
		return c, problem
	}
	if err := flags.Parse(arguments); err != nil {
		return c, err
	}
	if *showVersion {
		fmt.Fprintln(help, versionLine())
		return c, flag.ErrHelp
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("%q is not a flag: flags begin with --; see --help", flags.Arg(0))
	}
	return c, c.verify()
}

func (c config) verify() error {
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		return fmt.Errorf("--listen=%s: must be host:port, such as 127.0.0.1:8080", c.listen)
	}
	if err := c.verifyMetrics(); err != nil {
		return err
	}
	if path, isSocket := strings.CutPrefix(c.upstream, "unix:"); isSocket {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("--upstream=%s: a Unix socket is given as unix:/path", c.upstream)
		}
	} else if host, port, err := net.SplitHostPort(c.upstream); err != nil || host == "" || port == "" {
		return fmt.Errorf("--upstream=%s: must be host:port or unix:/path, such as 127.0.0.1:50051", c.upstream)
	}
	if (c.tlsCertFile == "") != (c.tlsKeyFile == "") {
		return errors.New("--tls_cert_file and --tls_key_file go together: set both or neither")
	}
	if (c.upstreamTLSCertFile == "") != (c.upstreamTLSKeyFile == "") {
		return errors.New("--upstream_tls_cert_file and --upstream_tls_key_file go together: set both or neither")
	}
	if c.upstreamTLSCAFile == "" && (c.upstreamTLSCertFile != "" || c.upstreamTLSServerName != "") {
		return errors.New("--upstream_tls_ca_file must be set too: it switches TLS to the server on")
	}
	if c.upstreamConnections < 1 || c.upstreamConnections > 64 {
		return fmt.Errorf("--upstream_connections=%d: must be 1 to 64", c.upstreamConnections)
	}
	positive := map[string]time.Duration{
		"upstream_timeout":    c.upstreamTimeout,
		"read_header_timeout": c.readHeaderTimeout,
		"read_timeout":        c.readTimeout,
		"write_timeout":       c.writeTimeout,
		"idle_timeout":        c.idleTimeout,
		"shutdown_grace":      c.shutdownGrace,
	}
	for name, value := range positive {
		if value <= 0 {
			return fmt.Errorf("--%s=%s: must be more than 0", name, value)
		}
	}
	for _, bound := range []struct {
		name             string
		given, low, high int
	}{
		{"max_connections", c.maxConnections, 16, 1_000_000},
		{"max_connections_per_address", c.maxConnectionsPerAddress, 0, 1_000_000},
		{"max_requests", c.maxRequests, 1, 1_000_000},
		{"max_network_requests", c.maxNetworkRequests, 1, 1_000_000},
		{"max_waiting_requests", c.maxWaitingRequests, 1, 1_000_000},
		// A batch of 100 URLs must find room.
		{"max_held_mib", c.maxHeldMiB, 16, 1_000_000},
		{"memory_limit_mib", c.memoryLimitMiB, 0, 1_000_000},
	} {
		if bound.given < bound.low || bound.given > bound.high {
			return fmt.Errorf("--%s=%d: must be %d to %d", bound.name, bound.given, bound.low, bound.high)
		}
	}
	if c.drainDelay < 0 {
		return fmt.Errorf("--drain_delay=%s: must not be negative", c.drainDelay)
	}
	// Else a reply could no longer be sent once the last byte of its request or the server's answer is there.
	if c.writeTimeout < c.readTimeout+c.upstreamTimeout {
		return fmt.Errorf("--write_timeout=%s: must be at least --read_timeout and --upstream_timeout together, %s",
			c.writeTimeout, c.readTimeout+c.upstreamTimeout)
	}
	return nil
}

func (c config) verifyMetrics() error {
	if c.metricsListen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.metricsListen); err != nil {
		return fmt.Errorf("--metrics_listen=%s: must be host:port, such as 127.0.0.1:9465", c.metricsListen)
	}
	if !isLocal(c.metricsListen) && !c.metricsOpenToNetwork {
		return fmt.Errorf("--metrics_listen=%s: other machines may reach this address, and metrics need no key: listen on "+
			"127.0.0.1, or set --metrics_open_to_network as well", c.metricsListen)
	}
	return nil
}

func environmentOfProcess(name string) (string, bool) { return os.LookupEnv(name) }

// isLocal tells whether only this machine can reach the address.
func isLocal(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
