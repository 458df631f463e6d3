// jwt.h: JSON Web Tokens (RFC 7519) that are signed with ES256 (RFC 7518 section 3.4): client
// secrets as Apple wants them, and client assertions (RFC 7523). The only place that signs with
// OpenSSL.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl {

// A private key on the curve P-256. Safe to use from many threads at once.
class SigningKey final {
 public:
  // A PKCS#8 key (RFC 5958) in PEM, as in Apple's .p8 files. InvalidArgumentError, which continues
  // a sentence that begins with the name of the field and never quotes the key.
  static absl::StatusOr<SigningKey> ParsePem(absl::string_view pem);

  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;
  ~SigningKey();

  // The 64 bytes r and s. InternalError if the library fails.
  absl::StatusOr<std::string> Sign(absl::string_view message) const;

 private:
  struct Key;
  explicit SigningKey(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

// A claim: its name, and its value as JSON.
struct JwtClaim {
  std::string name;
  std::string json;
};
// A text and a time as JSON. The time in whole seconds since the Unix epoch.
JwtClaim TextClaim(absl::string_view name, absl::string_view text);
JwtClaim TimeClaim(absl::string_view name, absl::Time time);

// The compact form (RFC 7515 section 3.1), with the header's `kid` where it is not empty.
absl::StatusOr<std::string> SignJwt(const SigningKey& key, absl::string_view key_id,
                                    const std::vector<JwtClaim>& claims);

// Whether the text is in JWS compact form: three parts of base64url with dots between them.
bool LooksLikeJwt(absl::string_view text);

// What stands in the middle one of the three parts (RFC 7519 section 3, RFC 7515 section 3.1),
// decoded; nothing where there are not three, or it is no base64url. Looks at no signature.
std::optional<std::string> PayloadOfJwt(absl::string_view jwt);

// When the token ends (its `exp`, RFC 7519 section 4.1.4); nothing where it names no time. Looks at
// no signature: to tell people of their own token, and not to trust one.
std::optional<absl::Time> EndOfJwt(absl::string_view jwt);

}  // namespace authurl
