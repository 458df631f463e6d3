#include "core/crypto/key_ring.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace authurl {
namespace {

constexpr absl::string_view kHeader =
    "# authurl key ring. The first key seals, every key opens. Keep this file secret, and keep a "
    "copy:\n"
    "# what is sealed can't be read without it. Each line: <key id 1..255> <key, base64url>.\n";

// One line of the file: a view into its text.
struct KeyLine {
  uint8_t id;
  absl::string_view line;
  SecretKey key;
};

absl::Status LineError(size_t number, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", number, " of the key ring ", what));
}

absl::StatusOr<std::vector<KeyLine>> ParseLines(absl::string_view text) {
  std::vector<KeyLine> keys;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripTrailingAsciiWhitespace(line);
    if (line.empty() || line.front() == '#') continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() != 2) return LineError(number, "is not \"<key id> <key>\"");
    int id = 0;
    if (!absl::SimpleAtoi(words[0], &id) || id < 1 || id > 255) {
      return LineError(number, "does not begin with a key id of 1 to 255");
    }
    for (const KeyLine& other : keys) {
      if (other.id == id) return LineError(number, absl::StrCat("repeats the key id ", id));
    }
    std::optional<std::string> bytes = Base64UrlDecode(words[1]);
    if (!bytes.has_value() || bytes->size() != kKeyBytes) {
      return LineError(number, "does not hold a key of 32 bytes (43 characters of base64url)");
    }
    keys.push_back({static_cast<uint8_t>(id), line,
                    SecretKey({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()})});
    Wipe(*bytes);
  }
  if (keys.empty()) return absl::InvalidArgumentError("the key ring holds no key");
  return keys;
}

std::string NewLine(int id, const RandomSource& random) {
  std::array<uint8_t, kKeyBytes> key;
  random(key);
  return absl::StrCat(id, " ", Base64UrlEncode(AsChars(key)), "\n");
}

}  // namespace

absl::StatusOr<KeyRing> KeyRing::Parse(absl::string_view text) {
  absl::StatusOr<std::vector<KeyLine>> lines = ParseLines(text);
  if (!lines.ok()) return lines.status();
  KeyRing ring;
  ring.primary_id_ = lines->front().id;
  ring.size_ = lines->size();
  for (const KeyLine& line : *lines) {
    for (uint8_t purpose = kFirstPurpose; purpose <= kLastPurpose; ++purpose) {
      ring.subkeys_[line.id].push_back(line.key.Derive(purpose));
    }
  }
  return ring;
}

const SecretKey* KeyRing::Find(uint8_t key_id, Purpose purpose) const {
  const std::vector<SecretKey>& subkeys = subkeys_[key_id];
  const size_t place = static_cast<size_t>(purpose) - kFirstPurpose;
  return place < subkeys.size() ? &subkeys[place] : nullptr;
}

std::string NewKeyRingText(const RandomSource& random) {
  return absl::StrCat(kHeader, NewLine(1, random));
}

absl::StatusOr<std::string> RotatedKeyRingText(absl::string_view text, const RandomSource& random) {
  absl::StatusOr<std::vector<KeyLine>> lines = ParseLines(text);
  if (!lines.ok()) return lines.status();
  std::array<bool, 256> taken = {};
  for (const KeyLine& line : *lines) taken[line.id] = true;
  int id = lines->front().id % 255 + 1;
  for (int tries = 0; taken[static_cast<size_t>(id)]; ++tries) {
    if (tries == 255) return absl::InvalidArgumentError("the key ring is full: remove old keys");
    id = id % 255 + 1;
  }
  std::string rotated = absl::StrCat(kHeader, NewLine(id, random));
  for (const KeyLine& line : *lines) absl::StrAppend(&rotated, line.line, "\n");
  return rotated;
}

absl::StatusOr<std::string> FirstKeyText(absl::string_view text) {
  absl::StatusOr<std::vector<KeyLine>> lines = ParseLines(text);
  if (!lines.ok()) return lines.status();
  return absl::StrCat(kHeader, lines->front().line, "\n");
}

}  // namespace authurl
