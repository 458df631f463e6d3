#include "tests/simulation/wire.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace authurl::testing {

Wire::~Wire() { close(fd_); }

bool Wire::Send(const Message& message) {
  const std::string body = message.dump();
  const auto size = static_cast<uint32_t>(body.size());
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  bytes += body;
  const std::lock_guard<std::mutex> lock(send_mutex_);
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t part = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) return false;
    sent += static_cast<size_t>(part);
  }
  return true;
}

std::optional<Message> Wire::Receive() {
  uint32_t size = 0;
  if (!ReadAll(reinterpret_cast<char*>(&size), sizeof size)) return std::nullopt;
  std::string body(size, '\0');
  if (!ReadAll(body.data(), body.size())) return std::nullopt;
  return Message::parse(body);
}

bool Wire::ReadAll(char* to, size_t size) const {
  for (size_t got = 0; got < size;) {
    const ssize_t part = recv(fd_, to + got, size - got, 0);
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) return false;
    got += static_cast<size_t>(part);
  }
  return true;
}

}  // namespace authurl::testing
