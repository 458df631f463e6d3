// store_errors.h: the errors of the credential store that are meant for callers, one for each
// reason.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace authurl {

absl::Status OrganizationExists(absl::string_view org_id);
absl::Status OrganizationNotFound(absl::string_view org_id);
absl::Status OrganizationBeingDeleted(absl::string_view org_id);

absl::Status ApiKeyExists(absl::string_view key_id);
absl::Status TooManyApiKeys(absl::string_view org_id, int64_t limit);
absl::Status ApiKeyNotFound(absl::string_view key_id);

absl::Status SocialNetworkExists(absl::string_view network, absl::string_view instance,
                                 absl::string_view name);
absl::Status TooManyConfigurations(absl::string_view org_id, int64_t limit);
absl::Status TooManyOfNetwork(absl::string_view network, absl::string_view instance, int limit);
absl::Status SocialNetworkNotFound(absl::string_view id);
// `configuration` is what the caller called it by; empty for the default one.
absl::Status NetworkNotConfigured(absl::string_view network, absl::string_view instance,
                                  absl::string_view configuration);
absl::Status ClientSecretNotFound(absl::string_view id, uint64_t version);

absl::Status AuthStateNotFound();

}  // namespace authurl
