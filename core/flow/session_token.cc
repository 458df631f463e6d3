#include "core/flow/session_token.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

constexpr absl::string_view kSessionPrefix = "aus_";
constexpr size_t kSessionTokenChars = kSessionPrefix.size() + 43;

}  // namespace

std::string DeriveSessionToken(const SecretKey& key, const Nonce& state_nonce) {
  return absl::StrCat(kSessionPrefix, Base64UrlEncode(AsChars(DeriveFromNonce(key, state_nonce))));
}

bool IsSessionToken(absl::string_view text) {
  return text.size() == kSessionTokenChars && absl::StartsWith(text, kSessionPrefix) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_';
         });
}

}  // namespace authurl
