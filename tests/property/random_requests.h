// random_requests.h: configurations and requests that are well formed, and otherwise random.
#pragma once

#include <string>

#include "authurl/catalog/v1/network.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "tests/property/dice.h"

namespace authurl::testing {

// For a network, or one of its variants: `network` is then the variant's entry.
v1::CreateSocialNetworkRequest RandomConfiguration(Dice& dice, const catalog::v1::Network& network,
                                                   const std::string& variant);
v1::GetAuthUrlRequest RandomRequest(Dice& dice, const catalog::v1::Network& network,
                                    const v1::CreateSocialNetworkRequest& configuration);

}  // namespace authurl::testing
