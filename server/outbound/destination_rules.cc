#include "server/outbound/destination_rules.h"

#include "server/outbound/address_guard.h"
#include "server/outbound/address_networks.h"

namespace authurl {

absl::string_view DestinationRules::WhyNotAllowed(const Destination& to) const {
  if (!to.is_https && !(options_.allow_local && to.is_this_machine)) return "its URL is not https";
  if (trust_ == HostTrust::kCatalog) return "";
  const bool may_have_any_port = options_.allow_local || (trust_ == HostTrust::kReceiver &&
                                                          !options_.receiver_networks.empty());
  if (to.port != 443 && !may_have_any_port) return "its URL has another port than 443";
  if (!options_.proxy.empty() && !options_.proxy_is_guarded) {
    return "the proxy is not known to keep it from addresses that are not public "
           "(--outbound_proxy_is_guarded)";
  }
  return "";
}

bool DestinationRules::MayConnect(const Destination& to, const sockaddr& address) const {
  const AddressKind kind = JudgeAddress(address, options_.nat64);
  // Plain http goes no further than this machine, whatever its name was said to be.
  if (!to.is_https && kind != AddressKind::kLoopback) return false;
  if (trust_ == HostTrust::kCatalog) return true;
  const bool is_named =
      trust_ == HostTrust::kReceiver && IsInNetworks(address, options_.receiver_networks);
  switch (kind) {
    case AddressKind::kPublic:
      return is_named || PortOf(address) == 443;
    case AddressKind::kLoopback:
    case AddressKind::kPrivate:
      return is_named || options_.allow_local;
    case AddressKind::kReserved:
      return false;
  }
  return false;
}

}  // namespace authurl
