// destination_rules.h: where calls of a kind may lead: by their URL, and by the address that is
// connected to in the end.
#pragma once

#include <sys/socket.h>

#include "absl/strings/string_view.h"
#include "server/outbound/curl_destination.h"
#include "server/outbound/http_client.h"
#include "server/outbound/outbound_options.h"

namespace authurl {

// Safe to use from many threads at once.
class DestinationRules final {
 public:
  // `options` outlives this.
  DestinationRules(HostTrust trust, const OutboundOptions& options)
      : trust_(trust), options_(options) {}
  DestinationRules(const DestinationRules&) = delete;
  DestinationRules& operator=(const DestinationRules&) = delete;

  // Why no call of this kind may lead there, for developers; empty where it may.
  absl::string_view WhyNotAllowed(const Destination& to) const;
  // Whether `address`, which was found for a destination that is allowed, may be connected to. Not
  // for the address of a proxy.
  bool MayConnect(const Destination& to, const sockaddr& address) const;

 private:
  const HostTrust trust_;
  const OutboundOptions& options_;
};

}  // namespace authurl
