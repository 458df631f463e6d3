#include "server/flow/revoke_due.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/observe/log.h"
#include "storage/grant_store.h"

namespace authurl {
namespace {

constexpr int kRevokedAtATime = 16;
constexpr absl::Duration kRevocationTime = absl::Seconds(15);
constexpr absl::Duration kDuePause = absl::Seconds(5);
constexpr absl::Duration kBusyPause = absl::Milliseconds(200);

}  // namespace

DueRevoker::DueRevoker(const FlowTools& tools)
    : tools_(tools), revoker_(tools), thread_([this] { Run(); }) {}

DueRevoker::~DueRevoker() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void DueRevoker::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const int found = RevokeSome();
    lock.lock();
    wake_.wait(lock, [this] { return under_way_ == 0; });
    // Never without a pause: what can't be deleted is found again.
    const absl::Duration pause = found == kRevokedAtATime ? kBusyPause : kDuePause;
    wake_.wait_for(lock, absl::ToChronoMilliseconds(pause), [this] { return stopping_; });
  }
}

int DueRevoker::RevokeSome() {
  const CallContext looking(absl::Now() + kRevocationTime);
  const absl::StatusOr<std::vector<GrantStore::OwnedGrant>> due =
      tools_.store.grants().ListDisconnected(looking, kRevokedAtATime);
  if (!due.ok()) {
    Log(LogLevel::kWarning, "due_grants_not_listed", {{"cause", CauseOf(due.status())}});
    return 0;
  }
  for (const GrantStore::OwnedGrant& grant : *due) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++under_way_;
    }
    auto context = std::make_shared<const CallContext>(absl::Now() + kRevocationTime);
    const CallContext& work = *context;
    // One that is connected is left as it is.
    revoker_.Revoke(grant.org_id, grant.grant_id, work,
                    [this, context = std::move(context)](RevocationResult) {
                      const std::lock_guard<std::mutex> lock(mutex_);
                      --under_way_;
                      wake_.notify_all();
                    });
  }
  return static_cast<int>(due->size());
}

}  // namespace authurl
