// flaky_backend.h: a backend whose operations sometimes fail, writes also after they were done, or
// hang, and that lets other threads come between.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "tests/storage/forwarding_backend.h"

namespace authurl::testing {

class FlakyBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  // From now on (or no longer) about every tenth operation fails.
  void set_flaky(bool flaky) { flaky_ = flaky; }
  // From now on (or no longer) writes of records hang, as on a disk that does not answer.
  void set_hung(bool hung) {
    hung_ = hung;
    hung_.notify_all();
  }
  // How many hang.
  int hanging() const { return hanging_; }
  // Whether a write of this thread was done since it last asked, whatever its status was.
  static bool TookEffect() { return std::exchange(Done(), false); }

  absl::StatusOr<Row> Get(const CallContext& context, const Table& table, absl::string_view org_id,
                          absl::string_view id, size_t parts) override {
    return Read([&] { return backend().Get(context, table, org_id, id, parts); });
  }
  absl::StatusOr<Row> Find(const CallContext& context, const Table& table, const LookupValues& key,
                           size_t parts) override {
    return Read([&] { return backend().Find(context, table, key, parts); });
  }
  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    WaitWhileHung();
    LetOthersRun();
    if (Fails()) return {StorageUnavailable("a write that fails and was not done")};
    CommitResult result = backend().Commit(context, batch);
    if (result.status.ok()) Done() = true;
    LetOthersRun();
    if (Fails()) return {StorageUnavailable("a write that fails, done or not")};
    return result;
  }

 private:
  static bool& Done() {
    thread_local bool done = false;
    return done;
  }

  static uint32_t Dice() {
    static std::atomic<uint32_t> seed = 20260501;
    thread_local std::mt19937 random(++seed);
    return static_cast<uint32_t>(random());
  }

  static void LetOthersRun() {
    for (uint32_t turns = Dice() % 4; turns > 0; --turns) std::this_thread::yield();
  }

  bool Fails() const { return flaky_ && Dice() % 20 == 0; }

  // Returns what it read only after others had the time to change it.
  absl::StatusOr<Row> Read(const std::function<absl::StatusOr<Row>()>& read) const {
    LetOthersRun();
    if (Fails()) return StorageUnavailable("a read that fails");
    absl::StatusOr<Row> row = read();
    LetOthersRun();
    return row;
  }

  void WaitWhileHung() {
    ++hanging_;
    hung_.wait(true);
    --hanging_;
  }

  std::atomic<bool> flaky_ = false;
  std::atomic<bool> hung_ = false;
  std::atomic<int> hanging_ = 0;
};

}  // namespace authurl::testing
