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
#include "absl/types/span.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/record_store.h"
#include "storage/table.h"

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
// table and one key after the other, in every table that is resealed (storage/table.h). Everything
// that is written meanwhile is under the first key, so the rows that are left only ever become
// fewer. The work is done when the database finds none, never because a pass came to its end; that
// none is left is then kept there (storage/key_ring_check.h), but each process looks for itself. A
// step that fails ends its pass, and the next one begins anew, with what is left.
//
// Safe to call from many threads at once; one step runs at a time.
class Resealer final {
 public:
  // All must outlive this.
  Resealer(RecordStore& records, const Sealer& sealer, const RandomSource& random,
           absl::Span<const Table* const> tables)
      : records_(records), sealer_(sealer), random_(random), tables_(tables) {}
  Resealer(const Resealer&) = delete;
  Resealer& operator=(const Resealer&) = delete;

  // See CredentialStore::ResealNext.
  absl::StatusOr<ResealStep> Next(int batch);

 private:
  // The rows of one table under one key.
  struct Task {
    const Table* table;
    uint8_t key;
  };
  struct Pass {
    std::vector<Task> tasks;   // Those that are left; the last one is under way.
    std::string from = {};     // Where its next page begins.
    int64_t damaged = 0;       // Records that did not open,
    absl::Status damage = {};  // and what the first of them said.
  };

  // What there is to do.
  absl::StatusOr<std::vector<Task>> FindTasks();
  // Where there is nothing to do, keeps that in the database.
  absl::Status BeginPass();
  // Seals the rows of one page anew, at most `limit` of them. Returns how many rows it looked at.
  absl::StatusOr<int> ResealPage(int limit);
  absl::Status Reseal(const Table& table, const Row& row);
  // What to say of a pass that is at its end.
  absl::Status DamageOf(const Pass& pass) const;

  // Commits through it, so that memory has nothing that is sealed under a key which may go.
  RecordStore& records_;
  const Sealer& sealer_;
  const RandomSource& random_;
  const absl::Span<const Table* const> tables_;

  std::mutex mutex_;  // Guards all below.
  bool done_ = false;
  bool newly_done_ = false;  // Not yet told in a step.
  std::optional<Pass> pass_;
  int64_t resealed_ = 0;  // Not yet told in a step.
};

}  // namespace authurl
