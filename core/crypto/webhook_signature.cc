#include "core/crypto/webhook_signature.h"

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

constexpr absl::string_view kWebhookSecretPrefix = "whsec_";
constexpr absl::string_view kSignatureVersion = "v1,";

}  // namespace

std::string NewWebhookKey(const RandomSource& random) {
  std::string key(kWebhookKeyBytes, '\0');
  random({reinterpret_cast<uint8_t*>(key.data()), key.size()});
  return key;
}

std::string WebhookSecretText(absl::string_view key) {
  std::string encoded = absl::Base64Escape(key);
  std::string text = absl::StrCat(kWebhookSecretPrefix, encoded);
  Wipe(encoded);
  return text;
}

std::string WebhookSignatures(absl::Span<const absl::string_view> keys, absl::string_view id,
                              int64_t timestamp, absl::string_view body) {
  const std::string content = absl::StrCat(id, ".", timestamp, ".", body);
  std::string signatures;
  for (const absl::string_view key : keys) {
    if (!signatures.empty()) signatures.push_back(' ');
    absl::StrAppend(&signatures, kSignatureVersion,
                    absl::Base64Escape(AsChars(MacOf(key, content))));
  }
  return signatures;
}

}  // namespace authurl
