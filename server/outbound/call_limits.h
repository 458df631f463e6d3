// call_limits.h: how many calls to others may be under way at a time: in all, to one host of a
// network, of one organisation, and of one organisation to one host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace authurl {

enum class CallLimit : uint8_t { kNone, kAll, kHost, kOrganization };

// Holds an entry for what is under way and nothing else, so it is never larger than `all` allows.
// Safe to use from many threads at once.
class CallLimits final {
 public:
  struct Limits {
    int all = 1024;
    int per_host = 256;
    int per_organization = 256;
    // Lest one organisation keeps all others from a network.
    int per_host_and_organization = 128;
  };

  explicit CallLimits(const Limits& limits) : limits_(limits) {}
  CallLimits(const CallLimits&) = delete;
  CallLimits& operator=(const CallLimits&) = delete;

  // The limit that has no room for one more, or kNone: then it is answered by one Leave() with the
  // same texts. An empty `org_id` is of no organisation and has no share.
  CallLimit TryEnter(absl::string_view network, absl::string_view host, absl::string_view org_id);
  void Leave(absl::string_view network, absl::string_view host, absl::string_view org_id);

  int under_way() const;
  // How many keys are kept.
  size_t size() const;

 private:
  const Limits limits_;
  mutable std::mutex mutex_;
  // Guarded by mutex_. By "network\0host", "\0org_id" and "network\0host\0org_id".
  int all_ = 0;
  absl::flat_hash_map<std::string, int> calls_;
};

}  // namespace authurl
