// client_secrets.h: the secret of an OAuth app together with those it replaced, in memory that is
// wiped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

// Knows which secret belongs to which version of its configuration. Replaced ones are kept for
// kMaxStateLifetime (core/flow/auth_state.h), because states minted under them may still come back,
// and at most kMaxReplaced of them.
class ClientSecrets final {
 public:
  static constexpr int kMaxReplaced = 16;

  explicit ClientSecrets(absl::string_view current);
  // Nothing if the bytes are not what Serialize() makes.
  static std::optional<ClientSecrets> Parse(absl::string_view bytes);
  ~ClientSecrets();
  ClientSecrets(ClientSecrets&&) = default;
  ClientSecrets& operator=(ClientSecrets&&) = delete;

  // Holds the secrets: the caller wipes it.
  std::string Serialize() const;
  // Makes `secret` the current one; the old one belongs to versions up to `last_version`. Nothing
  // changes if they are the same.
  void Replace(absl::string_view secret, uint64_t last_version, absl::Time now);
  // Forgets the secrets that no living state can need.
  void Expire(absl::Time now);
  // The secret of a configuration version; nothing if it was forgotten. The caller wipes it.
  std::optional<std::string> Find(uint64_t version) const;

 private:
  ClientSecrets() = default;
  // `replaced` is in ascending order of last_version. Its first entry may have no secret: it stands
  // for all forgotten ones, so that a version whose secret is gone is not given a later one.
  record::v1::SocialNetworkSecret secrets_;
};

}  // namespace authurl
