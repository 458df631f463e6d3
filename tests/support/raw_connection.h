// raw_connection.h: a TCP connection to a server that speaks no gRPC.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace authurl::testing {

class RawConnection final {
 public:
  // A socket for Connect(), which then needs no new file descriptor.
  RawConnection();
  // `address` is "127.0.0.1:port".
  explicit RawConnection(const std::string& address);
  ~RawConnection();
  RawConnection(RawConnection&& other) noexcept;
  RawConnection& operator=(RawConnection&& other) = delete;
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // Whether the system took the connection. Once, for a socket that is not connected.
  bool Connect(const std::string& address) const;
  bool connected() const { return fd_ >= 0; }
  bool Send(absl::string_view bytes) const;
  // Reads until the server closes the connection. Whether it does before `timeout` is over.
  bool WaitUntilClosed(absl::Duration timeout) const;

 private:
  int fd_;
};

// A port of 127.0.0.1 that is free and that the system hands out to nobody who asks for any, so
// that a server can be stopped and started on it again.
int FindFixedPort();

}  // namespace authurl::testing
