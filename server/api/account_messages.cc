#include "server/api/account_messages.h"

#include "absl/status/statusor.h"
#include "server/api/timestamps.h"
#include "server/flow/needs_reconnect.h"

namespace authurl {
namespace {

using record::v1::SocialAccount;

static_assert(static_cast<int>(v1::SocialAccount::ACCOUNT_TYPE_PERSONAL) ==
              static_cast<int>(record::v1::ACCOUNT_TYPE_PERSONAL));
static_assert(static_cast<int>(v1::SocialAccount::ACCOUNT_TYPE_ORGANIZATION) ==
              static_cast<int>(record::v1::ACCOUNT_TYPE_ORGANIZATION));
static_assert(static_cast<int>(v1::SocialAccount::STATUS_ACTIVE) ==
              static_cast<int>(record::v1::ACCOUNT_STATUS_ACTIVE));
static_assert(static_cast<int>(v1::SocialAccount::STATUS_NEEDS_RECONNECT) ==
              static_cast<int>(record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT));

}  // namespace

void ShowAccount(const NetworkCatalog& catalog, const SocialAccount& account,
                 v1::SocialAccount& shown) {
  shown.set_id(account.id());
  shown.set_org_id(account.org_id());
  shown.set_network(account.network());
  shown.set_instance(account.instance());
  shown.set_variant(account.variant());
  shown.set_social_network_id(account.social_network_id());
  shown.set_tenant_id(account.tenant_id());
  shown.set_network_unique_id(account.network_unique_id());
  shown.set_username(account.username());
  shown.set_display_name(account.display_name());
  shown.set_avatar_url(account.avatar_url());
  shown.set_account_type(static_cast<v1::SocialAccount::AccountType>(account.account_type()));
  shown.set_status(static_cast<v1::SocialAccount::Status>(account.status()));
  shown.set_status_reason(account.status_reason());
  if (!account.status_reason().empty()) {
    const bool is_active = account.status() == record::v1::ACCOUNT_STATUS_ACTIVE;
    shown.set_status_message((is_active ? WhyNotRefreshed : WhyReconnect)(
        catalog, account.network(), account.status_reason()));
  }
  *shown.mutable_scopes() = account.granted_scopes();
  *shown.mutable_missing_scopes() = account.missing_scopes();
  SetTimestamp(account.created_at_ms(), *shown.mutable_created_at());
  SetTimestamp(account.updated_at_ms(), *shown.mutable_updated_at());
  const int64_t checked_at_ms =
      account.checked_at_ms() == 0 ? account.created_at_ms() : account.checked_at_ms();
  SetTimestamp(checked_at_ms, *shown.mutable_checked_at());
}

absl::Status TokenEnds::AddTo(const SocialAccount& account, v1::SocialAccount& shown) {
  // Of an account's own token nothing is known.
  if (account.has_own_token()) return absl::OkStatus();
  auto known = ends_ms_.find(account.grant_id());
  if (known == ends_ms_.end()) {
    const absl::StatusOr<record::v1::Grant> grant =
        store_.grants().Get(context_, org_id_, account.grant_id());
    if (absl::IsUnavailable(grant.status())) return grant.status();
    const int64_t end_ms = grant.ok() ? grant->access_token_expires_at_ms() : 0;
    known = ends_ms_.emplace(account.grant_id(), end_ms).first;
  }
  if (known->second != 0) SetTimestamp(known->second, *shown.mutable_access_token_expires_at());
  return absl::OkStatus();
}

}  // namespace authurl
