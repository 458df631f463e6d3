#include "server/outbound/destination_rules.h"

#include "server/outbound/address_guard.h"

namespace authurl {

absl::string_view DestinationRules::WhyNotAllowed(const Destination& to) const {
  if (!to.is_https && !(options_.allow_local && to.is_this_machine)) return "its URL is not https";
  if (trust_ == HostTrust::kCatalog) return "";
  if (to.port != 443 && !options_.allow_local) return "its URL has another port than 443";
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
  switch (kind) {
    case AddressKind::kPublic:
      return PortOf(address) == 443;
    case AddressKind::kLoopback:
    case AddressKind::kPrivate:
      return options_.allow_local;
    case AddressKind::kReserved:
      return false;
  }
  return false;
}

}  // namespace authurl
