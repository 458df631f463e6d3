#include "core/flow/profile.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "core/flow/network_error.h"
#include "core/utf8.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Profile;

absl::StatusOr<ProfileData> Read(const Network& network, const Sources& sources,
                                 absl::string_view subject) {
  const Profile& reading = network.profile();
  for (const Profile::NotAnAccount& rule : reading.not_an_account()) {
    if (Select(rule.where(), sources) != rule.equals()) continue;
    return MakeError(absl::StatusCode::kFailedPrecondition, "NOT_AN_ACCOUNT", rule.why());
  }
  std::optional<ProfileData> profile = SelectProfile(
      {reading.id(), reading.username(), reading.display_name(), reading.avatar_url()}, sources,
      subject);
  if (!profile) return AnswerInvalid(network, "does not say whose account it is");
  return *std::move(profile);
}

}  // namespace

bool AsksForProfile(const Network& network) {
  return network.profile().source() == Profile::SOURCE_REQUEST;
}

absl::StatusOr<HttpRequest> BuildProfileRequest(const Network& network, const OAuthClient& client,
                                                const FlowValues& values) {
  return BuildRequest(network, network.profile().request(), client, values, {});
}

absl::StatusOr<ProfileData> ReadProfile(const Network& network, const Sources& sources,
                                        absl::string_view subject) {
  Sources own = sources;
  if (network.profile().source() == Profile::SOURCE_ID_TOKEN) own.answer = sources.id_token;
  if (network.profile().source() == Profile::SOURCE_TOKEN_ANSWER) own.answer = sources.token;
  return Read(network, own, subject);
}

absl::StatusOr<ProfileData> ParseProfile(const Network& network, const HttpResponse& response,
                                         Sources sources, absl::string_view subject,
                                         absl::Span<const absl::string_view> secrets) {
  const absl::StatusOr<Answer> answer =
      ParseAnswer(network, network.profile().errors(), response, FlowStep::kProfile, secrets);
  if (!answer.ok()) return answer.status();
  sources.answer = &*answer;
  // OpenID Connect Core section 5.3.2.
  const std::optional<std::string> sub = answer->Find("/sub");
  const std::optional<std::string> signed_in =
      sources.id_token == nullptr ? std::nullopt : sources.id_token->Find("/sub");
  if (sub && signed_in && *sub != *signed_in) {
    return AnswerInvalid(network, "is about another person than its ID token");
  }
  return Read(network, sources, subject);
}

std::optional<ProfileData> SelectProfile(const ProfileSelectors& selectors, const Sources& sources,
                                         absl::string_view id_by_default) {
  ProfileData profile;
  profile.id = Select(selectors.id, sources).value_or(std::string(id_by_default));
  if (profile.id.empty() || profile.id.size() > kMaxProfileIdBytes || !IsUtf8(profile.id) ||
      HasControlCharacters(profile.id)) {
    return std::nullopt;
  }
  const auto text = [&](const SelectorList& list) {
    return CleanText(Select(list, sources).value_or(""), kMaxProfileTextBytes);
  };
  profile.username = text(selectors.username);
  profile.display_name = text(selectors.display_name);
  profile.avatar_url = CleanPictureUrl(Select(selectors.avatar_url, sources).value_or(""));
  return profile;
}

std::string CleanPictureUrl(absl::string_view url) {
  const bool is_plain = std::all_of(url.begin(), url.end(), [](unsigned char c) {
    return absl::ascii_isgraph(c) && c != '"' && c != '<' && c != '>' && c != '\\';
  });
  if (!absl::StartsWith(url, "https://") || url.size() > kMaxAvatarUrlBytes || !is_plain) return "";
  return std::string(url);
}

}  // namespace authurl
