// delivery_slots.h: how many deliveries are under way at a time, in all and of one organisation. A
// slot that is free goes to the organisation that has fewest, so receivers that answer slowly hold
// up their own organisation and nobody else.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"

namespace authurl {

// Safe to use from many threads at once. Keeps what is under way or waits, and nothing else.
class DeliverySlots final {
 public:
  struct Limits {
    int all;
    int per_organization;
  };
  using Granted = absl::AnyInvocable<void()>;

  explicit DeliverySlots(const Limits& limits) : limits_(limits) {}
  DeliverySlots(const DeliverySlots&) = delete;
  DeliverySlots& operator=(const DeliverySlots&) = delete;

  // Calls `granted`, which must not wait, once there is a slot: on this thread, or on that of
  // another call. It is given back by one Release().
  void Take(absl::string_view org_id, Granted granted);
  // A slot, if there is one now.
  bool TryTake(absl::string_view org_id);
  void Release(absl::string_view org_id);

  int under_way() const;

 private:
  struct Waiting {
    uint64_t turn;
    Granted granted;
  };
  struct Share {
    int under_way = 0;
    std::deque<Waiting> waiting;
  };

  // The next one that gets a slot; nothing where none may.
  Granted Next();
  // Grants what can be granted, without the lock, and not from within itself: what is granted may
  // end at once.
  void Grant(std::unique_lock<std::mutex>& lock);

  const Limits limits_;
  mutable std::mutex mutex_;
  // All that follows is guarded by mutex_.
  bool is_granting_ = false;
  int all_ = 0;
  uint64_t turns_ = 0;
  std::map<std::string, Share, std::less<>> shares_;
};

}  // namespace authurl
