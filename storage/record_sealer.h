// record_sealer.h: turns records into rows that hold nothing but identity in the clear, and back.
//
// Each record is sealed as a whole. Its table, organisation, id, part and version are associated
// data, so a sealed value opens only in the place it was made for; and what comes out must name the
// same identity as its row.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/backend.h"
#include "storage/client_secrets.h"

namespace authurl {

// Safe to use from many threads at once. What does not open is an InternalError that names table
// and id.
class RecordSealer final {
 public:
  // `sealer` must outlive this. `random` is called from many threads at once.
  RecordSealer(const Sealer& sealer, RandomSource random)
      : sealer_(sealer), random_(std::move(random)) {}

  OrganizationRow Seal(const record::v1::Organization& organization) const;
  ApiKeyRow Seal(const record::v1::ApiKey& key, uint64_t version) const;
  // Both parts, under the version in the settings.
  SocialNetworkRow Seal(const record::v1::SocialNetworkSettings& settings,
                        const ClientSecrets& secrets) const;

  absl::StatusOr<record::v1::Organization> Open(const OrganizationRow& row) const;
  absl::StatusOr<record::v1::ApiKey> Open(const ApiKeyRow& row) const;
  absl::StatusOr<record::v1::SocialNetworkSettings> OpenSettings(const SocialNetworkRow& row) const;
  absl::StatusOr<ClientSecrets> OpenSecrets(const SocialNetworkRow& row) const;

 private:
  std::string SealPlaintext(Purpose purpose, std::string plaintext,
                            absl::string_view context) const;

  const Sealer& sealer_;
  RandomSource random_;
};

}  // namespace authurl
