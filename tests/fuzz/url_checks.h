// url_checks.h: what holds of every authorization URL.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "authurl/record/v1/record.pb.h"
#include "core/flow/auth_request.h"

namespace authurl::fuzz {

// Decoded, in the order of the URL.
using Parameters = std::vector<std::pair<std::string, std::string>>;

// Mints a URL and checks it: endpoint, spelling, parameters, fragment, the state inside it, and
// that its explanation says the same. The parameters of the URL.
Parameters MintAndCheck(const AuthRequest& request,
                        const record::v1::SocialNetworkSettings& settings,
                        const ChosenRedirectUri& redirect_uri);

// The value of the parameter; empty where there is none.
std::string ValueOf(const Parameters& parameters, absl::string_view name);

}  // namespace authurl::fuzz
