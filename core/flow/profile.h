// profile.h: who connected. Pure.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/answer.h"
#include "core/flow/request_builder.h"
#include "core/http_message.h"

namespace authurl {

// Texts of a stranger: UTF-8 without control characters, of bounded length.
struct ProfileData {
  std::string id;  // Never empty. Of any characters but controls.
  std::string username;
  std::string display_name;
  std::string avatar_url;  // https, or empty.
};

inline constexpr size_t kMaxProfileIdBytes = 256;
inline constexpr size_t kMaxProfileTextBytes = 256;
inline constexpr size_t kMaxAvatarUrlBytes = 2048;

// Whether a request must be sent to know.
bool AsksForProfile(const catalog::v1::Network& network);
// `values`: access_token, subject, kept.*. REQUIRES: AsksForProfile(network).
absl::StatusOr<HttpRequest> BuildProfileRequest(const catalog::v1::Network& network,
                                                const OAuthClient& client,
                                                const FlowValues& values);

// What is known without asking: `sources` has the answer of the token endpoint, the ID token's
// claims, the callback and what is kept. `subject` is the token answer's. NOT_AN_ACCOUNT where the
// entry says so; NETWORK_ANSWER_INVALID where there is no id.
absl::StatusOr<ProfileData> ReadProfile(const catalog::v1::Network& network, const Sources& sources,
                                        absl::string_view subject);
// What the network answered; `sources` may lack `answer`. Besides, the errors of
// core/flow/network_error.h.
absl::StatusOr<ProfileData> ParseProfile(const catalog::v1::Network& network,
                                         const HttpResponse& response, Sources sources,
                                         absl::string_view subject,
                                         absl::Span<const absl::string_view> secrets);

// Where the parts of a profile are.
struct ProfileSelectors {
  const SelectorList& id;
  const SelectorList& username;
  const SelectorList& display_name;
  const SelectorList& avatar_url;
};
// What they find; nothing where there is no id.
std::optional<ProfileData> SelectProfile(const ProfileSelectors& selectors, const Sources& sources,
                                         absl::string_view id_by_default = "");

// The URL where it is one that a browser may load, else empty.
std::string CleanPictureUrl(absl::string_view url);

}  // namespace authurl
