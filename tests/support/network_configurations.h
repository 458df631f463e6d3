// network_configurations.h: configurations that a network takes, whatever it requires.
#pragma once

#include <string>
#include <vector>

#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"

namespace authurl::testing {

// Of networks that have instances.
inline constexpr char kTestInstance[] = "social.example.org";

// A way to use a network: the network as ListNetworks shows it, and one of its variants or none.
struct NetworkUse {
  v1::Network network;
  std::string variant;

  // "linkedin" or "linkedin/page".
  std::string name() const { return network.id() + (variant.empty() ? "" : "/" + variant); }
};

// Every use of every network that has an authorization URL.
std::vector<NetworkUse> UsesWithAuthUrls(const v1::ListNetworksResponse& networks);

// With instance and required parameters made up, and a client key that names the use.
v1::CreateSocialNetworkRequest ConfigurationFor(const NetworkUse& use);
// With a redirect URI that every network takes.
v1::GetAuthUrlRequest AuthUrlRequestFor(const NetworkUse& use);

}  // namespace authurl::testing
