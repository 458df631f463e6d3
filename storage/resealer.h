// resealer.h: seals records anew under the ring's first key, a few at a time, while everything else
// goes on.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/crypto.h"
#include "core/sealer.h"
#include "storage/backend.h"
#include "storage/record_sealer.h"

namespace authurl {

struct ResealStep {
  // How many records were sealed anew.
  int resealed = 0;
  // Whether no record is left that another key than the first may have sealed.
  bool done = false;
};

// A pass goes through all organisations, then all API keys, then all social networks; OAuth states
// are left to expire. Everything written meanwhile is under the first key anyway, so one pass
// without a fault is enough; that it is done is kept in the database (storage/key_ring_check.h).
// How far a pass got is not: a new process begins at the start and skips what it finds done.
class Resealer final {
 public:
  // All must outlive this.
  Resealer(Backend& backend, const Sealer& sealer, const RecordSealer& records,
           const RandomSource& random)
      : backend_(backend), sealer_(sealer), records_(records), random_(random) {}
  Resealer(const Resealer&) = delete;
  Resealer& operator=(const Resealer&) = delete;

  // See CredentialStore::ResealSome.
  absl::StatusOr<ResealStep> Some(int batch);

 private:
  enum class Stage { kOrganizations, kApiKeys, kSocialNetworks, kEnd };

  // One call of Some().
  struct Call {
    int budget = 0;  // How many rows it may still look at.
    int resealed = 0;
  };

  // One page each, of at most as many rows as the budget allows; they move the position.
  absl::Status NextPage(Call& call);
  absl::Status Organizations(Call& call);
  absl::Status ApiKeys(Call& call);
  absl::Status SocialNetworks(Call& call);
  // Whether it came to the end of the organisation's.
  absl::StatusOr<bool> SocialNetworksOf(const std::string& org_id, Call& call);
  absl::Status EndPass();
  // OK where the pass may go on: the record was sealed anew (counted), need not be, or is damaged
  // (remembered).
  absl::Status Settle(absl::Status status, Call& call);
  absl::Status Reseal(const OrganizationRow& row);
  absl::Status Reseal(const ApiKeyRow& row);
  absl::Status Reseal(const SocialNetworkRow& listed);

  Backend& backend_;
  const Sealer& sealer_;
  const RecordSealer& records_;
  const RandomSource& random_;

  std::mutex mutex_;
  std::optional<bool> done_;
  Stage stage_ = Stage::kOrganizations;
  std::string after_;          // The last organisation or API key that is settled.
  std::string after_network_;  // Within the organisation that follows `after_`.
  absl::Status damage_;        // The first record of this pass that did not open.
};

}  // namespace authurl
