// in_process_server.h: a whole server inside the test's process, on a real port and a real database
// file, with a clock that the test sets.
#pragma once

#include <grpcpp/channel.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/app.h"
#include "server/config.h"
#include "tests/support/raw_rpc.h"
#include "tests/support/server_process.h"
#include "tests/support/test_client.h"

namespace authurl::testing {

class InProcessServer final {
 public:
  // `change` adjusts the configuration, which is otherwise config.h's with port 0, reflection and
  // no drain delay.
  static absl::StatusOr<std::unique_ptr<InProcessServer>> Start(
      const std::function<void(Config&)>& change = [](Config&) {});
  InProcessServer(const InProcessServer&) = delete;
  InProcessServer& operator=(const InProcessServer&) = delete;

  const ServerFolder& folder() const { return folder_; }
  const Config& config() const { return config_; }
  const std::string& address() const { return app_->address(); }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  App& app() { return *app_; }
  // Stops the server and lets go of its files.
  void Close() { app_.reset(); }

  // The server's time: a fixed moment until it is set.
  absl::Time now() const { return absl::FromUnixMillis(now_ms_); }
  void SetTime(absl::Time now) { now_ms_ = absl::ToUnixMillis(now); }

  TestClient WithKey(const std::string& api_key) const { return TestClient(channel_, api_key); }
  TestClient Admin() const { return WithKey(folder_.admin_key()); }

  // Calls the rpc of that name with a request in protobuf text.
  RawReply Call(const std::string& rpc, const std::string& request_text,
                const RawMetadata& metadata) const;
  // The same with the typed response.
  template <typename Response>
  absl::StatusOr<Response> Call(const std::string& rpc, const std::string& request_text,
                                const RawMetadata& metadata) const {
    const RawReply reply = Call(rpc, request_text, metadata);
    if (!reply.status.ok()) return ToAbslStatus(reply.status);
    Response response;
    if (!response.ParseFromString(reply.response)) return absl::InternalError("no such response");
    return response;
  }

 private:
  InProcessServer() = default;

  const ServerFolder folder_;
  Config config_;
  std::atomic<int64_t> now_ms_ = 1'790'000'000'123;
  std::unique_ptr<App> app_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace authurl::testing
