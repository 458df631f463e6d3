#include "tests/bench/contender.h"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "echo.pb.h"
#include "tests/bench/echo_server.h"

namespace authurl::bench {
namespace {

constexpr absl::string_view kAuthUrl = "authurl";

// Calls that a completion queue keeps ready to accept, for each of its threads.
constexpr int kRequestsPosted = 128;

int ServeEcho(const Frame& frame, FILE* to_parent) {
  const auto server = StartEchoServer(frame, kRequestsPosted);
  if (!server.ok()) return 1;
  fprintf(to_parent, "%d\n", (*server)->port());
  fflush(to_parent);
  // Until a signal ends the process.
  while (true) pause();
}

// `bytes` is at least what a message needs that says nothing.
std::string PayloadOf(uint64_t bytes) {
  v1::EchoResponse response;
  std::string payload(bytes, '.');
  while (!payload.empty()) {
    response.set_payload(payload);
    if (response.ByteSizeLong() <= bytes) break;
    payload.pop_back();
  }
  return payload;
}

}  // namespace

bool IsAuthUrl(absl::string_view contender) {
  return contender.substr(0, contender.find(' ')) == kAuthUrl;
}

absl::StatusOr<RunningContender> RunningContender::Start(const std::string& contender,
                                                         const Deployment& deployment) {
  RunningContender running;
  if (IsAuthUrl(contender)) {
    std::vector<std::string> words = absl::StrSplit(contender, ' ', absl::SkipEmpty());
    words.erase(words.begin());
    auto server = ServerUnderTest::Start(deployment, words);
    if (!server.ok()) return server.status();
    running.server_ = *std::move(server);
    return running;
  }
  const absl::StatusOr<Frame> frame = ParseFrame(contender);
  if (!frame.ok()) return frame.status();
  auto echo = ChildProcess::Fork([&](FILE* to_parent) { return ServeEcho(*frame, to_parent); });
  if (!echo.ok()) return echo.status();
  running.echo_ = *std::move(echo);
  const std::optional<std::string> line = running.echo_->ReadLine();
  if (!line.has_value() || !absl::SimpleAtoi(*line, &running.echo_port_)) {
    return absl::UnavailableError("the echo server did not start");
  }
  return running;
}

std::string RunningContender::address() const {
  if (server_ != nullptr) return server_->address();
  return absl::StrCat("127.0.0.1:", echo_port_);
}

pid_t RunningContender::pid() const { return server_ != nullptr ? server_->pid() : echo_->pid(); }

absl::Status RunningContender::Stop() {
  if (server_ != nullptr) return server_->Stop();
  echo_->Stop();
  return absl::OkStatus();
}

Call EchoOfTheSize(Call call, uint64_t response_bytes) {
  v1::EchoRequest request;
  request.set_response_payload_bytes(static_cast<uint32_t>(PayloadOf(response_bytes).size()));
  // A string field costs two bytes besides its text, up to 127 bytes of it.
  const size_t others = request.ByteSizeLong() + 2;
  if (call.request.size() > others) {
    request.set_payload(std::string(call.request.size() - others, '.'));
  }
  call.method = "/authurl.bench.v1.EchoService/Echo";
  call.request = request.SerializeAsString();
  return call;
}

}  // namespace authurl::bench
