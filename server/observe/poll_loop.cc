#include "server/observe/poll_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPause(100);
constexpr std::chrono::minutes kPollLogInterval(1);

}  // namespace

absl::StatusOr<WakeUp> WakeUp::Make() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return absl::UnavailableError(strerror(errno));
  return WakeUp(fd);
}

WakeUp::WakeUp(WakeUp&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

WakeUp::~WakeUp() {
  if (fd_ >= 0) close(fd_);
}

void WakeUp::Call() const { eventfd_write(fd_, 1); }

bool WakeUp::WasCalled() const {
  eventfd_t calls = 0;
  if (eventfd_read(fd_, &calls) != 0) return false;
  // It stays called.
  Call();
  return true;
}

void WakeUp::TakeCalls() const {
  eventfd_t calls = 0;
  eventfd_read(fd_, &calls);
}

void PatientPoll::Wait(std::vector<pollfd>& fds, int timeout_ms) {
  for (pollfd& each : fds) each.revents = 0;
  if (poll(fds.data(), fds.size(), timeout_ms) >= 0 || errno == EINTR) return;
  const int error = errno;
  for (pollfd& each : fds) each.revents = 0;
  const auto now = steady_clock::now();
  if (!logged_at_.has_value() || now - *logged_at_ >= kPollLogInterval) {
    logged_at_ = now;
    Log(LogLevel::kError, "poll_failed", {{"cannot", what_}, {"cause", strerror(error)}});
  }
  std::this_thread::sleep_for(kPause);
}

}  // namespace authurl
