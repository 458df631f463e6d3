// quota.h: how many rows of a table one organisation may have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "storage/backend.h"

namespace authurl {

// Counting takes time for as many rows as there are, so an organisation's are counted only now and
// then: after a count, half of what was free may be added without another one. Processes that share
// a database may go over by the share that each of them still had. Safe to use from many threads at
// once.
class Quota final {
 public:
  // `limit` 0: none. `table` must outlive this. Where values are given, only the rows that a lookup
  // finds by them count.
  Quota(const Table& table, int64_t limit, size_t lookup = kWholeOrganization,
        std::vector<Value> values = {})
      : table_(table), limit_(limit), lookup_(lookup), values_(std::move(values)) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  int64_t limit() const { return limit_; }

  // What a batch that adds rows must expect beside, before it adds them; nothing where they need
  // not be counted.
  std::optional<ExpectAtMost> ForMore(absl::string_view org_id, int64_t rows = 1) {
    if (limit_ == 0 || rows == 0) return std::nullopt;
    const std::lock_guard lock(mutex_);
    const auto room = room_.find(org_id);
    if (room != room_.end() && room->second >= rows) {
      room->second -= rows;
      return std::nullopt;
    }
    const LookupValues key = {.lookup = lookup_, .org_id = std::string(org_id), .values = values_};
    return ExpectAtMost{&table_, key, limit_ - rows};
  }

  // How many there were before so many more were added.
  void Counted(absl::string_view org_id, int64_t rows, int64_t added = 1) {
    const int64_t room = (limit_ - rows - added) / 2;
    const std::lock_guard lock(mutex_);
    if (room_.size() >= kMaxOrganizations) room_.clear();
    room_[org_id] = room;
  }

  // For rows that many strangers try to add: once it was found full, who asks within a second need
  // not have them counted again.
  void FoundFull(absl::string_view org_id, absl::Time now) {
    const std::lock_guard lock(mutex_);
    if (full_until_.size() >= kMaxOrganizations) full_until_.clear();
    full_until_[org_id] = now + absl::Seconds(1);
  }
  bool WasJustFull(absl::string_view org_id, absl::Time now) {
    const std::lock_guard lock(mutex_);
    const auto full = full_until_.find(org_id);
    if (full == full_until_.end()) return false;
    const bool is_full = now < full->second;
    if (!is_full) full_until_.erase(full);
    return is_full;
  }

 private:
  static constexpr size_t kMaxOrganizations = 10'000;

  const Table& table_;
  const int64_t limit_;
  const size_t lookup_;
  const std::vector<Value> values_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, int64_t> room_;           // Guarded by mutex_.
  absl::flat_hash_map<std::string, absl::Time> full_until_;  // Guarded by mutex_.
};

}  // namespace authurl
