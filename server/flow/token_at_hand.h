// token_at_hand.h: an access token that memory has and that is good, without I/O and without a step
// on another thread. Where there is none, GrantRefresher::GetToken() gives one.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/catalog/network_catalog.h"
#include "server/flow/token_state.h"
#include "storage/credential_store.h"

namespace authurl {

// An account and its grant, whose token is good. It is sealed, and shared with the store's memory.
struct TokenAtHand {
  StoredWithSecretPtr<record::v1::SocialAccount> account;
  StoredWithSecretPtr<record::v1::Grant> grant;

  // Nothing: it has no end that is known.
  std::optional<absl::Time> expires_at() const;
};

// Nothing where GrantRefresher has to be asked: the database, or the network, or to tell why there
// is no token. SOCIAL_ACCOUNT_NOT_FOUND where memory knows as much. A token that was replaced
// before this is called is never found.
std::optional<absl::StatusOr<TokenAtHand>> FindTokenAtHand(
    CredentialStore& store, const NetworkCatalog& catalog, absl::string_view org_id,
    absl::string_view account_id, const WantedToken& wanted, absl::Time now);

// The account's own token, or the grant's. INTERNAL where it does not open.
absl::StatusOr<OpenedAccessToken> Open(CredentialStore& store, const TokenAtHand& at_hand);

}  // namespace authurl
