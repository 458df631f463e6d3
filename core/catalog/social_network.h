// social_network.h: an organisation's OAuth app for one network: checking what a caller sends, and
// applying it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
absl::Status ApplyUpdate(const NetworkCatalog& catalog,
                         const v1::UpdateSocialNetworkRequest& request,
                         record::v1::SocialNetworkSettings& settings);
// Whether the update replaces the client secret.
bool UpdatesSecret(const v1::UpdateSocialNetworkRequest& request);
// Whether the update makes the configuration the default one.
bool MakesDefault(const v1::UpdateSocialNetworkRequest& request);

}  // namespace authurl
