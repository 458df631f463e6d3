#include "server/flow/connection.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using record::v1::Grant;
using record::v1::SocialAccount;

Grant GrantOf(const OpenedResponse& opened, const Consent& consent) {
  const state::v1::AuthState& state = opened.opened.state;
  Grant grant;
  grant.set_org_id(state.org_id());
  grant.set_social_network_id(state.social_network_id());
  grant.set_social_network_version(state.social_network_version());
  grant.set_network(state.network());
  grant.set_instance(state.instance());
  grant.set_variant(state.variant());
  grant.set_client_id(opened.settings.client_key());
  grant.set_subject(consent.person.id);
  return grant;
}

// What was granted, where the network said so, and what was asked for besides.
template <typename Record>
void SetScopes(const OpenedResponse& opened, const Consent& consent, Record& record) {
  if (!consent.tokens.scopes) return;
  const std::vector<std::string>& granted = *consent.tokens.scopes;
  record.mutable_granted_scopes()->Add(granted.begin(), granted.end());
  for (const std::string& asked : opened.scopes) {
    const bool is_granted = std::find(granted.begin(), granted.end(), asked) != granted.end();
    if (!is_granted) record.add_missing_scopes(asked);
  }
}

NewAccount AccountOf(const SocialAccount& common, const ProfileData& profile,
                     absl::string_view access_token) {
  NewAccount made = {.account = common, .access_token = access_token};
  made.account.set_network_unique_id(profile.id);
  made.account.set_username(profile.username);
  made.account.set_display_name(profile.display_name);
  made.account.set_avatar_url(profile.avatar_url);
  return made;
}

}  // namespace

record::v1::AccountType ListedAccountType(const catalog::v1::Network& network) {
  return network.accounts().organizations() ? record::v1::ACCOUNT_TYPE_ORGANIZATION
                                            : record::v1::ACCOUNT_TYPE_PERSONAL;
}

absl::StatusOr<Connection> ConnectionOf(const OpenedResponse& opened, const Consent& consent,
                                        const SocialAccount* reconnected) {
  const state::v1::AuthState& state = opened.opened.state;
  // Whoever began the flow may act for this tenant only. Whose account it is could not be asked
  // then.
  if (reconnected != nullptr && !state.tenant_id().empty() &&
      reconnected->tenant_id() != state.tenant_id()) {
    return SocialAccountNotFound(reconnected->id());
  }
  Connection connection;
  connection.grant = GrantOf(opened, consent);

  SocialAccount common;
  common.set_social_network_id(state.social_network_id());
  common.set_network(state.network());
  common.set_instance(state.instance());
  common.set_variant(state.variant());
  common.set_tenant_id(reconnected == nullptr ? state.tenant_id() : reconnected->tenant_id());
  SetScopes(opened, consent, common);
  const bool is_person = consent.accounts.empty();
  common.set_account_type(is_person ? record::v1::ACCOUNT_TYPE_PERSONAL
                                    : ListedAccountType(*opened.network));
  if (is_person) connection.accounts.push_back(AccountOf(common, consent.person, ""));
  for (const AccountChoice& choice : consent.accounts) {
    connection.accounts.push_back(AccountOf(common, choice.profile, choice.access_token));
  }

  if (reconnected != nullptr) {
    std::erase_if(connection.accounts, [&](const NewAccount& made) {
      return made.account.network_unique_id() != reconnected->network_unique_id();
    });
    if (connection.accounts.empty() ||
        reconnected->social_network_id() != state.social_network_id()) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "ACCOUNT_MISMATCH",
          absl::StrCat("The person connected another account at ", opened.network->display_name(),
                       " than the one to be reconnected, and nothing was stored: let "
                       "the person sign in there as the owner of that account"));
    }
  }

  const bool waits_for_binding = state.is_hosted() && !state.session_binding_hash().empty();
  connection.needs_choice = waits_for_binding || connection.accounts.size() > 1 ||
                            (reconnected == nullptr && consent.has_more_accounts);
  connection.pending.set_tenant_id(common.tenant_id());
  connection.pending.set_session_binding_hash(state.session_binding_hash());
  SetScopes(opened, consent, connection.pending);
  return connection;
}

}  // namespace authurl
