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

  absl::Status InsertOrganization(const OrganizationRow& row) override {
    return Write([&] { return backend().InsertOrganization(row); });
  }
  absl::StatusOr<OrganizationRow> GetOrganization(absl::string_view org_id) override {
    return Read<OrganizationRow>([&] { return backend().GetOrganization(org_id); });
  }
  absl::Status UpdateOrganization(const OrganizationRow& row,
                                  absl::string_view expected_sealed) override {
    return Write([&] { return backend().UpdateOrganization(row, expected_sealed); });
  }
  absl::Status DeleteOrganization(absl::string_view org_id) override {
    return Write([&] { return backend().DeleteOrganization(org_id); });
  }
  absl::Status InsertApiKey(const ApiKeyRow& row) override {
    return Write([&] { return backend().InsertApiKey(row); });
  }
  absl::StatusOr<ApiKeyRow> GetApiKey(absl::string_view key_id) override {
    return Read<ApiKeyRow>([&] { return backend().GetApiKey(key_id); });
  }
  absl::Status UpdateApiKey(const ApiKeyRow& row, uint64_t expected_version) override {
    return Write([&] { return backend().UpdateApiKey(row, expected_version); });
  }
  absl::StatusOr<int> InsertSocialNetwork(const SocialNetworkRow& row, Place place) override {
    int others = 0;
    const absl::Status status = Write([&] {
      const absl::StatusOr<int> inserted = backend().InsertSocialNetwork(row, place);
      if (inserted.ok()) others = *inserted;
      return inserted.status();
    });
    if (!status.ok()) return status;
    return others;
  }
  absl::StatusOr<SocialNetworkRow> GetSocialNetwork(absl::string_view org_id,
                                                    absl::string_view id) override {
    return Read<SocialNetworkRow>([&] { return backend().GetSocialNetwork(org_id, id); });
  }
  absl::StatusOr<SocialNetworkRow> FindSocialNetwork(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      std::optional<absl::string_view> name) override {
    return Read<SocialNetworkRow>(
        [&] { return backend().FindSocialNetwork(org_id, network, instance, name); });
  }
  absl::StatusOr<SocialNetworkRow> GetSocialNetworkSecret(absl::string_view org_id,
                                                          absl::string_view id) override {
    return Read<SocialNetworkRow>([&] { return backend().GetSocialNetworkSecret(org_id, id); });
  }
  absl::Status UpdateSocialNetwork(const SocialNetworkRow& row,
                                   uint64_t expected_version) override {
    return Write([&] { return backend().UpdateSocialNetwork(row, expected_version); });
  }
  absl::Status DeleteSocialNetwork(absl::string_view org_id, absl::string_view id) override {
    return Write([&] { return backend().DeleteSocialNetwork(org_id, id); });
  }
  absl::Status InsertAuthState(const AuthStateRow& row) override {
    return Write([&] { return backend().InsertAuthState(row); });
  }
  absl::StatusOr<int> DeleteExpiredAuthStates(int64_t before_ms, int limit) override {
    WaitWhileHung();
    return backend().DeleteExpiredAuthStates(before_ms, limit);
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
  template <typename Row>
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

  absl::Status Write(const std::function<absl::Status()>& write) {
    WaitWhileHung();
    LetOthersRun();
    if (Fails()) return StorageUnavailable("a write that fails and was not done");
    absl::Status status = write();
    if (status.ok()) Done() = true;
    LetOthersRun();
    if (Fails()) return StorageUnavailable("a write that fails, done or not");
    return status;
  }

  std::atomic<bool> flaky_ = false;
  std::atomic<bool> hung_ = false;
  std::atomic<int> hanging_ = 0;
};

}  // namespace authurl::testing
