#include "server/flow/import_rules.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/errors.h"
#include "server/flow/needs_reconnect.h"
#include "server/flow/read_person.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;
using catalog::v1::Profile;

std::set<std::string> KeptNames(const Network& network) {
  std::set<std::string> names(network.callback().kept().begin(), network.callback().kept().end());
  for (const auto* answer : {&network.exchange().answer(), &network.long_lived().answer(),
                             &network.refresh().answer()}) {
    for (const auto& kept : answer->kept()) names.insert(kept.name());
  }
  return names;
}

}  // namespace

bool ListsAccounts(const Network& network) {
  return network.accounts().when() == Accounts::WHEN_CONNECTING;
}

bool TakesRefreshTokens(const Network& network) {
  return network.has_refresh() &&
         network.refresh().rotation() != catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN;
}

bool AsksByPerson(const Network& network) {
  constexpr absl::string_view kSubject = "{subject}";
  const catalog::v1::Request& request = network.profile().request();
  return AsksForProfile(network) &&
         (absl::StrContains(request.url(), kSubject) ||
          std::any_of(request.params().begin(), request.params().end(), [&](const auto& param) {
            return absl::StrContains(param.value(), kSubject);
          }));
}

bool ProfileTellsWhose(const Network& network) {
  const auto& selectors = network.profile().id();
  return AsksForProfile(network) &&
         std::any_of(selectors.begin(), selectors.end(), [](const std::string& selector) {
           return !absl::StartsWith(selector, "token:") && !absl::StartsWith(selector, "callback:");
         });
}

bool RefreshTellsWhose(const Network& network) {
  return !network.refresh().answer().subject().empty() ||
         (network.has_open_id() && network.profile().source() == Profile::SOURCE_ID_TOKEN);
}

absl::Status CheckImportFits(const TokenSet& tokens,
                             const std::vector<std::string>& network_unique_ids,
                             const Network& network) {
  FieldViolations violations;
  const std::string& name = network.display_name();
  if (tokens.access_token.empty() && !TakesRefreshTokens(network)) {
    violations.Add("tokens.access_token",
                   absl::StrCat("Required: of ", name, " no refresh token gets one"));
  }
  const size_t ids = network_unique_ids.size();
  if (ListsAccounts(network) && ids == 0) {
    violations.Add("network_unique_ids",
                   absl::StrCat("Required: which ones of the ", network.accounts().what(), " of ",
                                name, " are to be connected"));
  } else if (!ListsAccounts(network) && ids > 1) {
    violations.Add("network_unique_ids", absl::StrCat("has ", ids, " ids; at ", name,
                                                      " the person is connected, who has one"));
  } else if (AsksByPerson(network) && ids != 1) {
    violations.Add("network_unique_ids",
                   absl::StrCat("Required: ", name, " tells of a person only whose id is given"));
  }
  const std::set<std::string> names = KeptNames(network);
  for (const auto& kept : tokens.kept) {
    if (names.contains(kept.first)) continue;
    violations.Add(
        "tokens.kept",
        absl::StrCat(Quoted(kept.first), " is nothing that is kept for ", name,
                     names.empty() ? "" : absl::StrCat(", which is ", absl::StrJoin(names, ", "))));
  }
  return violations.ToStatus();
}

bool IsRetriableImport(absl::string_view reason, const Network* network) {
  constexpr std::array<absl::string_view, 12> kForGood = {
      kAccessTokenDead,  kAccessTokenExpired,       kRefreshAnswerLost,
      "NEEDS_RECONNECT", "ACCOUNT_MISMATCH",        "NOT_CHECKABLE",
      "NO_ACCOUNT",      "NOT_AN_ACCOUNT",          "SCOPE_MISSING",
      "INVALID_PAYLOAD", "NETWORK_HAS_NO_AUTH_URL", "ORGANIZATION_NOT_FOUND"};
  // Of a living one, too, some networks say so.
  if (reason == kRefreshDead) return network != nullptr && network->refresh().may_err();
  return std::find(kForGood.begin(), kForGood.end(), reason) == kForGood.end();
}

}  // namespace authurl
