// flood.h: a peer that opens connections without end, says one thing on each, and nothing more.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"

namespace authurl::testing {

class Flood final {
 public:
  // Holds as many `connections` to "127.0.0.1:port" as the server lets it, from `source` (an
  // address of this machine); each one that is closed is opened again.
  Flood(const std::string& address, int connections, std::string says,
        const std::string& source = "127.0.0.1");
  // Closes them.
  ~Flood();
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;

  // How many it has opened by now.
  int64_t opened() const { return opened_.load(); }

 private:
  void Run();

  const int port_;
  const int connections_;
  const std::string says_;
  const std::string source_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> opened_ = 0;
  std::thread thread_;
};

// What a TLS client says first.
std::string TlsClientHello();

}  // namespace authurl::testing
