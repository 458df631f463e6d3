#include "server/flow/token_at_hand.h"

#include <utility>

namespace authurl {

std::optional<absl::Time> TokenAtHand::expires_at() const {
  const int64_t end_ms = grant->record.access_token_expires_at_ms();
  if (account->record.has_own_token() || end_ms == 0) return std::nullopt;
  return absl::FromUnixMillis(end_ms);
}

std::optional<absl::StatusOr<TokenAtHand>> FindTokenAtHand(
    CredentialStore& store, const NetworkCatalog& catalog, absl::string_view org_id,
    absl::string_view account_id, const WantedToken& wanted, absl::Time now) {
  auto account = store.accounts().FindInMemory(org_id, account_id);
  if (!account) return std::nullopt;
  if (!account->ok()) return account->status();
  const record::v1::SocialAccount& of_account = (**account)->record;
  if (of_account.status() != record::v1::ACCOUNT_STATUS_ACTIVE) return std::nullopt;
  // Whatever changes the two together keeps both out of memory meanwhile. So the grant is no older
  // than the account, and may be newer.
  StoredWithSecretPtr<record::v1::Grant> grant = store.grants().FindInMemory(***account);
  if (grant == nullptr) return std::nullopt;
  const record::v1::Grant& of_grant = grant->record;
  if (of_grant.disconnected_at_ms() != 0) return std::nullopt;
  if (!of_account.has_own_token()) {
    const catalog::v1::Network* network =
        catalog.FindVariant(of_grant.network(), of_grant.variant());
    if (StateOf(network, of_grant, wanted, now) != TokenState::kGood) return std::nullopt;
  }
  return TokenAtHand{**std::move(account), std::move(grant)};
}

absl::StatusOr<OpenedAccessToken> Open(CredentialStore& store, const TokenAtHand& at_hand) {
  if (at_hand.account->record.has_own_token()) {
    return store.accounts().OpenAccessToken(*at_hand.account);
  }
  return store.grants().OpenAccessToken(*at_hand.grant);
}

}  // namespace authurl
