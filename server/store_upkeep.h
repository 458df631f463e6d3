// store_upkeep.h: what is done about the store in the background while the server serves.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/system/clock.h"
#include "storage/credential_store.h"

namespace authurl {

enum class StoreHealth {
  kGood,
  // A full disk, for one: what only reads goes on.
  kReadOnly,
  kFailed,
};

// Watches the store's health, seals old records anew under the first key, removes expired states,
// flows and choices, and keeps up to date what tells an older copy of the database: each on a
// thread of its own, because any of them may have to wait for the disk.
class StoreUpkeep final {
 public:
  // `on_health` is told, on one thread, whenever the health has changed; it is good at first.
  // `store` must outlive this.
  StoreUpkeep(CredentialStore& store, Clock clock, std::function<void(StoreHealth)> on_health);
  // Stops, waiting for the steps that are under way.
  ~StoreUpkeep();
  StoreUpkeep(const StoreUpkeep&) = delete;
  StoreUpkeep& operator=(const StoreUpkeep&) = delete;

 private:
  void Watch();
  void Reseal();
  // Calls `step` again and again: soon where it returns that there is more to do. `what` names it
  // in the log.
  void Purge(const char* what, const std::function<absl::StatusOr<bool>()>& step);
  void KeepRollbackCheck();
  // Whether this is stopping, after `duration` at most.
  bool WaitOrStopping(absl::Duration duration);

  CredentialStore& store_;
  const Clock clock_;
  const std::function<void(StoreHealth)> on_health_;

  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;  // Guarded by mutex_.
  std::thread watcher_;
  std::thread resealer_;
  std::thread state_purger_;
  std::thread flow_purger_;
  std::thread event_purger_;
  std::thread rollback_checker_;
};

}  // namespace authurl
