// resealer.h: seals records anew under the ring's first key, a few at a time, while everything else
// goes on.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/backend.h"
#include "storage/record_sealer.h"

namespace authurl {

struct ResealStep {
  // How many records were sealed anew since the last step that was OK.
  int64_t resealed = 0;
  // Whether no record is left that another key than the first may have sealed,
  bool done = false;
  // and whether that was not known before: the other keys may go from now on.
  bool newly_done = false;
};

// A pass goes through the rows that the database itself finds under other keys than the first, one
// key and one table after the other; OAuth states are left to expire. Everything that is written
// meanwhile is under the first key, so the rows that are left only ever become fewer. The work is
// done when the database finds none, never because a pass came to its end; that none is left is
// then kept there (storage/key_ring_check.h), but each process looks for itself. A step that fails
// ends its pass, and the next one begins anew, with what is left.
//
// Safe to call from many threads at once; one step runs at a time.
class Resealer final {
 public:
  // All must outlive this.
  Resealer(Backend& backend, const Sealer& sealer, const RecordSealer& records,
           const RandomSource& random)
      : backend_(backend), sealer_(sealer), records_(records), random_(random) {}
  Resealer(const Resealer&) = delete;
  Resealer& operator=(const Resealer&) = delete;

  // See CredentialStore::ResealNext.
  absl::StatusOr<ResealStep> Next(int batch);

 private:
  enum class Table { kOrganizations, kApiKeys, kSocialNetworks };

  struct Pass {
    std::vector<uint8_t> keys;  // Those that are left; the last one is under way.
    Table table = Table::kOrganizations;
    std::string from = {};     // Where the next page of that key and table begins.
    int64_t damaged = 0;       // Records that did not open,
    absl::Status damage = {};  // and what the first of them said.
  };

  // The keys other than the first that rows are sealed under.
  absl::StatusOr<std::vector<uint8_t>> OtherKeysInUse();
  // Where no such key is left, keeps that in the database.
  absl::Status BeginPass();
  // Seals the rows of one page anew, at most `limit` of them. Returns how many rows it looked at.
  absl::StatusOr<int> ResealPage(int limit);
  template <typename Row>
  absl::StatusOr<int> ResealRows(const absl::StatusOr<RowsUnderKey<Row>>& page);
  void GoToNextTable();
  // What to say of a pass that is at its end.
  absl::Status DamageOf(const Pass& pass) const;
  absl::Status Reseal(const OrganizationRow& row);
  absl::Status Reseal(const ApiKeyRow& row);
  absl::Status Reseal(const SocialNetworkRow& row);

  Backend& backend_;
  const Sealer& sealer_;
  const RecordSealer& records_;
  const RandomSource& random_;

  std::mutex mutex_;  // Guards all below.
  bool done_ = false;
  bool newly_done_ = false;  // Not yet told in a step.
  std::optional<Pass> pass_;
  int64_t resealed_ = 0;  // Not yet told in a step.
};

}  // namespace authurl
