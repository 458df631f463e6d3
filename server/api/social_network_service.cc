#include "server/api/social_network_service.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/api_key.h"
#include "core/catalog/social_network.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/flow/explanation.h"
#include "core/flow/hosted_callback.h"
#include "server/api/left_networks.h"
#include "server/api/paging.h"
#include "server/api/timestamps.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

void Copy(const record::v1::SocialNetworkSettings& settings, bool is_default,
          v1::SocialNetwork& shown) {
  shown.set_id(settings.id());
  shown.set_network(settings.network());
  shown.set_instance(settings.instance());
  shown.set_client_key(settings.client_key());
  shown.set_default_redirect_uri(settings.default_redirect_uri());
  *shown.mutable_allowed_redirect_uris() = settings.allowed_redirect_uris();
  *shown.mutable_scopes() = settings.scopes();
  *shown.mutable_extra_params() = settings.extra_params();
  *shown.mutable_variables() = settings.variables();
  shown.set_variant(settings.variant());
  shown.set_name(settings.name());
  shown.set_is_default(is_default);
  *shown.mutable_allowed_return_uris() = settings.allowed_return_uris();
  shown.set_default_return_uri(settings.default_return_uri());
  shown.set_session_binding_policy(RequiresSessionBinding(settings)
                                       ? v1::SESSION_BINDING_POLICY_REQUIRED
                                       : v1::SESSION_BINDING_POLICY_OPTIONAL);
  shown.set_return_profile(settings.return_profile());
  SetTimestamp(settings.created_at_ms(), *shown.mutable_created_at());
  SetTimestamp(settings.updated_at_ms(), *shown.mutable_updated_at());
}

// Copies configurations of one organisation to a reply. Looks up which one is the default only once
// for each network and instance.
class Shown final {
 public:
  // Both must outlive this.
  Shown(CredentialStore& store, const Caller& caller) : store_(store), caller_(caller) {}

  absl::Status Add(const record::v1::SocialNetworkSettings& settings, v1::SocialNetwork& shown) {
    const auto [found, is_new] =
        default_ids_.try_emplace({settings.network(), settings.instance()});
    if (is_new) {
      absl::StatusOr<std::string> id = store_.social_networks().GetDefaultId(
          *caller_.context, caller_.org_id, settings.network(), settings.instance());
      if (!id.ok()) return id.status();
      found->second = *std::move(id);
    }
    Copy(settings, found->second == settings.id(), shown);
    return absl::OkStatus();
  }

 private:
  CredentialStore& store_;
  const Caller& caller_;
  std::map<std::pair<std::string, std::string>, std::string> default_ids_;
};

// Tells the caller and the operator what is well formed in a configuration and will still
// disappoint.
template <typename Response>
void Warn(const NetworkCatalog& catalog, const record::v1::SocialNetworkSettings& settings,
          absl::string_view client_secret, absl::Time now, Response& response) {
  const catalog::v1::Network* network = catalog.FindVariant(settings.network(), settings.variant());
  if (network == nullptr) return;
  for (const std::string& warning : ConfigurationWarnings(*network, settings, now, client_secret)) {
    response.add_warnings(warning);
    Log(LogLevel::kWarning, "configuration_warning",
        {{"social_network", settings.id()},
         {"network", settings.network()},
         {"org_id", settings.org_id()},
         {"text", warning}});
  }
}

// Once for all: the address that it is part of is registered at the instance.
void KeepCallbackContext(const KeyRing& keys, record::v1::SocialNetworkSettings& settings) {
  if (settings.instance().empty() || !settings.callback_context().empty()) return;
  settings.set_callback_context(
      CallbackContext(keys, settings.org_id(), settings.id(), settings.instance()));
}

absl::Status RequireId(absl::string_view id) {
  FieldViolations violations;
  if (id.empty()) violations.Add("id", "Required");
  return violations.ToStatus();
}

}  // namespace

SocialNetworkService::SocialNetworkService(const NetworkCatalog& catalog, const Sealer& sealer,
                                           CredentialStore& store, Clock clock, RandomSource random)
    : catalog_(catalog),
      sealer_(sealer),
      store_(store),
      clock_(std::move(clock)),
      random_(std::move(random)) {}

absl::Status SocialNetworkService::CreateSocialNetwork(
    const Caller& caller, const v1::CreateSocialNetworkRequest& request,
    v1::CreateSocialNetworkResponse& response) const {
  absl::StatusOr<record::v1::SocialNetworkSettings> settings = NewSocialNetwork(catalog_, request);
  if (!settings.ok()) return settings.status();
  settings->set_id(NewId(kSocialNetworkIdPrefix, random_));
  settings->set_org_id(caller.org_id);
  KeepCallbackContext(sealer_.keys(), *settings);
  settings->set_version(1);
  settings->set_created_at_ms(absl::ToUnixMillis(clock_()));
  settings->set_updated_at_ms(settings->created_at_ms());
  const absl::StatusOr<bool> is_default = store_.social_networks().Create(
      *caller.context, *settings, request.client_secret(), request.is_default());
  if (!is_default.ok()) return is_default.status();
  Copy(*settings, *is_default, *response.mutable_social_network());
  Warn(catalog_, *settings, request.client_secret(), clock_(), response);
  return absl::OkStatus();
}

absl::Status SocialNetworkService::ListSocialNetworks(
    const Caller& caller, const v1::ListSocialNetworksRequest& request,
    v1::ListSocialNetworksResponse& response) const {
  const std::string list = absl::StrCat("social_networks/", caller.org_id);
  FieldViolations violations;
  const Page page = ReadPage(sealer_, list, request.page_size(), request.page_token(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto found =
      store_.social_networks().List(*caller.context, caller.org_id, page.after, page.limit);
  if (!found.ok()) return found.status();
  FinishPage(sealer_, random_, list, *found, response);
  Shown shown(store_, caller);
  for (const auto& settings : found->records) {
    const absl::Status status = shown.Add(settings, *response.add_social_networks());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SocialNetworkService::GetSocialNetwork(const Caller& caller,
                                                    const v1::GetSocialNetworkRequest& request,
                                                    v1::GetSocialNetworkResponse& response) const {
  if (absl::Status status = RequireId(request.id()); !status.ok()) return status;
  const auto settings = store_.social_networks().Get(*caller.context, caller.org_id, request.id());
  if (!settings.ok()) return settings.status();
  return Shown(store_, caller).Add(*settings, *response.mutable_social_network());
}

absl::Status SocialNetworkService::UpdateSocialNetwork(
    const Caller& caller, const v1::UpdateSocialNetworkRequest& request,
    v1::UpdateSocialNetworkResponse& response) const {
  // With an id, all faults are reported at once by ApplyUpdate, which knows the network.
  if (request.id().empty()) return ValidateUpdate(request);
  const std::optional<absl::string_view> new_secret =
      UpdatesSecret(request) ? std::optional<absl::string_view>(request.client_secret())
                             : std::nullopt;
  const auto updated = store_.social_networks().Update(
      *caller.context, caller.org_id, request.id(), clock_(),
      [&](record::v1::SocialNetworkSettings& current, absl::string_view client_secret) {
        if (catalog_.Find(current.network()) == nullptr) return NetworkLeft(current.network());
        KeepCallbackContext(sealer_.keys(), current);
        return ApplyUpdate(catalog_, request, client_secret, current);
      },
      new_secret, MakesDefault(request));
  if (!updated.ok()) return updated.status();
  Copy(updated->settings, updated->is_default, *response.mutable_social_network());
  Warn(catalog_, updated->settings, new_secret.value_or(""), clock_(), response);
  return absl::OkStatus();
}

absl::Status SocialNetworkService::DeleteSocialNetwork(
    const Caller& caller, const v1::DeleteSocialNetworkRequest& request,
    v1::DeleteSocialNetworkResponse&) const {
  if (absl::Status status = RequireId(request.id()); !status.ok()) return status;
  using Request = v1::DeleteSocialNetworkRequest;
  using Accounts = SocialNetworkStore::Accounts;
  Accounts accounts = Accounts::kRefuse;
  switch (request.accounts()) {
    case Request::ACCOUNTS_UNSPECIFIED:
      break;
    case Request::ACCOUNTS_DISCONNECT:
      accounts = Accounts::kDisconnect;
      break;
    case Request::ACCOUNTS_KEEP_UNTIL_EXPIRY:
      accounts = Accounts::kKeep;
      break;
    default: {
      FieldViolations violations;
      violations.Add("accounts", absl::StrCat("has the number ", request.accounts(),
                                              ", which stands for nothing"));
      return violations.ToStatus();
    }
  }
  return store_.social_networks().Delete(*caller.context, caller.org_id, request.id(), accounts,
                                         clock_());
}

std::vector<Method> SocialNetworkService::Methods() const {
  const std::string service = "/authurl.v1.SocialNetworkService/";
  const Access access = Access::kConfigure;
  return {
      MakeWriteMethod(service + "CreateSocialNetwork", access, this,
                      &SocialNetworkService::CreateSocialNetwork),
      MakeReadMethod(service + "ListSocialNetworks", access, this,
                     &SocialNetworkService::ListSocialNetworks),
      MakeReadMethod(service + "GetSocialNetwork", access, this,
                     &SocialNetworkService::GetSocialNetwork),
      MakeWriteMethod(service + "UpdateSocialNetwork", access, this,
                      &SocialNetworkService::UpdateSocialNetwork),
      MakeWriteMethod(service + "DeleteSocialNetwork", access, this,
                      &SocialNetworkService::DeleteSocialNetwork),
  };
}

}  // namespace authurl
