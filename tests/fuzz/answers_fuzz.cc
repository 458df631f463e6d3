// Any bytes as the answer of any network to any step. The first two bytes choose network and step,
// the third the status. What is taken is not empty and bounded; what is refused says why, without
// what was sent.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/catalog/network_catalog.h"
#include "core/flow/account_choices.h"
#include "core/flow/id_token.h"
#include "core/flow/profile.h"
#include "core/flow/token_response.h"
#include "core/utf8.h"
#include "tests/fuzz/must.h"

namespace authurl::fuzz {
namespace {

constexpr absl::string_view kSecret = "hush-hush";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::vector<const catalog::v1::Network*> Completable() {
  static const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  std::vector<const catalog::v1::Network*> networks;
  for (const catalog::v1::Network* network : catalog.networks()) {
    if (!network->has_exchange()) continue;
    networks.push_back(network);
    for (const auto& variant : network->variants()) {
      networks.push_back(catalog.FindVariant(network->id(), variant.id()));
    }
  }
  return networks;
}

void CheckError(const absl::Status& status) {
  Must(!ReasonOf(status).empty(), "an error has a reason: ", status.ToString());
  MustBeText(status.message());
  Must(status.message().size() < 2000, "an error is bounded");
  Must(!absl::StrContains(status.message(), kSecret), "no error says what was sent");
}

void CheckTokens(const TokenSet& tokens) {
  Must(!tokens.access_token.empty(), "tokens have an access token");
  if (tokens.access_token_expires_at) {
    Must(*tokens.access_token_expires_at > absl::UnixEpoch(), "an end is a time");
    Must(*tokens.access_token_expires_at < absl::InfiniteFuture(), "an end is a time");
  }
}

void CheckProfile(const ProfileData& profile) {
  Must(!profile.id.empty() && profile.id.size() <= kMaxProfileIdBytes, "an id is bounded");
  Must(IsUtf8(profile.id) && IsUtf8(profile.username) && IsUtf8(profile.display_name), "UTF-8");
  Must(profile.username.size() <= kMaxProfileTextBytes, "a name is bounded");
  Must(profile.avatar_url.empty() || absl::StartsWith(profile.avatar_url, "https://"), "a picture");
}

void Check(const catalog::v1::Network& network, uint8_t step, const HttpResponse& response) {
  const std::array<absl::string_view, 1> secrets = {kSecret};
  switch (step % 6) {
    case 0: {
      const auto tokens = ParseExchange(network, response, kNow, secrets);
      if (!tokens.ok()) return CheckError(tokens.status());
      CheckTokens(tokens->tokens);
      const record::v1::SocialNetworkSettings settings;
      const auto claims = CheckIdToken(network, settings, response.body, "", kNow);
      if (!claims.ok()) CheckError(claims.status());
      return;
    }
    case 1: {
      if (!network.has_refresh()) return;
      TokenSet before;
      before.refresh_token = "old";
      const auto tokens = ParseRefresh(network, before, response, kNow, secrets);
      if (!tokens.ok()) return CheckError(tokens.status());
      CheckTokens(*tokens);
      return Must(!tokens->refresh_token.empty(), "the old refresh token is kept");
    }
    case 2: {
      if (!network.has_long_lived()) return;
      const auto tokens = ParseLongLived(network, TokenResponse(), response, kNow, secrets);
      if (!tokens.ok()) return CheckError(tokens.status());
      return CheckTokens(tokens->tokens);
    }
    case 3: {
      if (!AsksForProfile(network)) return;
      const auto profile = ParseProfile(network, response, Sources(), "", secrets);
      if (!profile.ok()) return CheckError(profile.status());
      return CheckProfile(*profile);
    }
    case 4: {
      if (!network.has_accounts()) return;
      HttpRequest request;
      request.url = "https://api.example.com/list";
      const auto page = ParseAccounts(network, request, response, 0, Sources(), secrets);
      if (!page.ok()) return CheckError(page.status());
      for (const AccountChoice& account : page->accounts) CheckProfile(account.profile);
      if (page->next && !page->next->url.empty()) {
        Must(absl::StartsWith(page->next->url, "https://api.example.com"), "no other host");
      }
      return;
    }
    default: {
      if (!network.has_revocation()) return;
      const absl::Status status = ParseRevocation(network, response, secrets);
      if (!status.ok()) CheckError(status);
    }
  }
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::array<int, 8> kStatuses = {200, 201, 400, 401, 403, 422, 429, 500};
  static const auto networks = authurl::fuzz::Completable();
  if (size < 3) return 0;
  const authurl::HttpResponse response = {
      .status = kStatuses[data[2] % kStatuses.size()],
      .body = absl::string_view(reinterpret_cast<const char*>(data) + 3, size - 3)};
  authurl::fuzz::Check(*networks[data[0] % networks.size()], data[1], response);
  return 0;
}
