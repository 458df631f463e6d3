// webhook_signature.h: the signatures of webhooks, as Standard Webhooks has them
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
//
//   webhook-signature: v1,<base64 of HMAC-SHA256(key, "<id>.<timestamp>.<body>")>
//
// several of them, one for each key that is good, separated by a blank. Pure; safe to call from
// many threads at once, after InitCrypto().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/crypto/crypto.h"

namespace authurl {

// Of a key that we make; the specification allows 24 to 64.
inline constexpr size_t kWebhookKeyBytes = 32;

// A new key, which the caller wipes.
std::string NewWebhookKey(const RandomSource& random);

// What receivers are given: "whsec_" and the key in base64, padded (RFC 4648 section 4). The caller
// wipes it.
std::string WebhookSecretText(absl::string_view key);

// The header of a delivery. `timestamp`: seconds since the Unix epoch. The id must have no stop.
std::string WebhookSignatures(absl::Span<const absl::string_view> keys, absl::string_view id,
                              int64_t timestamp, absl::string_view body);

}  // namespace authurl
