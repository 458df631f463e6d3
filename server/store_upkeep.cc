#include "server/store_upkeep.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/errors.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

constexpr absl::Duration kHealthInterval = absl::Seconds(1);
constexpr int kResealBatch = 100;
constexpr absl::Duration kResealRetry = absl::Minutes(1);
// Where there was something to do, the next step comes soon.
constexpr absl::Duration kPurgePause = absl::Milliseconds(100);
// Records that one step of a purge removes: few, so that no call has to wait long for its own
// write.
constexpr int kPurgeStep = 500;
constexpr int kPendingPurgeStep = 50;
constexpr absl::Duration kPurgeInterval = absl::Seconds(5);
constexpr absl::Duration kRollbackCheckInterval = absl::Seconds(10);

void LogHealth(StoreHealth health, const absl::Status& cause) {
  switch (health) {
    case StoreHealth::kGood:
      Log(LogLevel::kInfo, "store_recovered");
      return;
    case StoreHealth::kReadOnly:
      Log(LogLevel::kError, "store_read_only", {{"cause", CauseOf(cause)}});
      return;
    case StoreHealth::kFailed:
      Log(LogLevel::kError, "store_failed", {{"cause", CauseOf(cause)}});
      return;
  }
}

}  // namespace

StoreUpkeep::StoreUpkeep(CredentialStore& store, Clock clock,
                         std::function<void(StoreHealth)> on_health)
    : store_(store), clock_(std::move(clock)), on_health_(std::move(on_health)) {
  watcher_ = std::thread([this] { Watch(); });
  resealer_ = std::thread([this] { Reseal(); });
  state_purger_ = std::thread([this] {
    Purge("auth_states", [this]() -> absl::StatusOr<bool> {
      const absl::StatusOr<int> purged = store_.PurgeAuthStates(clock_(), kPurgeStep);
      if (!purged.ok()) return purged.status();
      return *purged == kPurgeStep;
    });
  });
  flow_purger_ = std::thread([this] {
    Purge("flows", [this]() -> absl::StatusOr<bool> {
      const absl::StatusOr<int> flows = store_.flows().Purge(clock_(), kPurgeStep);
      if (!flows.ok()) return flows.status();
      // Each is a transaction of its own. The grants that go with them are due, and are found.
      const auto pending = store_.pending_connections().Purge(clock_(), kPendingPurgeStep);
      if (!pending.ok()) return pending.status();
      const absl::StatusOr<int> imports = store_.imports().Purge(clock_(), kPurgeStep);
      if (!imports.ok()) return imports.status();
      return *flows == kPurgeStep || pending->removed == kPendingPurgeStep ||
             *imports == kPurgeStep;
    });
  });
  event_purger_ = std::thread([this] {
    Purge("events", [this]() -> absl::StatusOr<bool> {
      const absl::StatusOr<int> purged = store_.events().Purge(clock_(), kPurgeStep);
      if (!purged.ok()) return purged.status();
      return *purged == kPurgeStep;
    });
  });
  rollback_checker_ = std::thread([this] { KeepRollbackCheck(); });
}

StoreUpkeep::~StoreUpkeep() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  watcher_.join();
  resealer_.join();
  state_purger_.join();
  flow_purger_.join();
  event_purger_.join();
  rollback_checker_.join();
}

void StoreUpkeep::Watch() {
  StoreHealth known = StoreHealth::kGood;
  do {
    const absl::Status reads = store_.ProbeReads();
    const absl::Status writes = reads.ok() ? store_.Probe() : reads;
    const StoreHealth health = writes.ok()  ? StoreHealth::kGood
                               : reads.ok() ? StoreHealth::kReadOnly
                                            : StoreHealth::kFailed;
    if (std::exchange(known, health) == health) continue;
    on_health_(health);
    LogHealth(health, writes);
  } while (!WaitOrStopping(kHealthInterval));
}

void StoreUpkeep::Reseal() {
  int64_t total = 0;
  bool is_new = false;
  std::string told;
  while (!WaitOrStopping(absl::ZeroDuration())) {
    const absl::StatusOr<ResealStep> step = store_.ResealNext(kResealBatch);
    if (!step.ok()) {
      // Damaged records stay damaged: once is enough.
      std::string cause = CauseOf(step.status());
      if (told != cause) Log(LogLevel::kWarning, "reseal_stopped", {{"cause", cause}});
      told = std::move(cause);
      if (WaitOrStopping(kResealRetry)) return;
      continue;
    }
    total += step->resealed;
    is_new = step->newly_done;
    if (step->done) break;
    if (step->resealed > 0) told.clear();
    // Somebody else was faster; there may be nothing to do.
    if (step->resealed == 0 && WaitOrStopping(kHealthInterval)) return;
  }
  // Also where another process sealed the last one and could not say so.
  if (total > 0 || is_new) Log(LogLevel::kInfo, "resealed", {{"records", total}});
}

void StoreUpkeep::Purge(const char* what, const std::function<absl::StatusOr<bool>()>& step) {
  bool failing = false;
  absl::Duration pause;
  do {
    const absl::StatusOr<bool> more = step();
    pause = more.ok() && *more ? kPurgePause : kPurgeInterval;
    if (std::exchange(failing, !more.ok()) || more.ok()) continue;
    Log(LogLevel::kWarning, "purge_failed", {{"of", what}, {"cause", CauseOf(more.status())}});
  } while (!WaitOrStopping(pause));
}

void StoreUpkeep::KeepRollbackCheck() {
  bool failing = false;
  bool is_stopping = false;
  while (!is_stopping) {
    is_stopping = WaitOrStopping(kRollbackCheckInterval);
    const absl::Status status = store_.AdvanceRollbackCheck();
    if (std::exchange(failing, !status.ok()) || status.ok()) continue;
    Log(LogLevel::kWarning, "rollback_check_failed", {{"cause", CauseOf(status)}});
  }
}

bool StoreUpkeep::WaitOrStopping(absl::Duration duration) {
  std::unique_lock<std::mutex> lock(mutex_);
  return stop_.wait_for(lock, absl::ToChronoNanoseconds(duration), [this] { return stopping_; });
}

}  // namespace authurl
