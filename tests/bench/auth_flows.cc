#include "tests/bench/auth_flows.h"

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "authurl/v1/auth_url_service.grpc.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "tests/bench/child_process.h"
#include "tests/bench/deployment.h"
#include "tests/bench/example_call.h"

namespace authurl::bench {
namespace {

constexpr size_t kThreads = 8;

// Its characters are the same percent-encoded.
absl::string_view StateIn(absl::string_view auth_url) {
  constexpr absl::string_view kBefore = "&state=";
  const size_t found = auth_url.find(kBefore);
  if (found == absl::string_view::npos) return "";
  auth_url.remove_prefix(found + kBefore.size());
  return auth_url.substr(0, auth_url.find('&'));
}

// The states of some URLs, one a line, in `states`.
absl::Status AskForUrls(v1::AuthUrlService::Stub& stub, size_t count, std::string& states) {
  const v1::GetAuthUrlRequest request = ExampleRequest("x");
  const std::string authorization = absl::StrCat("Bearer ", MintKey(0));
  for (size_t i = 0; i < count; ++i) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", authorization);
    v1::GetAuthUrlResponse response;
    const grpc::Status status = stub.GetAuthUrl(&context, request, &response);
    if (!status.ok()) return absl::UnknownError(status.error_message());
    const absl::string_view state = StateIn(response.auth_url());
    if (state.empty()) return absl::UnknownError("a URL without a state");
    absl::StrAppend(&states, state, "\n");
  }
  return absl::OkStatus();
}

int WriteStates(const std::string& target, size_t count, FILE* to_parent) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto stub = v1::AuthUrlService::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
  std::vector<std::string> states(kThreads);
  std::vector<absl::Status> statuses(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    const size_t share = count / kThreads + (i < count % kThreads ? 1 : 0);
    threads.emplace_back([&, i, share] { statuses[i] = AskForUrls(*stub, share, states[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < kThreads; ++i) {
    if (statuses[i].ok()) continue;
    fputs(statuses[i].ToString().c_str(), to_parent);
    return 1;
  }
  for (const std::string& lines : states) fwrite(lines.data(), 1, lines.size(), to_parent);
  return 0;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> BeginFlows(const std::string& target, size_t count) {
  auto child =
      ChildProcess::Fork([&](FILE* to_parent) { return WriteStates(target, count, to_parent); });
  if (!child.ok()) return child.status();
  const std::string written = (*child)->ReadAll();
  if ((*child)->Wait() != 0) {
    return absl::UnknownError(absl::StrCat("no URLs to begin with: ", written));
  }
  std::vector<std::string> responses;
  responses.reserve(count);
  for (const absl::string_view state : absl::StrSplit(written, '\n', absl::SkipEmpty())) {
    // A code as long as X's.
    responses.push_back(absl::StrFormat("state=%s&code=%091d", state, responses.size()));
  }
  if (responses.size() != count) return absl::UnknownError("some URLs are missing");
  return responses;
}

CallSource Completions(std::vector<std::string> responses) {
  // Sources are copied.
  return [responses = std::make_shared<const std::vector<std::string>>(std::move(responses)),
          authorization = absl::StrCat("Bearer ", MintKey(0))](uint64_t number, Call& call) {
    v1::CompleteAuthRequest request;
    if (number < responses->size()) request.set_response((*responses)[number]);
    call.method = "/authurl.v1.SocialAccountService/CompleteAuth";
    call.request = request.SerializeAsString();
    call.metadata.clear();
    call.metadata.emplace_back("authorization", authorization);
  };
}

}  // namespace authurl::bench
