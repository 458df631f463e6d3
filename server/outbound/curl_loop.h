// curl_loop.h: what a pool's thread waits for: libcurl's sockets, its timer, and others that wake
// the thread up. For the files curl_* alone.
//
// libcurl's own loop (curl_multi_poll, curl_multi_perform) looks at every transfer whenever
// anything happens. Here a transfer that waits for its network costs nothing until something comes
// for it.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <optional>

#include "absl/time/time.h"
#include "server/observe/poll_loop.h"

namespace authurl {

// For the thread of a pool, but for Start() and WakeUpThread().
class CurlLoop final {
 public:
  CurlLoop() = default;
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  // From now on `multi` says what it waits for. It is cleaned up before the loop is, and nobody
  // calls curl_multi_poll() or curl_multi_perform() for it. False where there is no memory or no
  // file descriptor. Called once, before all else.
  bool Start(CURLM* multi);

  // Waits, for that long at most, then has libcurl do what there is to do. The transfers that ended
  // are told by curl_multi_info_read().
  void Run(absl::Duration at_most);

  // Ends the waiting of Run(), or of the next one. Safe to use from many threads at once.
  void WakeUpThread() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  // What libcurl calls, with the loop as its `self`.
  static int WatchSocket(CURL* easy, curl_socket_t socket, int what, void* self, void* unused);
  static int SetTimer(CURLM* multi, long milliseconds, void* self);

  int MillisecondsToWait(absl::Duration at_most) const;

  std::optional<WakeUp> wake_up_;
  int epoll_ = -1;
  CURLM* multi_ = nullptr;
  std::optional<SteadyTime> timer_;  // When libcurl wants to be asked again.
};

}  // namespace authurl
