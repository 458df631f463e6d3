// api_key.h: the text of an API key.
//
//   auk_<key id>_<secret><checksum>
//
// key id: 12 letters and digits, public. secret: 43 letters and digits, 256 random bits. checksum:
// 6 letters and digits made from everything before them, so that a typo, or a scanner for leaked
// keys, can tell a key from noise without asking the store. It protects against nothing else.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"

namespace authurl {

struct ParsedApiKey {
  std::string key_id;
  // SHA-256 of the whole text: what the store keeps.
  std::string digest;

  friend bool operator==(const ParsedApiKey&, const ParsedApiKey&) = default;
};

// The text of a new key.
std::string NewApiKey(const RandomSource& random);
// Nothing unless `text` has the format and its checksum is right.
std::optional<ParsedApiKey> ParseApiKey(absl::string_view text);

// The key id in `text`; empty unless `text` has the format. The checksum is not looked at: a key
// that is known by its digest needs none.
absl::string_view KeyIdOf(absl::string_view text);

// A new opaque id: `prefix` and 20 digits and lower-case letters (100 random bits).
std::string NewId(absl::string_view prefix, const RandomSource& random);

}  // namespace authurl
