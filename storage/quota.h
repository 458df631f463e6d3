// quota.h: how many rows of a table one organisation may have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "storage/backend.h"

namespace authurl {

// Counting takes time for as many rows as there are, so an organisation's are counted only now and
// then: after a count, half of what was free may be added without another one. Processes that share
// a database may go over by the share that each of them still had. Safe to use from many threads at
// once.
class Quota final {
 public:
  // `limit` 0: none. `table` must outlive this.
  Quota(const Table& table, int64_t limit) : table_(table), limit_(limit) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  int64_t limit() const { return limit_; }

  // What a batch that adds a row must expect beside; nothing where it need not be counted.
  std::optional<ExpectAtMost> ForOneMore(absl::string_view org_id) {
    if (limit_ == 0) return std::nullopt;
    const std::lock_guard lock(mutex_);
    const auto room = room_.find(org_id);
    if (room != room_.end() && room->second > 0) {
      --room->second;
      return std::nullopt;
    }
    return ExpectAtMost{&table_, RowsOfOrganization(org_id), limit_ - 1};
  }

  // How many there were before one more was added.
  void Counted(absl::string_view org_id, int64_t rows) {
    constexpr size_t kMaxOrganizations = 10'000;
    const int64_t room = (limit_ - rows - 1) / 2;
    const std::lock_guard lock(mutex_);
    if (room_.size() >= kMaxOrganizations) room_.clear();
    room_[org_id] = room;
  }

 private:
  const Table& table_;
  const int64_t limit_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, int64_t> room_;  // Guarded by mutex_.
};

}  // namespace authurl
