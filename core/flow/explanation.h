// explanation.h: tells what GetAuthUrl would put into a URL, and why, without minting one.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/flow/auth_request.h"

namespace authurl {

// What stands in for the values that are made anew for each URL.
inline constexpr absl::string_view kStatePlaceholder = "<state>";
inline constexpr absl::string_view kCodeChallengePlaceholder = "<code_challenge>";
inline constexpr absl::string_view kNoncePlaceholder = "<nonce>";

// The parameters come from the very list that the URL is built from (core/flow/auth_url.h).
// Warnings are those of ConfigurationWarnings() that apply to this request, the configuration's
// redirect URIs that the network has come to refuse, a URL that is too long whatever its state, and
// what authurl's own callback can't do for want of a session_binding or a return URI.
v1::ExplainAuthUrlResponse ExplainAuthUrl(const AuthRequest& request,
                                          const record::v1::SocialNetworkSettings& settings,
                                          const ChosenRedirectUri& redirect_uri);

// What is well formed in a configuration and will still disappoint: the catalog's warnings for its
// scopes and each of its redirect URIs, redirect URIs that few networks take, and credentials that
// look like others or end soon; `client_secret`, where one is given, among them. One sentence each,
// without a final stop and without secrets; none twice.
std::vector<std::string> ConfigurationWarnings(const catalog::v1::Network& network,
                                               const record::v1::SocialNetworkSettings& settings,
                                               absl::Time now,
                                               absl::string_view client_secret = "");

}  // namespace authurl
