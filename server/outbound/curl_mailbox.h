// curl_mailbox.h: how others reach the thread of a pool. For the files curl_* alone.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/outbound/curl_loop.h"
#include "server/outbound/curl_transfer.h"
#include "server/outbound/resolver.h"

namespace authurl {

// What other threads tell a pool's. It outlives the pool where somebody still looks up a name.
// Safe to use from many threads at once.
class CurlMailbox final {
 public:
  struct Resolved {
    uint64_t id;
    absl::StatusOr<HostAddresses> addresses;
  };
  struct Mail {
    std::vector<std::unique_ptr<CurlTransfer>> transfers;
    std::vector<Resolved> resolved;
    std::optional<absl::Time> stop_at = std::nullopt;
  };

  // The thread of `loop` is woken up by each message. It lives until Close().
  explicit CurlMailbox(const CurlLoop& loop) : loop_(&loop) {}
  CurlMailbox(const CurlMailbox&) = delete;
  CurlMailbox& operator=(const CurlMailbox&) = delete;

  // False after Stop(): then the transfer stays with the caller.
  bool Post(std::unique_ptr<CurlTransfer>& transfer);
  // Lost after Close().
  void Post(Resolved resolved);
  // The earliest time counts.
  void Stop(absl::Time at);

  // All that came since the last call; when to stop, each time from Stop() on.
  Mail Take();
  // Nobody reads any more.
  void Close();

 private:
  void WakeUpThread();

  std::mutex mutex_;
  const CurlLoop* loop_;  // Null once the loop has ended. Guarded by mutex_, as is the mail.
  Mail mail_;
};

}  // namespace authurl
