#include "tests/support/in_process_server.h"

#include <utility>

namespace authurl::testing {

absl::StatusOr<std::unique_ptr<InProcessServer>> InProcessServer::Start(
    const std::function<void(Config&)>& change) {
  std::unique_ptr<InProcessServer> server(new InProcessServer);
  Config& config = server->config_;
  config.listen = "127.0.0.1:0";
  config.database = server->folder_.database();
  config.key_ring_file = server->folder_.key_ring_file();
  config.admin_key_file = server->folder_.admin_key_file();
  config.reflection = true;
  config.drain_delay = absl::ZeroDuration();
  // Tests ask faster than users; those of the limits set their own.
  config.rate_limit_key = 0;
  config.rate_limit_organization = 0;
  change(config);
  if (absl::Status status = VerifyConfig(config); !status.ok()) return status;
  auto app = App::Start(config, [raw = server.get()] { return raw->now(); });
  if (!app.ok()) return app.status();
  server->app_ = *std::move(app);
  server->channel_ = NewChannel(server->address());
  return server;
}

RawReply InProcessServer::Call(const std::string& rpc, const std::string& request_text,
                               const RawMetadata& metadata) const {
  const Rpc& found = FindRpc(rpc);
  return CallRaw(channel_, PathOf(found), RequestBytes(found, request_text), metadata);
}

}  // namespace authurl::testing
