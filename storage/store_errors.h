// store_errors.h: the errors of the credential store that are meant for callers, one for each
// reason.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace authurl {

// `status`, with a `code` that says nothing to a caller replaced by the given error.
absl::Status Explain(const absl::Status& status, absl::StatusCode code,
                     const absl::Status& explained);

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

// The configuration can't be changed, or deleted, like this while it is in use. `why` is a sentence
// without a final stop.
absl::Status ConfigurationInUse(absl::string_view id, absl::string_view why);
// Its client was changed while a flow was under way.
absl::Status ConfigurationChanged(absl::string_view id);

absl::Status StateAlreadyUsed();
absl::Status CompletionInProgress();
absl::Status CompletionUnknown();
// As many flows of the organisation as it may have are not completed.
absl::Status TooManyUnfinishedFlows(int64_t limit);

// Neither quotes the session token.
absl::Status RevocationInProgress(absl::string_view id);
absl::Status SessionNotFound();
absl::Status SessionExpired();
absl::Status SessionAlreadyUsed();
absl::Status SessionBindingMismatch();
absl::Status ChoiceNotFound(absl::string_view id);
absl::Status TooManyChoices(int limit);
absl::Status TooManyPendingConnections(int64_t limit);

absl::Status EventNotFound(absl::string_view id);
absl::Status EventsExpired();

absl::Status TooManyImports(int64_t limit);

absl::Status SocialAccountNotFound(absl::string_view id);
absl::Status TooManyAccounts(absl::string_view org_id, int64_t limit);
absl::Status TooManyAccountsOfGrant(int limit);
absl::Status GrantNotFound(absl::string_view id);

absl::Status WebhookNotFound(absl::string_view id);
absl::Status WebhookDisabled(absl::string_view id);
absl::Status TooManyWebhooks(absl::string_view org_id, int limit);
absl::Status TooManyReplays(int limit);

}  // namespace authurl
