// outbound_options.h: what the operator, or a test, says about how others are asked.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/outbound/address_guard.h"
#include "server/outbound/address_networks.h"
#include "server/outbound/circuit_breaker.h"
#include "server/outbound/resolver.h"

namespace authurl {

struct OutboundOptions {
  std::string version;  // For the User-Agent, which is "authurl/<version>".
  // PEM file of the authorities that are trusted in place of the system's. Empty: the system's.
  std::string ca_file;
  // "http://host:port"; everything goes through it, but for plain http. Empty: none.
  std::string proxy;
  // The proxy lets nobody reach addresses that are not public. Without it, hosts of strangers are
  // refused where there is a proxy: their addresses are not seen here then.
  bool proxy_is_guarded = false;
  Nat64Prefix nat64;
  // Hosts of strangers may be on this machine or in a private network, on any port, and on this
  // machine may be asked by plain http.
  bool allow_local = false;
  // Where receivers of webhooks may be besides. Addresses at which clouds hand out credentials, and
  // what else is neither public nor private, stay refused.
  std::vector<AddressNetwork> receiver_networks;

  // Of each of the three kinds.
  int max_calls = 1024;
  int max_calls_per_host = 256;
  int max_calls_per_organization = 256;
  BreakerOptions breaker;
  absl::Duration connect_timeout = absl::Seconds(3);
  absl::Duration timeout = absl::Seconds(10);

  // For tests alone: no flag sets what follows.
  Resolver::Lookup lookup = LookUpHost;
  // "127.0.0.1:port": what is connected to whatever the URL says. No name is looked up then; TLS,
  // limits, breakers and what addresses are allowed stay as they are.
  std::string connect_to;
};

}  // namespace authurl
