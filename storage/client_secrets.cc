#include "storage/client_secrets.h"

#include <utility>

#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "core/flow/auth_state.h"

namespace authurl {

ClientSecrets::ClientSecrets(absl::string_view current) {
  secrets_.set_client_secret(current.data(), current.size());
}

std::optional<ClientSecrets> ClientSecrets::Parse(absl::string_view bytes) {
  ClientSecrets result;
  if (!result.secrets_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return std::nullopt;
  }
  return result;
}

ClientSecrets::~ClientSecrets() {
  Wipe(*secrets_.mutable_client_secret());
  for (auto& replaced : *secrets_.mutable_replaced()) Wipe(*replaced.mutable_client_secret());
}

std::string ClientSecrets::Serialize() const { return secrets_.SerializeAsString(); }

void ClientSecrets::Replace(absl::string_view secret, uint64_t last_version, absl::Time now) {
  if (EqualInConstantTime(secrets_.client_secret(), secret)) return;
  auto& replaced = *secrets_.add_replaced();
  replaced.set_allocated_client_secret(secrets_.release_client_secret());
  replaced.set_last_version(last_version);
  replaced.set_replaced_at_ms(absl::ToUnixMillis(now));
  secrets_.set_client_secret(secret.data(), secret.size());
}

void ClientSecrets::Expire(absl::Time now) {
  auto& replaced = *secrets_.mutable_replaced();
  const int64_t oldest_kept_ms = absl::ToUnixMillis(now - kMaxStateLifetime);
  int last_forgotten = replaced.size() - kMaxReplaced - 1;
  for (int i = last_forgotten < 0 ? 0 : last_forgotten; i < replaced.size(); ++i) {
    if (replaced[i].replaced_at_ms() < oldest_kept_ms) last_forgotten = i;
  }
  if (last_forgotten < 0) return;
  // Wiped here, because protobuf keeps the memory of removed elements for reuse.
  for (int i = 0; i <= last_forgotten; ++i) Wipe(*replaced[i].mutable_client_secret());
  replaced.DeleteSubrange(0, last_forgotten);
}

std::optional<std::string> ClientSecrets::Find(uint64_t version) const {
  for (const auto& replaced : secrets_.replaced()) {
    if (replaced.last_version() < version) continue;
    if (replaced.client_secret().empty()) return std::nullopt;
    return replaced.client_secret();
  }
  return secrets_.client_secret();
}

}  // namespace authurl
