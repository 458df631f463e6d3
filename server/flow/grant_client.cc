#include "server/flow/grant_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/catalog/endpoint.h"
#include "core/crypto/crypto.h"
#include "core/flow/client_secret.h"

namespace authurl {
namespace {

absl::Status ClientGone() { return absl::NotFoundError("the client of the grant is gone"); }

}  // namespace

GrantClient::~GrantClient() {
  Wipe(client_secret);
  Wipe(shown_secret);
}

absl::Status GrantClient::ShowSecret(absl::Time now) {
  absl::StatusOr<std::string> secret = ClientSecretToShow(*network, settings, client_secret, now);
  if (!secret.ok()) return secret.status();
  Wipe(shown_secret);
  shown_secret = *std::move(secret);
  return absl::OkStatus();
}

CallTarget GrantClient::Target() const { return TargetOf(*network, settings.org_id()); }

CallTarget TargetOf(const catalog::v1::Network& network, const std::string& org_id) {
  return {.network = network.id(),
          .org_id = org_id,
          .trust = HasInstances(network) ? HostTrust::kStranger : HostTrust::kCatalog};
}

absl::StatusOr<GrantClient> LoadGrantClient(const FlowTools& tools, const CallContext& context,
                                            const catalog::v1::Network& network,
                                            const record::v1::Grant& grant) {
  SocialNetworkStore& configurations = tools.store.social_networks();
  absl::StatusOr<record::v1::SocialNetworkSettings> settings =
      configurations.Get(context, grant.org_id(), grant.social_network_id());
  if (absl::IsNotFound(settings.status())) return ClientGone();
  if (!settings.ok()) return settings.status();
  if (settings->client_key() != grant.client_id()) return ClientGone();
  // An update that comes between keeps the secret of this version.
  absl::StatusOr<std::string> secret = configurations.GetClientSecret(
      context, grant.org_id(), grant.social_network_id(), settings->version());
  if (absl::IsNotFound(secret.status())) return ClientGone();
  if (!secret.ok()) return secret.status();
  GrantClient client;
  client.network = &network;
  client.settings = *std::move(settings);
  client.client_secret = *std::move(secret);
  return client;
}

FlowValues ValuesOf(const TokenSet& tokens) {
  FlowValues values;
  values.Set("access_token", tokens.access_token);
  values.Set("refresh_token", tokens.refresh_token);
  values.Set("subject", tokens.subject);
  for (const auto& [name, value] : tokens.kept) values.Set(absl::StrCat("kept.", name), value);
  return values;
}

std::vector<absl::string_view> SecretsOf(const GrantClient& client, const TokenSet& tokens) {
  std::vector<absl::string_view> secrets = {client.client_secret, client.shown_secret,
                                            tokens.access_token, tokens.refresh_token,
                                            tokens.id_token};
  // One of them may be what a whole connection consists of, as the token of a webhook.
  for (const auto& kept : tokens.kept) secrets.emplace_back(kept.second);
  return secrets;
}

}  // namespace authurl
