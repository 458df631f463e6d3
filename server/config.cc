#include "server/config.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "core/uri.h"
#include "server/outbound/address_guard.h"
#include "server/outbound/address_networks.h"

// One flag for each member of Config, with the same name and the same default.
#define AUTHURL_FLAG(type, name, help) ABSL_FLAG(type, name, authurl::Config().name, help)

AUTHURL_FLAG(std::string, listen,
             "Where to listen: host:port (port 0: any free one) or unix:/path");
AUTHURL_FLAG(std::string, database,
             "Required. SQLite file on a local disk; made if it is not there");
AUTHURL_FLAG(std::string, key_ring_file, "Required. Key ring; made by authurl-keygen key-ring");
AUTHURL_FLAG(std::string, rollback_file,
             "File that remembers how far the database has come, so that an older copy of it is "
             "noticed; by default the key ring's name with .rollback");
AUTHURL_FLAG(
    std::string, admin_key_file,
    "File with an API key that gets role ROLE_ADMIN; made by authurl-keygen api-key. Needed for "
    "a new database");
AUTHURL_FLAG(std::string, public_base_url,
             "https://host[:port][/path] under which browsers reach the gateway, which serves the "
             "callback /v1/social-networks/NETWORK/callback[/CONTEXT] there; used where neither "
             "request nor configuration names a redirect URI");
AUTHURL_FLAG(absl::Duration, state_ttl, "How long a handed-out URL is good for; at most 1h");
AUTHURL_FLAG(std::string, networks_file,
             "Protobuf text file with networks that are added to the built-in ones or take their "
             "place; read at start");
AUTHURL_FLAG(bool, allow_local_instances,
             "Take IP addresses and local names as instances (of Mastodon, for one), and http on "
             "this machine in --public_base_url and in the endpoints of --networks_file; for tests "
             "and private networks");
AUTHURL_FLAG(std::string, outbound_ca_file,
             "PEM file with the authorities whose certificates networks may show; by default the "
             "system's");
AUTHURL_FLAG(std::string, outbound_proxy,
             "http://host:port of the proxy through which networks are asked; empty for none. The "
             "environment's are not used");
AUTHURL_FLAG(bool, outbound_proxy_is_guarded,
             "The proxy lets nobody reach addresses that are not public. Without it, hosts that "
             "are not in the catalog (instances, for one) are not asked through a proxy");
AUTHURL_FLAG(std::string, nat64_prefix,
             "IPv6 prefix under which IPv4 addresses are reached here, such as 2001:db8:64::/96; "
             "64:ff9b::/96 is known without it");
AUTHURL_FLAG(std::string, webhook_allowed_networks,
             "Blocks of addresses, such as 10.0.0.0/8,fd00::/8, in which receivers of webhooks may "
             "be, on any port; without it they must have public addresses, and port 443");
AUTHURL_FLAG(int, max_outbound_calls,
             "Calls to networks at a time, as many again to hosts that are not in the catalog, and "
             "as many again to receivers of webhooks");
AUTHURL_FLAG(int, max_outbound_calls_per_host, "The same, to one host of a network");
AUTHURL_FLAG(int, max_outbound_calls_per_organization,
             "The same, for one organisation; half of either goes to one host for it");
AUTHURL_FLAG(std::string, tls_cert_file, "PEM file with the server's certificate chain");
AUTHURL_FLAG(std::string, tls_key_file, "PEM file with the private key of that certificate");
AUTHURL_FLAG(std::string, tls_client_ca_file,
             "PEM file with the authorities whose client certificates are taken; with it, every "
             "client must show one");
AUTHURL_FLAG(bool, dangerously_serve_strangers,
             "Listen on an address that other machines reach without asking for client "
             "certificates. Anyone who reaches it can then stop this server");
AUTHURL_FLAG(bool, reflection, "Serve gRPC reflection, so that grpcurl needs no proto files");
AUTHURL_FLAG(bool, channelz, "Serve gRPC channelz, for debugging connections");
AUTHURL_FLAG(int, read_workers, "Threads that read the database");
AUTHURL_FLAG(int, max_queued_reads, "Calls that may wait for one of them; more are shed");
AUTHURL_FLAG(int, write_workers,
             "Threads that write to the database; as many writes can share a commit");
AUTHURL_FLAG(int, max_queued_writes, "Calls that may wait for one of them; more are shed");
AUTHURL_FLAG(int, rate_limit_key,
             "Calls a second that an API key may make, twice as many at once; 0 for any number. A "
             "batch counts for each of its networks");
AUTHURL_FLAG(int, rate_limit_organization, "The same for all API keys of an organisation together");
AUTHURL_FLAG(int, max_configurations,
             "Configurations that one organisation may have; 0 for any number");
AUTHURL_FLAG(int, max_api_keys,
             "API keys that one organisation may have, revoked ones among them; 0 for any number");
AUTHURL_FLAG(int, max_accounts,
             "Connected accounts that one organisation may have; 0 for any number");
AUTHURL_FLAG(int, max_unfinished_flows,
             "Flows of one organisation that came back and failed, or are under way, until ten "
             "minutes after their states expire; 0 for any number");
AUTHURL_FLAG(int, max_pending_connections,
             "Flows of one organisation in which accounts are to be chosen; 0 for any number");
AUTHURL_FLAG(int, max_stored_states,
             "OAuth states of one organisation that may be stored at a time, for networks that "
             "carry short ones only; 0 for any number");
AUTHURL_FLAG(
    bool, refresher,
    "Refresh connections that would die unused. Switch it off (--refresher=false) for a "
    "database from a backup: its refresh tokens may have been used since, and some networks "
    "end a connection whose token is used twice");
AUTHURL_FLAG(int, refresh_rate_per_network,
             "Requests a second that refreshing and checking in the background may make to one "
             "network, or to one instance");
AUTHURL_FLAG(absl::Duration, health_check_interval,
             "How often to ask the networks whether each account still works, in the background; 0 "
             "for never, else at least 1h");
AUTHURL_FLAG(int, max_request_bytes, "Largest request message");
AUTHURL_FLAG(int, max_metadata_bytes, "Largest sum of a call's metadata");
AUTHURL_FLAG(int, max_connections, "Connections at a time; more are closed at once");
AUTHURL_FLAG(int, max_handshakes,
             "Connections at a time, besides those, that have not finished their handshake; when "
             "there are more, the address that has most of them loses its oldest");
AUTHURL_FLAG(int, max_concurrent_streams, "Calls at a time on one connection");
AUTHURL_FLAG(absl::Duration, handshake_timeout,
             "A connection that has not said hello by then is closed");
AUTHURL_FLAG(absl::Duration, max_connection_idle,
             "A connection without calls is closed after that");
AUTHURL_FLAG(absl::Duration, max_connection_age, "A connection is renewed after that");
AUTHURL_FLAG(absl::Duration, max_connection_age_grace, "Calls on an aged connection may take that");
AUTHURL_FLAG(absl::Duration, keepalive_time, "A silent connection is pinged after that");
AUTHURL_FLAG(absl::Duration, keepalive_timeout, "A ping that is not answered by then closes it");
AUTHURL_FLAG(absl::Duration, min_client_ping_interval,
             "Clients that ping more often without calls are sent away");
AUTHURL_FLAG(absl::Duration, drain_delay,
             "After SIGTERM: how long to go on serving while load balancers notice");
AUTHURL_FLAG(absl::Duration, shutdown_grace,
             "After the drain delay: how long calls in flight may take");
AUTHURL_FLAG(
    int, cache_mib,
    "Memory for API keys, configurations and accounts with their tokens (sealed) that were "
    "read before, in MiB; 0 for none");
AUTHURL_FLAG(std::string, metrics_listen,
             "host:port on which Prometheus may read /metrics, without a key; empty for nowhere");
AUTHURL_FLAG(bool, metrics_open_to_network,
             "Let --metrics_listen be an address that other machines reach");
AUTHURL_FLAG(std::string, log_level, "debug, info, warning or error");

namespace authurl {
namespace {

absl::Status Wrong(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " ", what));
}

absl::Status VerifyNumbers(const Config& config) {
  const struct {
    absl::string_view flag;
    int value, min, max;
  } numbers[] = {
      {"read_workers", config.read_workers, 1, 256},
      {"write_workers", config.write_workers, 1, 256},
      {"cache_mib", config.cache_mib, 0, 1024 * 1024},
      {"max_queued_reads", config.max_queued_reads, 1, 1'000'000},
      {"max_queued_writes", config.max_queued_writes, 1, 1'000'000},
      {"rate_limit_key", config.rate_limit_key, 0, 10'000'000},
      {"rate_limit_organization", config.rate_limit_organization, 0, 10'000'000},
      {"max_configurations", config.max_configurations, 0, 100'000'000},
      {"max_api_keys", config.max_api_keys, 0, 100'000'000},
      {"max_accounts", config.max_accounts, 0, 100'000'000},
      {"max_unfinished_flows", config.max_unfinished_flows, 0, 100'000'000},
      {"max_pending_connections", config.max_pending_connections, 0, 100'000'000},
      {"max_stored_states", config.max_stored_states, 0, 100'000'000},
      {"max_outbound_calls", config.max_outbound_calls, 1, 100'000},
      {"max_outbound_calls_per_host", config.max_outbound_calls_per_host, 1, 100'000},
      {"max_outbound_calls_per_organization", config.max_outbound_calls_per_organization, 1,
       100'000},
      {"refresh_rate_per_network", config.refresh_rate_per_network, 1, 10'000},
      {"max_request_bytes", config.max_request_bytes, 1024, 16 * 1024 * 1024},
      {"max_metadata_bytes", config.max_metadata_bytes, 1024, 64 * 1024},
      {"max_connections", config.max_connections, 1, 1'000'000},
      {"max_handshakes", config.max_handshakes, 1, 10'000},
      {"max_concurrent_streams", config.max_concurrent_streams, 1, 1'000'000},
  };
  for (const auto& number : numbers) {
    if (number.value < number.min || number.value > number.max) {
      return Wrong(number.flag, absl::StrCat("is ", number.value, "; set it to ", number.min,
                                             " to ", number.max));
    }
  }
  return absl::OkStatus();
}

absl::Status VerifyDurations(const Config& config) {
  const absl::Duration day = absl::Hours(24);
  const struct {
    absl::string_view flag;
    absl::Duration value, min, max;
  } durations[] = {
      {"state_ttl", config.state_ttl, absl::Seconds(1), kMaxStateLifetime},
      {"handshake_timeout", config.handshake_timeout, absl::Milliseconds(100), absl::Minutes(2)},
      {"max_connection_idle", config.max_connection_idle, absl::Seconds(1), day},
      {"max_connection_age", config.max_connection_age, absl::Seconds(1), day},
      {"max_connection_age_grace", config.max_connection_age_grace, absl::Seconds(1), day},
      {"keepalive_time", config.keepalive_time, absl::Seconds(1), day},
      {"keepalive_timeout", config.keepalive_timeout, absl::Seconds(1), absl::Minutes(10)},
      {"min_client_ping_interval", config.min_client_ping_interval, absl::Seconds(1), day},
      {"drain_delay", config.drain_delay, absl::ZeroDuration(), absl::Minutes(10)},
      {"shutdown_grace", config.shutdown_grace, absl::Milliseconds(100), absl::Minutes(10)},
  };
  for (const auto& duration : durations) {
    if (duration.value < duration.min || duration.value > duration.max) {
      return Wrong(duration.flag, absl::StrCat("is ", absl::FormatDuration(duration.value),
                                               "; set it to ", absl::FormatDuration(duration.min),
                                               " to ", absl::FormatDuration(duration.max)));
    }
  }
  const absl::Duration interval = config.health_check_interval;
  if (interval != absl::ZeroDuration() && (interval < absl::Hours(1) || interval > 365 * day)) {
    return Wrong("health_check_interval", absl::StrCat("is ", absl::FormatDuration(interval),
                                                       "; set it to 1h to 8760h, or 0 for never"));
  }
  return absl::OkStatus();
}

absl::Status VerifyListener(const Config& config) {
  if (absl::StartsWith(config.listen, "unix:")) {
    if (config.listen.size() < 6 || config.listen[5] != '/') {
      return Wrong("listen", "names no absolute path: write unix:/path");
    }
    return absl::OkStatus();
  }
  const size_t colon = config.listen.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(config.listen.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return Wrong("listen",
                 absl::StrCat("is ", Quoted(config.listen), "; write host:port or unix:/path"));
  }
  return absl::OkStatus();
}

absl::Status VerifyTls(const Config& config) {
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    return Wrong(config.tls_cert_file.empty() ? "tls_cert_file" : "tls_key_file",
                 "is missing: certificate and key go together");
  }
  if (!config.tls_client_ca_file.empty() && config.tls_cert_file.empty()) {
    return Wrong("tls_client_ca_file", "needs --tls_cert_file and --tls_key_file");
  }
  if (IsLocalAddress(config.listen) || config.dangerously_serve_strangers) return absl::OkStatus();
  if (!config.tls_client_ca_file.empty()) return absl::OkStatus();
  return Wrong("listen", absl::StrCat("is ", config.listen,
                                      ", which other machines can reach: ask for client "
                                      "certificates with --tls_client_ca_file, or listen on "
                                      "127.0.0.1 or a Unix socket behind the gateway"));
}

absl::Status VerifyMetrics(const Config& config) {
  if (config.metrics_listen.empty() || config.metrics_open_to_network) return absl::OkStatus();
  if (IsLocalAddress(config.metrics_listen)) return absl::OkStatus();
  return Wrong("metrics_listen",
               absl::StrCat("is ", config.metrics_listen,
                            ", which other machines can reach, and whoever asks for metrics needs "
                            "no key: listen on 127.0.0.1, or add --metrics_open_to_network where "
                            "only Prometheus reaches that address"));
}

absl::Status VerifyOutbound(const Config& config) {
  if (config.outbound_proxy_is_guarded && config.outbound_proxy.empty()) {
    return Wrong("outbound_proxy_is_guarded", "needs --outbound_proxy");
  }
  if (!config.nat64_prefix.empty()) {
    const absl::StatusOr<Nat64Prefix> prefix = ParseNat64Prefix(config.nat64_prefix);
    if (!prefix.ok()) return Wrong("nat64_prefix", prefix.status().message());
  }
  const auto receivers = ParseAddressNetworks(config.webhook_allowed_networks);
  if (!receivers.ok()) return Wrong("webhook_allowed_networks", receivers.status().message());
  if (config.outbound_proxy.empty()) return absl::OkStatus();
  absl::string_view address = config.outbound_proxy;
  const size_t colon = address.rfind(':');
  int port = 0;
  if (!absl::ConsumePrefix(&address, "http://") || !absl::StrContains(address, ':') ||
      !CheckHost(address.substr(0, address.rfind(':'))).ok() ||
      !absl::SimpleAtoi(config.outbound_proxy.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    // It may hold a password, which has no place there.
    return Wrong("outbound_proxy", "is not http://host:port");
  }
  return absl::OkStatus();
}

absl::Status VerifyPublicBaseUrl(const Config& config) {
  const std::string& url = config.public_base_url;
  if (url.empty()) return absl::OkStatus();
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  if (!uri.ok()) return Wrong("public_base_url", uri.status().message());
  const bool is_local =
      uri->host_kind == HostKind::kLoopbackIp || uri->host_kind == HostKind::kLocalhost;
  if (uri->scheme == "http" && is_local) {
    if (!config.allow_local_instances) {
      return Wrong("public_base_url",
                   "must begin with https://; http is taken with --allow_local_instances, for "
                   "trying it out on one machine");
    }
  } else if (uri->scheme != "https") {
    return Wrong("public_base_url", "must begin with https://");
  }
  if (uri->query.has_value()) return Wrong("public_base_url", "must not have a query");
  if (absl::EndsWith(url, "/")) return Wrong("public_base_url", "must not end with a slash");
  return absl::OkStatus();
}

}  // namespace

Config ConfigFromFlags(int argc, char** argv, const std::string& version_line) {
  absl::SetProgramUsageMessage(
      "hands out OAuth authorization URLs of social networks over gRPC.\n"
      "  authurl-server --database FILE --key_ring_file FILE [--admin_key_file FILE] [flags]\n"
      "Flags from a file: --flagfile=FILE.");
  // Abseil would look for flags in a file of the program's name.
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::EndsWith(file, "server/config.cc");
  };
  usage.contains_helpshort_flags = usage.contains_help_flags;
  usage.normalize_filename = [](absl::string_view file) {
    const size_t start = file.rfind("server/");
    return std::string(start == absl::string_view::npos ? file : file.substr(start));
  };
  usage.version_string = [version_line] { return version_line; };
  absl::SetFlagsUsageConfig(usage);
  const std::vector<char*> positional = absl::ParseCommandLine(argc, argv);
  Config config;
  config.listen = absl::GetFlag(FLAGS_listen);
  config.database = absl::GetFlag(FLAGS_database);
  config.key_ring_file = absl::GetFlag(FLAGS_key_ring_file);
  config.rollback_file = absl::GetFlag(FLAGS_rollback_file);
  config.admin_key_file = absl::GetFlag(FLAGS_admin_key_file);
  config.public_base_url = absl::GetFlag(FLAGS_public_base_url);
  config.state_ttl = absl::GetFlag(FLAGS_state_ttl);
  config.networks_file = absl::GetFlag(FLAGS_networks_file);
  config.allow_local_instances = absl::GetFlag(FLAGS_allow_local_instances);
  config.outbound_ca_file = absl::GetFlag(FLAGS_outbound_ca_file);
  config.outbound_proxy = absl::GetFlag(FLAGS_outbound_proxy);
  config.outbound_proxy_is_guarded = absl::GetFlag(FLAGS_outbound_proxy_is_guarded);
  config.nat64_prefix = absl::GetFlag(FLAGS_nat64_prefix);
  config.webhook_allowed_networks = absl::GetFlag(FLAGS_webhook_allowed_networks);
  config.max_outbound_calls = absl::GetFlag(FLAGS_max_outbound_calls);
  config.max_outbound_calls_per_host = absl::GetFlag(FLAGS_max_outbound_calls_per_host);
  config.max_outbound_calls_per_organization =
      absl::GetFlag(FLAGS_max_outbound_calls_per_organization);
  config.tls_cert_file = absl::GetFlag(FLAGS_tls_cert_file);
  config.tls_key_file = absl::GetFlag(FLAGS_tls_key_file);
  config.tls_client_ca_file = absl::GetFlag(FLAGS_tls_client_ca_file);
  config.dangerously_serve_strangers = absl::GetFlag(FLAGS_dangerously_serve_strangers);
  config.reflection = absl::GetFlag(FLAGS_reflection);
  config.channelz = absl::GetFlag(FLAGS_channelz);
  config.read_workers = absl::GetFlag(FLAGS_read_workers);
  config.max_queued_reads = absl::GetFlag(FLAGS_max_queued_reads);
  config.write_workers = absl::GetFlag(FLAGS_write_workers);
  config.max_queued_writes = absl::GetFlag(FLAGS_max_queued_writes);
  config.rate_limit_key = absl::GetFlag(FLAGS_rate_limit_key);
  config.rate_limit_organization = absl::GetFlag(FLAGS_rate_limit_organization);
  config.max_configurations = absl::GetFlag(FLAGS_max_configurations);
  config.max_api_keys = absl::GetFlag(FLAGS_max_api_keys);
  config.max_accounts = absl::GetFlag(FLAGS_max_accounts);
  config.max_unfinished_flows = absl::GetFlag(FLAGS_max_unfinished_flows);
  config.max_pending_connections = absl::GetFlag(FLAGS_max_pending_connections);
  config.max_stored_states = absl::GetFlag(FLAGS_max_stored_states);
  config.refresher = absl::GetFlag(FLAGS_refresher);
  config.refresh_rate_per_network = absl::GetFlag(FLAGS_refresh_rate_per_network);
  config.health_check_interval = absl::GetFlag(FLAGS_health_check_interval);
  config.max_request_bytes = absl::GetFlag(FLAGS_max_request_bytes);
  config.max_metadata_bytes = absl::GetFlag(FLAGS_max_metadata_bytes);
  config.max_connections = absl::GetFlag(FLAGS_max_connections);
  config.max_handshakes = absl::GetFlag(FLAGS_max_handshakes);
  config.max_concurrent_streams = absl::GetFlag(FLAGS_max_concurrent_streams);
  config.handshake_timeout = absl::GetFlag(FLAGS_handshake_timeout);
  config.max_connection_idle = absl::GetFlag(FLAGS_max_connection_idle);
  config.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  config.max_connection_age_grace = absl::GetFlag(FLAGS_max_connection_age_grace);
  config.keepalive_time = absl::GetFlag(FLAGS_keepalive_time);
  config.keepalive_timeout = absl::GetFlag(FLAGS_keepalive_timeout);
  config.min_client_ping_interval = absl::GetFlag(FLAGS_min_client_ping_interval);
  config.drain_delay = absl::GetFlag(FLAGS_drain_delay);
  config.shutdown_grace = absl::GetFlag(FLAGS_shutdown_grace);
  config.cache_mib = absl::GetFlag(FLAGS_cache_mib);
  config.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  config.metrics_open_to_network = absl::GetFlag(FLAGS_metrics_open_to_network);
  config.log_level = absl::GetFlag(FLAGS_log_level);
  if (positional.size() > 1) config.unexpected_argument = positional[1];
  return config;
}

absl::Status VerifyConfig(const Config& config) {
  if (!config.unexpected_argument.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument ", Quoted(config.unexpected_argument),
                     ": every setting is a flag such as --listen=127.0.0.1:50051"));
  }
  if (config.database.empty()) return Wrong("database", "is missing: name the SQLite file");
  if (config.key_ring_file.empty()) {
    return Wrong("key_ring_file", "is missing: make one with authurl-keygen key-ring FILE");
  }
  constexpr std::array<absl::string_view, 4> kLevels = {"debug", "info", "warning", "error"};
  if (std::find(kLevels.begin(), kLevels.end(), config.log_level) == kLevels.end()) {
    return Wrong("log_level", absl::StrCat("is ", Quoted(config.log_level),
                                           "; write debug, info, warning or error"));
  }
  for (const auto verify : {VerifyNumbers, VerifyDurations, VerifyListener, VerifyTls,
                            VerifyMetrics, VerifyOutbound, VerifyPublicBaseUrl}) {
    if (absl::Status status = verify(config); !status.ok()) return status;
  }
  return absl::OkStatus();
}

bool IsLocalAddress(const std::string& listen) {
  if (absl::StartsWith(listen, "unix:")) return true;
  const std::string host = listen.substr(0, listen.rfind(':'));
  if (host == "localhost" || host == "[::1]") return true;
  // 127.0.0.0/8 in its one canonical spelling, as core/uri.h reads hosts.
  const std::string url = absl::StrCat("https://", host, "/");
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  return uri.ok() && uri->host_kind == HostKind::kLoopbackIp && uri->host == host;
}

}  // namespace authurl
