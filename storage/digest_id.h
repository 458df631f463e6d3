// digest_id.h: ids that stand for what must not be in the database.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"

namespace authurl {

// SHA-256 in hexadecimal: who reads the database learns nothing of a long random text by it.
inline std::string DigestId(absl::string_view text) { return HexEncode(AsChars(Sha256(text))); }

}  // namespace authurl
