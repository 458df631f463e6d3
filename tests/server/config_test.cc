#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Config GoodConfig() {
  Config config;
  config.database = "/data/authurl.sqlite3";
  config.key_ring_file = "/data/key_ring";
  return config;
}

void UseMutualTls(Config& config) {
  config.tls_cert_file = "cert.pem";
  config.tls_key_file = "key.pem";
  config.tls_client_ca_file = "ca.pem";
}

TEST(ConfigTest, DefaultsWithTheRequiredFilesAreGood) { EXPECT_OK(VerifyConfig(GoodConfig())); }

TEST(ConfigTest, EveryWrongValueIsNamedByItsFlag) {
  const struct {
    std::string start;
    std::function<void(Config&)> spoil;
  } table[] = {
      {"--database is missing", [](Config& c) { c.database = ""; }},
      {"--key_ring_file is missing", [](Config& c) { c.key_ring_file = ""; }},
      {"--log_level is \"loud\"", [](Config& c) { c.log_level = "loud"; }},
      {"--log_level is \"\"", [](Config& c) { c.log_level = ""; }},
      {"--read_workers is 0", [](Config& c) { c.read_workers = 0; }},
      {"--write_workers is 0", [](Config& c) { c.write_workers = 0; }},
      {"--cache_mib is -1", [](Config& c) { c.cache_mib = -1; }},
      {"--read_workers is 257", [](Config& c) { c.read_workers = 257; }},
      {"--write_workers is 257", [](Config& c) { c.write_workers = 257; }},
      {"--max_queued_reads is -1", [](Config& c) { c.max_queued_reads = -1; }},
      {"--max_queued_writes is 0", [](Config& c) { c.max_queued_writes = 0; }},
      {"--max_outbound_calls is 0", [](Config& c) { c.max_outbound_calls = 0; }},
      {"--max_outbound_calls_per_host is 0", [](Config& c) { c.max_outbound_calls_per_host = 0; }},
      {"--max_outbound_calls_per_organization is 0",
       [](Config& c) { c.max_outbound_calls_per_organization = 0; }},
      {"--refresh_rate_per_network is 0", [](Config& c) { c.refresh_rate_per_network = 0; }},
      {"--health_check_interval is 59m",
       [](Config& c) { c.health_check_interval = absl::Minutes(59); }},
      {"--health_check_interval is -1h",
       [](Config& c) { c.health_check_interval = -absl::Hours(1); }},
      {"--outbound_proxy_is_guarded needs --outbound_proxy",
       [](Config& c) { c.outbound_proxy_is_guarded = true; }},
      {"--outbound_proxy is not http://host:port", [](Config& c) { c.outbound_proxy = "proxy:1"; }},
      {"--outbound_proxy is not", [](Config& c) { c.outbound_proxy = "https://proxy.example:1"; }},
      {"--outbound_proxy is not", [](Config& c) { c.outbound_proxy = "http://proxy.example"; }},
      {"--outbound_proxy is not", [](Config& c) { c.outbound_proxy = "http://proxy.example:0"; }},
      {"--outbound_proxy is not", [](Config& c) { c.outbound_proxy = "http://proxy.example:1/"; }},
      {"--outbound_proxy is not", [](Config& c) { c.outbound_proxy = "http://a:b@c.example:1"; }},
      {"--nat64_prefix is not an IPv6 prefix", [](Config& c) { c.nat64_prefix = "10.0.0.0/8"; }},
      {"--webhook_allowed_networks names \"10.0.0.1\", which is not a block of addresses",
       [](Config& c) { c.webhook_allowed_networks = "10.0.0.1"; }},
      {"--webhook_allowed_networks names \"10.0.0.1/8\", which does not begin",
       [](Config& c) { c.webhook_allowed_networks = "fd00::/8,10.0.0.1/8"; }},
      {"--max_request_bytes is 10", [](Config& c) { c.max_request_bytes = 10; }},
      {"--max_metadata_bytes is 65537", [](Config& c) { c.max_metadata_bytes = 65537; }},
      {"--max_connections is 0", [](Config& c) { c.max_connections = 0; }},
      {"--max_handshakes is 0", [](Config& c) { c.max_handshakes = 0; }},
      {"--max_handshakes is 10001", [](Config& c) { c.max_handshakes = 10'001; }},
      {"--max_concurrent_streams is 0", [](Config& c) { c.max_concurrent_streams = 0; }},
      {"--state_ttl is 1h1s", [](Config& c) { c.state_ttl = absl::Seconds(3601); }},
      {"--state_ttl is 0", [](Config& c) { c.state_ttl = absl::ZeroDuration(); }},
      {"--state_ttl is -1m", [](Config& c) { c.state_ttl = -absl::Minutes(1); }},
      {"--state_ttl is inf", [](Config& c) { c.state_ttl = absl::InfiniteDuration(); }},
      {"--handshake_timeout is", [](Config& c) { c.handshake_timeout = absl::ZeroDuration(); }},
      {"--max_connection_idle is", [](Config& c) { c.max_connection_idle = absl::Hours(25); }},
      {"--max_connection_age is", [](Config& c) { c.max_connection_age = -absl::Hours(1); }},
      {"--max_connection_age_grace is",
       [](Config& c) { c.max_connection_age_grace = absl::Hours(25); }},
      {"--keepalive_time is", [](Config& c) { c.keepalive_time = absl::Milliseconds(1); }},
      {"--keepalive_timeout is", [](Config& c) { c.keepalive_timeout = absl::Hours(1); }},
      {"--min_client_ping_interval is",
       [](Config& c) { c.min_client_ping_interval = absl::ZeroDuration(); }},
      {"--drain_delay is", [](Config& c) { c.drain_delay = -absl::Seconds(1); }},
      {"--shutdown_grace is", [](Config& c) { c.shutdown_grace = absl::Hours(1); }},
      {"--listen is \"\"", [](Config& c) { c.listen = ""; }},
      {"--listen is \"localhost\"", [](Config& c) { c.listen = "localhost"; }},
      {"--listen is \":80\"", [](Config& c) { c.listen = ":80"; }},
      {"--listen is \"127.0.0.1:\"", [](Config& c) { c.listen = "127.0.0.1:"; }},
      {"--listen is \"127.0.0.1:65536\"", [](Config& c) { c.listen = "127.0.0.1:65536"; }},
      {"--listen is \"127.0.0.1:-1\"", [](Config& c) { c.listen = "127.0.0.1:-1"; }},
      {"--listen is \"127.0.0.1:http\"", [](Config& c) { c.listen = "127.0.0.1:http"; }},
      {"--listen names no absolute path", [](Config& c) { c.listen = "unix:"; }},
      {"--listen names no absolute path", [](Config& c) { c.listen = "unix:a.sock"; }},
      {"--listen is 0.0.0.0:50051, which other machines can reach",
       [](Config& c) { c.listen = "0.0.0.0:50051"; }},
      {"--listen is [::]:50051, which other machines", [](Config& c) { c.listen = "[::]:50051"; }},
      {"--listen is db.example.com:1, which other machines",
       [](Config& c) { c.listen = "db.example.com:1"; }},
      {"--tls_key_file is missing", [](Config& c) { c.tls_cert_file = "cert.pem"; }},
      {"--tls_cert_file is missing", [](Config& c) { c.tls_key_file = "key.pem"; }},
      {"--tls_client_ca_file needs", [](Config& c) { c.tls_client_ca_file = "ca.pem"; }},
      {"--public_base_url must", [](Config& c) { c.public_base_url = "example.com"; }},
      {"--public_base_url must begin with https://",
       [](Config& c) { c.public_base_url = "http://localhost"; }},
      {"--public_base_url must begin with https://",
       [](Config& c) { c.public_base_url = "com.example.app:/x"; }},
      {"--public_base_url must begin with https://",
       [](Config& c) {
         c.public_base_url = "http://example.com";
         c.allow_local_instances = true;
       }},
      {"--public_base_url must not end with a slash",
       [](Config& c) { c.public_base_url = "https://example.com/"; }},
      {"--public_base_url must not have a query",
       [](Config& c) { c.public_base_url = "https://example.com/a?b"; }},
      {"--public_base_url must not have a fragment",
       [](Config& c) { c.public_base_url = "https://example.com/#a"; }},
      {"unexpected argument \"serve\"", [](Config& c) { c.unexpected_argument = "serve"; }},
  };
  for (const auto& [start, spoil] : table) {
    Config config = GoodConfig();
    spoil(config);
    EXPECT_THAT(VerifyConfig(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                               AllOf(StartsWith(start), Not(HasSubstr("\n")))));
  }
}

TEST(ConfigTest, LimitsThemselvesAreGood) {
  Config config = GoodConfig();
  config.state_ttl = absl::Hours(1);
  config.read_workers = 256;
  config.write_workers = 256;
  config.max_metadata_bytes = 64 * 1024;
  config.drain_delay = absl::ZeroDuration();
  config.public_base_url = "https://example.com/authurl";
  config.listen = "unix:/run/authurl.sock";
  config.outbound_proxy = "http://10.0.0.1:3128";
  config.outbound_proxy_is_guarded = true;
  config.nat64_prefix = "2001:db8:64::/96";
  config.webhook_allowed_networks = "10.0.0.0/8,fd00::/8";
  config.health_check_interval = absl::Hours(1);
  config.refresh_rate_per_network = 10'000;
  EXPECT_OK(VerifyConfig(config));
  config.outbound_proxy = "http://[2001:db8::1]:3128";
  EXPECT_OK(VerifyConfig(config));
}

TEST(ConfigTest, CallbacksMayBeOnThisMachineWhereInstancesMay) {
  Config config = GoodConfig();
  config.allow_local_instances = true;
  for (const char* url :
       {"http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080/authurl"}) {
    config.public_base_url = url;
    EXPECT_OK(VerifyConfig(config)) << url;
  }
}

TEST(ConfigTest, StrangersAreServedOnlyByTheFlagThatSaysSo) {
  Config config = GoodConfig();
  config.listen = "0.0.0.0:50051";
  EXPECT_FALSE(VerifyConfig(config).ok());
  config.tls_cert_file = "cert.pem";
  config.tls_key_file = "key.pem";
  EXPECT_FALSE(VerifyConfig(config).ok()) << "TLS alone does not keep strangers out";
  config.dangerously_serve_strangers = true;
  EXPECT_OK(VerifyConfig(config));
  config.dangerously_serve_strangers = false;
  UseMutualTls(config);
  EXPECT_OK(VerifyConfig(config));
}

TEST(ConfigTest, MetricsAreServedToOtherMachinesOnlyByTheFlagThatSaysSo) {
  Config config = GoodConfig();
  for (const char* open : {"0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464", "metrics.internal:9464"}) {
    config.metrics_listen = open;
    config.metrics_open_to_network = false;
    EXPECT_THAT(VerifyConfig(config),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("--metrics_listen is"), HasSubstr(open),
                               HasSubstr("--metrics_open_to_network"))));
    config.metrics_open_to_network = true;
    EXPECT_OK(VerifyConfig(config));
  }
  config.metrics_open_to_network = false;
  config.metrics_listen = "127.0.0.1:9464";
  EXPECT_OK(VerifyConfig(config));
}

TEST(ConfigTest, OnlyLoopbackAndUnixSocketsAreLocal) {
  for (const char* local : {"127.0.0.1:50051", "127.8.9.10:1", "[::1]:50051", "localhost:0",
                            "unix:/run/authurl.sock"}) {
    EXPECT_TRUE(IsLocalAddress(local)) << local;
  }
  for (const char* other :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "192.168.1.1:1", "128.0.0.1:1", "example.com:1",
        "localhost.example.com:1", "127.0.0.1.example.com:1", "127.1:1", "0127.0.0.1:1",
        "[::ffff:127.0.0.1]:1", "2130706433:1", "127.0.0.1@example.com:1", "*:1", "::1:1",
        "127.0.0.1/x:1", "127.0.0.1#x.example.com:1"}) {
    EXPECT_FALSE(IsLocalAddress(other)) << other;
  }
}

}  // namespace
}  // namespace authurl::testing
