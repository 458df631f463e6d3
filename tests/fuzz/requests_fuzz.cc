// Any message of a caller's: a configuration, a change to it, and a request for a URL. What is
// refused names field and reason and never the secret; what is taken yields a sound URL.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/social_network.h"
#include "core/flow/auth_request.h"
#include "core/flow/explanation.h"
#include "inputs.pb.h"
#include "tests/fuzz/keys.h"
#include "tests/fuzz/message_input.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/url_checks.h"

namespace authurl::fuzz {
namespace {

using record::v1::SocialNetworkSettings;

const NetworkCatalog& Catalog(bool allow_local_instances) {
  static const NetworkCatalog strict = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  static const NetworkCatalog lax = [] {
    NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
    catalog.set_allow_local_instances(true);
    return catalog;
  }();
  return allow_local_instances ? lax : strict;
}

// The same request with another secret of the same form must be answered alike: then no message
// tells anything of it. What can't be a secret is told of its kind ("is masked"), which the other
// one need not be of: it must not be quoted.
template <typename Request, typename Answer>
void MustNotTellSecret(const Request& request, const absl::Status& status, Answer answer) {
  if (request.client_secret().size() < 3) return;
  if (absl::StrContains(status.message(), "client_secret: is ")) {
    return Must(request.client_secret().size() < 12 ||
                    !absl::StrContains(status.ToString(), request.client_secret()),
                "an error does not quote the secret: ", status.ToString());
  }
  Request other = request;
  std::string& secret = *other.mutable_client_secret();
  for (size_t i = 1; i + 1 < secret.size(); ++i) {
    if (absl::ascii_isprint(static_cast<unsigned char>(secret[i]))) secret[i] = 'x';
  }
  Must(answer(other) == status, "an error tells nothing of the secret: ", status.ToString());
}

absl::StatusOr<SocialNetworkSettings> Configure(const NetworkCatalog& catalog, const Flow& flow) {
  absl::StatusOr<SocialNetworkSettings> settings = NewSocialNetwork(catalog, flow.configure());
  if (!settings.ok()) {
    MustBeForTheCaller(settings.status());
    MustNotTellSecret(flow.configure(), settings.status(),
                      [&](const auto& other) { return NewSocialNetwork(catalog, other).status(); });
    return settings;
  }
  settings->set_id("sn_0123456789abcdefghjk");
  settings->set_org_id("acme");
  settings->set_version(1);
  return settings;
}

// What an update leaves could have been created as well. Without a secret, which another variant
// may not take, it gets one.
void CheckAsCreated(const NetworkCatalog& catalog, const SocialNetworkSettings& settings,
                    const std::string& client_secret) {
  v1::CreateSocialNetworkRequest create;
  create.set_network(settings.network());
  if (!settings.instance().empty()) create.set_instance(settings.instance());
  if (!settings.variant().empty()) create.set_variant(settings.variant());
  create.set_name(settings.name());
  create.set_client_key(settings.client_key());
  create.set_client_secret(client_secret.empty() ? "client-secret" : client_secret);
  if (!settings.default_redirect_uri().empty()) {
    create.set_default_redirect_uri(settings.default_redirect_uri());
  }
  *create.mutable_allowed_redirect_uris() = settings.allowed_redirect_uris();
  *create.mutable_scopes() = settings.scopes();
  *create.mutable_extra_params() = settings.extra_params();
  *create.mutable_variables() = settings.variables();
  *create.mutable_allowed_return_uris() = settings.allowed_return_uris();
  if (!settings.default_return_uri().empty()) {
    create.set_default_return_uri(settings.default_return_uri());
  }
  const auto created = NewSocialNetwork(catalog, create);
  Must(created.ok(), "what an update takes, a create takes: ", created.status().ToString());
}

void Update(const NetworkCatalog& catalog, const v1::UpdateSocialNetworkRequest& request,
            const std::string& client_secret, SocialNetworkSettings& settings) {
  SocialNetworkSettings updated = settings;
  const absl::Status status = ApplyUpdate(catalog, request, client_secret, updated);
  if (!status.ok()) {
    MustBeForTheCaller(status);
    return MustNotTellSecret(request, status, [&](const auto& other) {
      SocialNetworkSettings unused = settings;
      return ApplyUpdate(catalog, other, client_secret, unused);
    });
  }
  Must(ValidateUpdate(request).ok(), "what can be applied is valid");
  CheckAsCreated(catalog, updated,
                 UpdatesSecret(request) ? request.client_secret() : client_secret);
  settings = updated;
}

void Ask(const NetworkCatalog& catalog, const SocialNetworkSettings& settings,
         absl::string_view public_base_url, const v1::GetAuthUrlRequest& request) {
  const absl::StatusOr<AuthRequest> valid = ValidateAuthRequest(catalog, request);
  if (!valid.ok()) return MustBeForTheCaller(valid.status());
  const absl::StatusOr<AuthRequest> fitting = ForConfiguration(catalog, *valid, settings);
  if (!fitting.ok()) return MustBeForTheCaller(fitting.status());
  const absl::StatusOr<ChosenRedirectUri> redirect_uri =
      ChooseRedirectUri(*fitting, settings, public_base_url, FixedSealer().keys());
  if (!redirect_uri.ok()) return MustBeForTheCaller(redirect_uri.status());
  MintAndCheck(*fitting, settings, *redirect_uri);
}

// One for each network that the batch names, and a configuration that fits it.
void AskMany(const NetworkCatalog& catalog, SocialNetworkSettings settings,
             absl::string_view public_base_url, const v1::BatchGetAuthUrlsRequest& batch) {
  const absl::Status status = ValidateBatchRequest(batch);
  if (!status.ok()) return MustBeForTheCaller(status);
  for (const std::string& network : batch.networks()) {
    settings.set_network(network);
    settings.set_instance(batch.instance());
    Ask(catalog, settings, public_base_url, RequestFor(network, batch));
  }
}

void Run(const Flow& flow) {
  const NetworkCatalog& catalog = Catalog(flow.allow_local_instances());
  const absl::string_view base_url =
      flow.has_public_base_url() ? "https://authurl.example.com" : "";
  SocialNetworkSettings plain;
  plain.set_client_key("client-key");
  if (!flow.has_configure()) Ask(catalog, plain, base_url, flow.ask());
  if (flow.has_ask_many()) AskMany(catalog, plain, base_url, flow.ask_many());

  absl::StatusOr<SocialNetworkSettings> settings = Configure(catalog, flow);
  if (!settings.ok()) return;
  if (flow.has_update()) {
    Update(catalog, flow.update(), flow.configure().client_secret(), *settings);
  }
  const catalog::v1::Network* network =
      catalog.FindVariant(settings->network(), settings->variant());
  Must(network != nullptr, "a configuration is for a network");
  for (const std::string& warning : ConfigurationWarnings(*network, *settings, absl::UnixEpoch())) {
    MustBeText(warning);
  }
  // The store finds a configuration by these.
  v1::GetAuthUrlRequest ask = flow.ask();
  ask.set_network(settings->network());
  ask.clear_instance();
  if (!settings->instance().empty()) ask.set_instance(settings->instance());
  Ask(catalog, *settings, base_url, ask);
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  authurl::fuzz::Flow flow;
  if (authurl::fuzz::ReadMessage(data, size, flow)) authurl::fuzz::Run(flow);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  authurl::fuzz::Flow flow;
  return authurl::fuzz::MutateMessage(data, size, max_size, seed, flow);
}
