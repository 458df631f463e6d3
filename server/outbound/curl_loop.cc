#include "server/outbound/curl_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <thread>

#include "absl/status/statusor.h"

namespace authurl {
namespace {

using std::chrono::steady_clock;

// Taken at a time; the rest comes the next time.
constexpr int kMaxEvents = 64;
// Without memory, for one. Trying again at once would take a whole core.
constexpr std::chrono::milliseconds kPause(50);

uint32_t EventsOf(int what) {
  uint32_t events = 0;
  if ((what & CURL_POLL_IN) != 0) events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) events |= EPOLLOUT;
  return events;
}

int ActionOf(uint32_t events) {
  int action = 0;
  if ((events & (EPOLLIN | EPOLLHUP)) != 0) action |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) action |= CURL_CSELECT_OUT;
  if ((events & EPOLLERR) != 0) action |= CURL_CSELECT_ERR;
  return action;
}

}  // namespace

CurlLoop::~CurlLoop() {
  if (epoll_ >= 0) close(epoll_);
}

bool CurlLoop::Start(CURLM* multi) {
  multi_ = multi;
  absl::StatusOr<WakeUp> wake_up = WakeUp::Make();
  if (!wake_up.ok()) return false;
  wake_up_.emplace(*std::move(wake_up));
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return false;
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = wake_up_->fd();
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_up_->fd(), &event) == 0 &&
         curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, WatchSocket) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, SetTimer) == CURLM_OK;
}

void CurlLoop::WakeUpThread() const { wake_up_->Call(); }

void CurlLoop::Run(absl::Duration at_most) {
  std::array<epoll_event, kMaxEvents> events;
  const int count = epoll_wait(epoll_, events.data(), kMaxEvents, MillisecondsToWait(at_most));
  if (count < 0 && errno != EINTR) std::this_thread::sleep_for(kPause);
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == wake_up_->fd()) {
      wake_up_->TakeCalls();
    } else {
      curl_multi_socket_action(multi_, fd, ActionOf(events[i].events), &running);
    }
  }
  if (timer_.has_value() && *timer_ <= steady_clock::now()) {
    timer_.reset();  // Before libcurl sets the next one.
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  }
}

int CurlLoop::MillisecondsToWait(absl::Duration at_most) const {
  // Up, so that the time has come when the wait is over.
  auto wait = absl::ToChronoMilliseconds(absl::Ceil(at_most, absl::Milliseconds(1)));
  if (timer_.has_value()) {
    wait =
        std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(*timer_ - steady_clock::now()));
  }
  return static_cast<int>(std::clamp<int64_t>(wait.count(), 0, INT32_MAX));
}

int CurlLoop::WatchSocket(CURL* /*easy*/, curl_socket_t socket, int what, void* self,
                          void* /*unused*/) {
  const int epoll = static_cast<CurlLoop*>(self)->epoll_;
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event = {};
  event.events = EventsOf(what);
  event.data.fd = socket;
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) != 0 && errno == ENOENT) {
    epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
  }
  // Where the system has no room to watch it, the transfer ends by its own time-out. A failure told
  // to libcurl here would end all transfers, and those to come.
  return 0;
}

int CurlLoop::SetTimer(CURLM* /*multi*/, long milliseconds, void* self) {
  std::optional<SteadyTime>& timer = static_cast<CurlLoop*>(self)->timer_;
  if (milliseconds < 0) {
    timer.reset();
  } else {
    timer = steady_clock::now() + std::chrono::milliseconds(milliseconds);
  }
  return 0;
}

}  // namespace authurl
