// config.h: everything an operator can set, as flags (see `authurl-server --help`; `--flagfile`
// reads them from a file). Secrets are named as files and never given as values.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace authurl {

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order of the manual
struct Config {
  // Where to listen: "host:port" (port 0: any free one) or "unix:/path".
  std::string listen = "127.0.0.1:50051";
  // SQLite file on a local disk; made if it is not there.
  std::string database;
  // See core/crypto/key_ring.h.
  std::string key_ring_file;
  // Remembers how far the database has come, so that an older copy of it is noticed
  // (storage/rollback_check.h). Empty: the key ring's name with ".rollback".
  std::string rollback_file;
  // Holds the text of an API key that gets role ADMIN. Empty: the database must have one already.
  std::string admin_key_file;
  // "https://host[:port][/path]" below which the gateway serves the hosted callback
  // (core/flow/hosted_callback.h); empty for none. http for the local machine, with
  // allow_local_instances.
  std::string public_base_url;
  absl::Duration state_ttl = absl::Minutes(30);
  // Protobuf text (authurl.catalog.v1.Catalog): networks that are added to the built-in ones or
  // take their place. Empty: none.
  std::string networks_file;
  // Take IP addresses and local names as instances of networks that have many, and http to this
  // machine in networks_file. For trying things out on one machine.
  bool allow_local_instances = false;

  // How others are asked (server/outbound/curl_client.h). PEM file with the authorities whose
  // certificates are taken; empty: the system's.
  std::string outbound_ca_file;
  // For tests, and therefore without a flag: CurlClient::Options::connect_to.
  std::string outbound_connect_to;
  // "http://host:port" through which all goes; empty for none. Whether it lets nobody reach
  // addresses that are not public: otherwise hosts that strangers name are not asked through it.
  std::string outbound_proxy;
  bool outbound_proxy_is_guarded = false;
  // "2001:db8:64::/96": how the network here writes IPv4 addresses; empty: 64:ff9b::/96 only.
  std::string nat64_prefix;
  // "10.0.0.0/8,fd00::/8": where receivers of webhooks may be, on any port, besides public
  // addresses; empty: nowhere else.
  std::string webhook_allowed_networks;
  // Calls under way, to networks of the catalog, as many again to hosts that strangers name, and as
  // many again to receivers of webhooks.
  int max_outbound_calls = 1024;
  int max_outbound_calls_per_host = 256;
  int max_outbound_calls_per_organization = 256;

  // PEM files. Certificate and key together or neither; a client CA asks every client for a
  // certificate (mTLS).
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_client_ca_file;
  // Serve peers that show no client certificate on an address other machines can reach. SECURITY:
  // one such peer can stop this gRPC version.
  bool dangerously_serve_strangers = false;

  bool reflection = false;
  bool channelz = false;

  // Threads that wait for the database, and how many calls may wait for them: one kind for reads
  // and one for writes (server/serving/lanes.h).
  int read_workers = 12;
  int max_queued_reads = 1024;
  int write_workers = 64;
  int max_queued_writes = 1024;

  // Calls a second of one API key, and of all API keys of an organisation; twice as many at once.
  // 0: any number. A batch counts for each of its networks.
  int rate_limit_key = 1000;
  int rate_limit_organization = 2000;
  // Of one organisation. 0: any number.
  int max_configurations = 10'000;
  int max_api_keys = 10'000;  // Revoked ones among them.
  int max_accounts = 1'000'000;
  // That came back and were not completed: they failed, or are under way.
  int max_unfinished_flows = 16'000;
  int max_pending_connections = 10'000;
  // OAuth states that are good and stored because the network carries short ones only.
  int max_stored_states = 10'000;

  // Connections are refreshed before they die unused (server/flow/refresh_due.h). Off for a
  // restored database: its refresh tokens may have been used since.
  bool refresher = true;
  // Requests a second that the background makes to one network.
  int refresh_rate_per_network = 5;
  // How often each active account is checked that nobody uses; 0: never.
  absl::Duration health_check_interval = absl::ZeroDuration();

  int max_request_bytes = 64 * 1024;
  int max_metadata_bytes = 8 * 1024;
  int max_connections = 4096;
  // Those whose peer has not finished its handshake, with its certificate, are not among them.
  int max_handshakes = 256;
  int max_concurrent_streams = 128;
  absl::Duration handshake_timeout = absl::Seconds(5);
  absl::Duration max_connection_idle = absl::Minutes(5);
  absl::Duration max_connection_age = absl::Minutes(10);
  absl::Duration max_connection_age_grace = absl::Seconds(15);
  absl::Duration keepalive_time = absl::Seconds(60);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  absl::Duration min_client_ping_interval = absl::Seconds(30);

  // How long to go on serving after SIGTERM while load balancers notice, and how long calls in
  // flight may then take.
  absl::Duration drain_delay = absl::Seconds(1);
  absl::Duration shutdown_grace = absl::Seconds(10);

  // What the request path needs of the database is kept in memory up to this; 0 keeps nothing.
  int cache_mib = 64;
  // "host:port" on which Prometheus may read the metrics; empty for nowhere.
  std::string metrics_listen;
  // Serve them on an address other machines can reach. They need no key, and tell who calls how
  // often.
  bool metrics_open_to_network = false;

  // "debug", "info", "warning" or "error".
  std::string log_level = "info";

  // A word on the command line that is not a flag; always a mistake.
  std::string unexpected_argument;

  // Which build this is (core/version.h). No flags.
  std::string version;
  std::string revision;
};

// Reads the flags. Unknown flags and malformed values end the process with one line on stderr and
// exit code 1, --help and --version with what they ask for and 0; it is Abseil that does this.
// `version_line` is what --version prints.
Config ConfigFromFlags(int argc, char** argv, const std::string& version_line);

// InvalidArgumentError with one sentence that names the flag and says what to change, if a value or
// a combination of values cannot work or is not safe.
absl::Status VerifyConfig(const Config& config);

// Whether only this machine can reach the address: a loopback IP, "localhost", or a Unix socket.
bool IsLocalAddress(const std::string& listen);

}  // namespace authurl
