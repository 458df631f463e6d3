// record_locks.h: locks for many records at a fixed cost.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

#include "core/call_context.h"
#include "storage/context_wait.h"

namespace authurl {

// The same hash has the same lock; others may share it. Unlike a mutex, waiting for one ends when
// nobody waits for the result. Safe to use from many threads at once.
class RecordLocks final {
  struct Stripe {
    std::mutex mutex;
    std::condition_variable released;
    bool held = false;  // Guarded by mutex.
  };
  struct Release {
    void operator()(Stripe* stripe) const {
      {
        const std::lock_guard lock(stripe->mutex);
        stripe->held = false;
      }
      stripe->released.notify_one();
    }
  };

 public:
  // The lock, until this goes.
  using Lease = std::unique_ptr<Stripe, Release>;

  RecordLocks() = default;
  RecordLocks(const RecordLocks&) = delete;
  RecordLocks& operator=(const RecordLocks&) = delete;

  // Waits for the lock, or until the context has ended: then null. The locks must outlive it.
  Lease Take(const CallContext& context, size_t hash) {
    Stripe& stripe = stripes_[hash % stripes_.size()];
    std::unique_lock lock(stripe.mutex);
    if (!WaitFor(stripe.released, lock, context, [&] { return !stripe.held; })) return nullptr;
    stripe.held = true;
    return Lease(&stripe);
  }

 private:
  std::array<Stripe, 512> stripes_;
};

}  // namespace authurl
