// social_network.h: an organisation's OAuth app for one network: checking what a caller sends, and
// applying it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// The configuration that the request describes, without id, organisation, times and rank.
// INVALID_ARGUMENT INVALID_PAYLOAD with every faulty field; FAILED_PRECONDITION
// NETWORK_HAS_NO_AUTH_URL where the network needs no OAuth app.
absl::StatusOr<record::v1::SocialNetworkSettings> NewSocialNetwork(
    const NetworkCatalog& catalog, const v1::CreateSocialNetworkRequest& request);

// What can be said of an update without knowing the configuration: INVALID_ARGUMENT INVALID_PAYLOAD
// for an id that is missing or a mask that names what can't be changed.
absl::Status ValidateUpdate(const v1::UpdateSocialNetworkRequest& request);
// Changes what the request sets (see its update_mask) and nothing else. INVALID_ARGUMENT
// INVALID_PAYLOAD with every faulty field, those that ValidateUpdate() finds among them.
// `client_secret`: the one in use; where it stays, it must not lose what it needs, such as the
// extra_params that a private key signs. One that lacks it already is none of this request's
// faults.
absl::Status ApplyUpdate(const NetworkCatalog& catalog,
                         const v1::UpdateSocialNetworkRequest& request,
                         absl::string_view client_secret,
                         record::v1::SocialNetworkSettings& settings);
// Whether the update replaces the client secret.
bool UpdatesSecret(const v1::UpdateSocialNetworkRequest& request);
// Whether the update makes the configuration the default one.
bool MakesDefault(const v1::UpdateSocialNetworkRequest& request);
// Whether the URI is one of the configuration's allowed_redirect_uris, to the letter.
bool ListsRedirectUri(const record::v1::SocialNetworkSettings& settings, absl::string_view uri);
// Whether no URL is handed out without a session_binding.
bool RequiresSessionBinding(const record::v1::SocialNetworkSettings& settings);

}  // namespace authurl
