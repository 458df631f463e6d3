// wire.h: messages between the simulated world and the process that is simulated, over a pair of
// sockets. Each is JSON behind its length.
#pragma once

#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace authurl::testing {

using Message = nlohmann::json;

// Owns its descriptor. Reads on one thread; sends on any.
class Wire final {
 public:
  explicit Wire(int fd) : fd_(fd) {}
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // False where the other end is gone.
  bool Send(const Message& message);
  // Nothing likewise.
  std::optional<Message> Receive();

 private:
  bool ReadAll(char* to, size_t size) const;

  const int fd_;
  std::mutex send_mutex_;
};

}  // namespace authurl::testing
