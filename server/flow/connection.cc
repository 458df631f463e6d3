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

// What was granted, where the network said so, and what was asked for besides.
template <typename Record>
void SetScopes(const AskedConsent& asked, const Consent& consent, Record& record) {
  if (!consent.tokens.scopes) return;
  const std::vector<std::string>& granted = *consent.tokens.scopes;
  record.mutable_granted_scopes()->Add(granted.begin(), granted.end());
  for (const std::string& scope : asked.scopes) {
    const bool is_granted = std::find(granted.begin(), granted.end(), scope) != granted.end();
    if (!is_granted) record.add_missing_scopes(scope);
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

Grant GrantOf(const AskedConsent& asked, const ProfileData& person) {
  const record::v1::SocialNetworkSettings& settings = asked.settings;
  Grant grant;
  grant.set_org_id(settings.org_id());
  grant.set_social_network_id(settings.id());
  grant.set_social_network_version(asked.social_network_version);
  grant.set_network(settings.network());
  grant.set_instance(settings.instance());
  grant.set_variant(settings.variant());
  grant.set_client_id(settings.client_key());
  grant.set_subject(person.id);
  return grant;
}

std::vector<NewAccount> AccountsOf(const AskedConsent& asked, const Consent& consent) {
  const bool is_person = consent.accounts.empty();
  SocialAccount common;
  common.set_social_network_id(asked.settings.id());
  common.set_network(asked.settings.network());
  common.set_instance(asked.settings.instance());
  common.set_variant(asked.settings.variant());
  common.set_tenant_id(std::string(asked.tenant_id));
  common.set_account_type(is_person ? record::v1::ACCOUNT_TYPE_PERSONAL
                                    : ListedAccountType(asked.network));
  SetScopes(asked, consent, common);
  std::vector<NewAccount> accounts;
  if (is_person) accounts.push_back(AccountOf(common, consent.person, ""));
  for (const AccountChoice& choice : consent.accounts) {
    accounts.push_back(AccountOf(common, choice.profile, choice.access_token));
  }
  return accounts;
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
  const AskedConsent asked = {
      .network = *opened.network,
      .settings = opened.settings,
      .social_network_version = state.social_network_version(),
      .tenant_id = reconnected == nullptr ? state.tenant_id() : reconnected->tenant_id(),
      .scopes = opened.scopes};
  Connection connection;
  connection.grant = GrantOf(asked, consent.person);
  connection.accounts = AccountsOf(asked, consent);

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
  connection.pending.set_tenant_id(std::string(asked.tenant_id));
  connection.pending.set_session_binding_hash(state.session_binding_hash());
  SetScopes(asked, consent, connection.pending);
  return connection;
}

}  // namespace authurl
