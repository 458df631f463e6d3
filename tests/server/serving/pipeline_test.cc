#include "server/serving/pipeline.h"

#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/api_key.h"
#include "core/tenant_token.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/observe/log.h"
#include "server/serving/callback_frame.h"
#include "server/serving/detached_work.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/support/no_limit.h"
#include "tests/support/plain_call.h"
#include "tests/support/raw_rpc.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::Optional;

// One of each lane.
constexpr char kReadPath[] = "/authurl.v1.AuthUrlService/GetAuthUrl";
constexpr char kMemoryPath[] = "/authurl.v1.AuthUrlService/ExplainAuthUrl";
constexpr char kWritePath[] = "/authurl.v1.AuthUrlService/BatchGetAuthUrls";
constexpr char kOutboundPath[] = "/authurl.v1.AuthUrlService/ListNetworks";

// The pipeline behind a real gRPC server, with handlers that each test chooses. One thread for
// reads and one for writes, and room for one call that waits for each.
class PipelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(*std::move(backend), sealer_, FillRandom));
    record::v1::Organization organization;
    organization.set_org_id("acme");
    ASSERT_OK(store_->CreateOrganization(kNoLimit, organization));
    record::v1::ApiKey key;
    key.set_key_id(ParseApiKey(key_)->key_id);
    key.set_digest(ParseApiKey(key_)->digest);
    key.set_org_id("acme");
    key.set_role(record::v1::ROLE_MINT);
    ASSERT_OK(store_->CreateApiKey(kNoLimit, key));

    pipeline_ = std::make_unique<Pipeline>(
        *store_, sealer_, lanes_, admission_, rate_limits_, metrics_, [this] { return now(); },
        FillRandom, 1024);
    const auto& descriptor = *v1::GetAuthUrlRequest::descriptor()->file()->service(0);
    std::vector<Method> methods;
    for (int i = 0; i < descriptor.method_count(); ++i) {
      methods.push_back(MakeMethod(PathOf(*descriptor.method(i))));
      methods_.emplace(methods.back().path, methods.back());
    }
    service_ = MakeCallbackService(descriptor, std::move(methods), *pipeline_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxSendMessageSize(kMaxReplyBytes);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = absl::StrCat("127.0.0.1:", port);
    channel_ = NewChannel(address_);
  }

  Method MakeMethod(const std::string& path) {
    Method method = {.path = path, .access = Access::kMint, .metric = metrics_.AddMethod(path)};
    if (path != kWritePath) {
      method = TakingTenantTokens(state::v1::TenantToken::ACTION_CONNECT, std::move(method));
    }
    method.handle = [this](const Caller& caller, absl::string_view, Reply& reply) -> Handled {
      ++handled_;
      v1::GetAuthUrlResponse response;
      response.set_auth_url(std::string(url_bytes_, 'u'));
      return PutResponse({CurrentHandler()(caller)}, response, reply);
    };
    if (path == kWritePath) method.lane = Lane::kWrites;
    if (path == kMemoryPath) {
      method.lane = Lane::kMemory;
      method.handle_in_memory = [this](const Caller& caller, absl::string_view,
                                       Reply& reply) -> std::optional<Handled> {
        const std::optional<absl::Status> status = CurrentLookUp()(caller);
        if (!status.has_value()) return std::nullopt;
        return PutResponse({*status}, v1::GetAuthUrlResponse(), reply);
      };
    }
    if (path == kOutboundPath) {
      method.lane = Lane::kOutbound;
      method.start = [this](const Caller&, absl::string_view, Reply&, Completion completion) {
        const std::lock_guard lock(handler_mutex_);
        parked_.push_back(std::move(completion));
      };
    }
    return method;
  }

  void TearDown() override {
    if (server_ == nullptr) return;
    admission_.Close();
    EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience)) << "a call never left";
    server_->Shutdown();
    lanes_.Stop();
  }

  RawReply Call(RawMetadata more = {}, absl::Duration timeout = kPatience,
                const char* path = kReadPath) const {
    more.emplace("authorization", "Bearer " + key_);
    return CallRaw(channel_, path, "", more, timeout);
  }
  RawReply CallMemory() const { return Call({}, kPatience, kMemoryPath); }
  // A tenant token for the calls above, but for those that write.
  std::string NewTenantToken(TenantAction action = state::v1::TenantToken::ACTION_CONNECT) const {
    state::v1::TenantToken token;
    token.set_org_id("acme");
    token.set_tenant_id("customer_42");
    token.add_actions(action);
    token.set_expires_at(absl::ToUnixSeconds(now() + absl::Minutes(1)));
    token.set_key_id("TheMaker0123");
    return SealTenantToken(sealer_, NewNonce(FillRandom), token);
  }
  RawReply CallWith(const std::string& token, const char* path = kReadPath) const {
    return CallRaw(channel_, path, "", {{"authorization", "Bearer " + token}});
  }
  // What the pipeline takes for the time where tokens end.
  absl::Time now() const { return absl::FromUnixSeconds(now_s_); }
  // Until every call that was answered is counted and logged.
  bool AllAreDone() {
    return Eventually([this] { return admission_.WaitUntilEmpty(absl::ZeroDuration()); });
  }
  // The same call without gRPC, which the test serves and cancels.
  std::unique_ptr<PlainCall> NewPlainCall(const char* path,
                                          absl::Time deadline = absl::InfiniteFuture()) const {
    return std::make_unique<PlainCall>(*pipeline_, methods_.at(path),
                                       PlainMetadata{{"authorization", "Bearer " + key_}}, "",
                                       deadline);
  }
  // What was counted of a method under that code.
  double Counted(const char* path, const std::string& code) const {
    for (const prometheus::MetricFamily& family : metrics_.Collect()) {
      if (family.name != "authurl_rpc_calls_total") continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (metric.label[0].value == path + 1 && metric.label[1].value == code) {
          return metric.counter.value;
        }
      }
    }
    return -1;
  }

  using Handler = std::function<absl::Status(const Caller&)>;
  using LookUp = std::function<std::optional<absl::Status>(const Caller&)>;

  // Under a mutex: what orders a call before the next one is gRPC, which the thread sanitizer does
  // not see into.
  void SetHandler(Handler handler) {
    const std::lock_guard lock(handler_mutex_);
    handler_ = std::move(handler);
  }
  Handler CurrentHandler() {
    const std::lock_guard lock(handler_mutex_);
    return handler_;
  }

  LookUp CurrentLookUp() {
    const std::lock_guard lock(handler_mutex_);
    return look_up_;
  }
  void SetLookUp(LookUp look_up) {
    const std::lock_guard lock(handler_mutex_);
    look_up_ = std::move(look_up);
  }
  size_t parked() {
    const std::lock_guard lock(handler_mutex_);
    return parked_.size();
  }
  std::vector<Completion> TakeParked() {
    const std::lock_guard lock(handler_mutex_);
    return std::exchange(parked_, {});
  }

  // Makes the handler wait until release_ is set, and has the only thread of a lane do so.
  void BlockTheThread(const char* path = kReadPath) {
    SetHandler([this](const Caller&) {
      if (!blocked_.exchange(true)) started_.set_value();
      released_.wait();
      return absl::OkStatus();
    });
    blocking_ = std::async(std::launch::async, [this, path] { return Call({}, kPatience, path); });
    started_.get_future().wait();
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  const std::string key_ = NewApiKey(FillRandom);
  std::unique_ptr<CredentialStore> store_;
  Lanes lanes_{
      {.read_workers = 1, .max_queued_reads = 1, .write_workers = 1, .max_queued_writes = 1}};
  Admission admission_;
  RateLimits rate_limits_{{.per_key = 100'000}};
  Metrics metrics_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;

  std::atomic<int64_t> now_s_ = 1'790'000'000;
  std::mutex handler_mutex_;
  Handler handler_ = [](const Caller&) { return absl::OkStatus(); };
  LookUp look_up_ = [](const Caller&) { return absl::OkStatus(); };
  std::vector<Completion> parked_;
  std::map<std::string, Method> methods_;
  std::atomic<int> handled_ = 0;
  std::atomic<size_t> url_bytes_ = 0;
  std::atomic<bool> blocked_ = false;
  std::promise<void> started_;
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
  std::future<RawReply> blocking_;
};

TEST_F(PipelineTest, HandlerLearnsWhoCalls) {
  SetHandler([this](const Caller& caller) {
    EXPECT_EQ(caller.key_id, key_.substr(4, 12));
    EXPECT_EQ(caller.role, record::v1::ROLE_MINT);
    EXPECT_EQ(caller.org_id, "acme");
    EXPECT_EQ(caller.context->request_id(), "mine");
    EXPECT_GT(caller.context->deadline(), absl::Now());
    EXPECT_LT(caller.context->deadline(), absl::Now() + 2 * kPatience);
    return absl::OkStatus();
  });
  EXPECT_TRUE(Call({{"x-request-id", "mine"}}).status.ok());
  EXPECT_EQ(handled_, 1);
}

TEST_F(PipelineTest, HandlerLearnsWhichTenantATokenIsBoundTo) {
  const auto check = [](const Caller& caller) {
    EXPECT_EQ(caller.key_id, "TheMaker0123");
    EXPECT_EQ(caller.role, record::v1::ROLE_UNSPECIFIED);
    EXPECT_EQ(caller.org_id, "acme");
    EXPECT_THAT(caller.tenant_id, Optional(std::string("customer_42")));
    return absl::OkStatus();
  };
  SetHandler(check);
  SetLookUp(check);
  const std::string token = NewTenantToken();
  EXPECT_TRUE(CallWith(token).status.ok());
  EXPECT_TRUE(CallWith(token, kMemoryPath).status.ok());
  EXPECT_TRUE(CallWith(token, kMemoryPath).status.ok());
  SetHandler([](const Caller& caller) {
    EXPECT_EQ(caller.tenant_id, std::nullopt);
    return absl::OkStatus();
  });
  EXPECT_TRUE(Call().status.ok());
}

TEST_F(PipelineTest, TenantTokenOfAnOrganisationThatIsInMemoryNeedsNoThreadOfALane) {
  const std::string token = NewTenantToken();
  ASSERT_TRUE(CallWith(token).status.ok());
  BlockTheThread();
  handled_ = 0;
  EXPECT_TRUE(CallWith(token, kMemoryPath).status.ok());
  EXPECT_EQ(handled_, 0);
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
}

TEST_F(PipelineTest, TenantTokenThatIsNotGoodHereIsNotHandled) {
  const std::string token = NewTenantToken();
  EXPECT_THAT(ToAbslStatus(CallWith(token, kWritePath).status), HasReason("ROLE_NOT_ALLOWED"));
  EXPECT_THAT(ToAbslStatus(CallWith(NewTenantToken(state::v1::TenantToken::ACTION_LIST)).status),
              HasReason("ROLE_NOT_ALLOWED"));
  EXPECT_THAT(ToAbslStatus(CallWith(token + "A").status), HasReason("API_KEY_INVALID"));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", absl::Now()));
  EXPECT_THAT(ToAbslStatus(CallWith(token).status), HasReason("ORGANIZATION_NOT_FOUND"));
  now_s_ += 60;
  const absl::Status expired = ToAbslStatus(CallWith(token).status);
  EXPECT_THAT(expired, HasReason("TENANT_TOKEN_EXPIRED"));
  EXPECT_EQ(expired.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(handled_, 0);
}

// Who made it is told also where it is refused; where it is none of ours nobody is.
TEST_F(PipelineTest, CallsWithTenantTokensAreLoggedUnderTheKeyThatMadeThem) {
  const std::string token = NewTenantToken();
  const auto call = [this](const std::string& id, const std::string& with, const char* path) {
    CallRaw(channel_, path, "", {{"authorization", "Bearer " + with}, {"x-request-id", id}});
    EXPECT_TRUE(AllAreDone());
  };
  ::testing::internal::CaptureStderr();
  StartLog("info");
  call("good", token, kReadPath);
  call("refused", token, kWritePath);
  call("forged", token.substr(0, token.size() - 4) + "AAAA", kReadPath);
  now_s_ += 60;
  call("expired", token, kReadPath);
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  std::map<std::string, nlohmann::json> by_id;  // Those of several threads come in any order.
  for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const auto read = nlohmann::json::parse(line);
    by_id[read["request_id"].get<std::string>()] = read;
  }
  ASSERT_EQ(by_id.size(), 4u) << log;
  EXPECT_EQ(by_id["good"]["code"], "OK");
  EXPECT_EQ(by_id["good"]["org_id"], "acme");
  EXPECT_EQ(by_id["refused"]["reason"], "ROLE_NOT_ALLOWED");
  EXPECT_EQ(by_id["expired"]["reason"], "TENANT_TOKEN_EXPIRED");
  EXPECT_EQ(by_id["forged"]["reason"], "API_KEY_INVALID");
  for (const char* id : {"good", "refused", "expired"}) {
    EXPECT_EQ(by_id[id]["key_id"], "TheMaker0123") << id;
  }
  EXPECT_FALSE(by_id["forged"].contains("key_id"));
  EXPECT_THAT(log, Not(HasSubstr(token.substr(4, 40))));
  EXPECT_THAT(log, Not(HasSubstr("customer_42")));
}

TEST_F(PipelineTest, WhatAHandlerThrowsIsInternalAndStaysInside) {
  SetHandler([](const Caller&) -> absl::Status { throw std::runtime_error("torn page 7"); });
  RawReply reply = Call();
  EXPECT_EQ(reply.status.error_code(), grpc::INTERNAL);
  EXPECT_THAT(ToAbslStatus(reply.status), HasReason("INTERNAL"));
  EXPECT_THAT(reply.status.error_message(), HasSubstr("the server's log has the cause"));
  EXPECT_THAT(reply.status.error_message() + reply.status.error_details(),
              Not(HasSubstr("torn page")));
  SetHandler([](const Caller&) -> absl::Status { throw 42; });
  reply = Call();
  EXPECT_EQ(reply.status.error_code(), grpc::INTERNAL);
  SetHandler([](const Caller&) { return absl::OkStatus(); });
  EXPECT_TRUE(Call().status.ok());
}

TEST_F(PipelineTest, StatusWithoutReasonIsInternalAndItsCauseIsInTheLogOnly) {
  SetHandler([](const Caller&) { return absl::NotFoundError("row 7 does not open"); });
  ::testing::internal::CaptureStderr();
  StartLog("info");
  const RawReply reply = Call({{"x-request-id", "req-7"}});
  EXPECT_TRUE(AllAreDone());
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(reply.status.error_code(), grpc::INTERNAL);
  EXPECT_THAT(reply.status.error_message() + reply.status.error_details(), Not(HasSubstr("row 7")));
  EXPECT_THAT(log, HasSubstr("row 7 does not open"));
  EXPECT_THAT(log, HasSubstr("\"level\":\"error\""));
  EXPECT_THAT(log, HasSubstr("\"request_id\":\"req-7\""));
}

TEST_F(PipelineTest, EveryCallIsLoggedOnceAndWithoutSecrets) {
  ::testing::internal::CaptureStderr();
  StartLog("info");
  EXPECT_TRUE(Call({{"x-request-id", "good"}, {"x-other", "hush"}}).status.ok());
  EXPECT_TRUE(AllAreDone());
  CallRaw(channel_, kReadPath, "", {{"x-request-id", "bad"}});
  EXPECT_TRUE(AllAreDone());
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u) << log;
  const auto good = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(good["event"], "call");
  EXPECT_EQ(good["method"], kReadPath);
  EXPECT_EQ(good["code"], "OK");
  EXPECT_EQ(good["request_id"], "good");
  EXPECT_EQ(good["key_id"], key_.substr(4, 12));
  EXPECT_EQ(good["org_id"], "acme");
  EXPECT_TRUE(good["microseconds"].is_number());
  EXPECT_THAT(good["peer"].get<std::string>(), MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
  const auto bad = nlohmann::json::parse(lines[1]);
  EXPECT_EQ(bad["code"], "UNAUTHENTICATED");
  EXPECT_EQ(bad["reason"], "API_KEY_MISSING");
  EXPECT_THAT(log, Not(HasSubstr(key_.substr(17))));
  EXPECT_THAT(log, Not(HasSubstr("hush")));
}

TEST_F(PipelineTest, RequestIdOfTheCallerComesBackAndABadOneIsReplaced) {
  const auto id_for = [this](const RawMetadata& metadata) {
    const RawReply reply = Call(metadata);
    EXPECT_EQ(reply.headers.count("x-request-id"), 1u);
    return reply.headers.find("x-request-id")->second;
  };
  EXPECT_EQ(id_for({{"x-request-id", "Abc-1_2.3"}}), "Abc-1_2.3");
  EXPECT_EQ(id_for({{"x-request-id", std::string(64, 'a')}}), std::string(64, 'a'));
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("a\"b"),
                                 std::string(65, 'a'), std::string("<script>")}) {
    EXPECT_THAT(id_for({{"x-request-id", bad}}), MatchesRegex("[0-9a-f]{32}"));
  }
  EXPECT_NE(id_for({}), id_for({}));
  const RawReply refused = CallRaw(channel_, kReadPath, "", {{"x-request-id", "mine"}});
  ASSERT_EQ(refused.trailers.count("x-request-id"), 1u);
  EXPECT_EQ(refused.trailers.find("x-request-id")->second, "mine");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(refused.status.error_details()));
  google::rpc::RequestInfo info;
  ASSERT_GT(details.details_size(), 0);
  ASSERT_TRUE(details.details(details.details_size() - 1).UnpackTo(&info));
  EXPECT_EQ(info.request_id(), "mine");
}

// What has sent headers is not retried, whatever the policy says.
TEST_F(PipelineTest, ErrorsAreRetriedByClientsThatHaveAPolicyForThem) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(R"json({"methodConfig": [{
    "name": [{}],
    "retryPolicy": {
      "maxAttempts": 3,
      "initialBackoff": "0.01s",
      "maxBackoff": "0.01s",
      "backoffMultiplier": 1,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]})json");
  SetHandler([this](const Caller&) {
    return handled_ < 3 ? StorageUnavailable("for now") : absl::OkStatus();
  });
  const RawReply reply = CallRaw(NewChannel(address_, arguments), kReadPath, "",
                                 {{"authorization", "Bearer " + key_}, {"x-request-id", "mine"}});
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(handled_, 3);
  ASSERT_EQ(reply.headers.count("x-request-id"), 1u);
  EXPECT_EQ(reply.headers.find("x-request-id")->second, "mine");
}

TEST_F(PipelineTest, CallsOverTheRateAreRefusedUnhandledAndAStrangerUsesUpNothing) {
  Caller mint;
  mint.key_id = key_.substr(4, 12);
  mint.org_id = "acme";
  // Wrong keys of that id count for nothing.
  std::string wrong = NewApiKey(FillRandom);
  wrong.replace(4, 12, key_, 4, 12);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(ToAbslStatus(CallRaw(channel_, kReadPath, "", Bearer(wrong)).status),
                HasReason("API_KEY_INVALID"));
  }
  EXPECT_TRUE(Call().status.ok());

  rate_limits_.Charge(mint, 1'000'000, absl::Now());
  const int handled = handled_;
  for (const char* path : {kReadPath, kWritePath, kMemoryPath}) {
    const absl::Status status = ToAbslStatus(Call({}, kPatience, path).status);
    EXPECT_THAT(status, HasReason("RATE_LIMITED"));
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    ASSERT_TRUE(RetryAfterOf(status).has_value());
    EXPECT_GT(*RetryAfterOf(status), absl::ZeroDuration());
  }
  EXPECT_EQ(handled_, handled);
}

TEST_F(PipelineTest, FullQueueShedsCallsAndSaysWhenToRetry) {
  BlockTheThread();
  std::atomic<int> shed = 0;
  std::vector<std::future<RawReply>> more;
  for (int i = 0; i < 4; ++i) {
    more.push_back(std::async(std::launch::async, [&] {
      RawReply reply = Call();
      if (!reply.status.ok()) ++shed;
      return reply;
    }));
  }
  EXPECT_TRUE(Eventually([&] { return shed == 3; }));
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
  int served = 0;
  for (auto& each : more) {
    const RawReply reply = each.get();
    served += reply.status.ok() ? 1 : 0;
    if (reply.status.ok()) continue;
    const absl::Status status = ToAbslStatus(reply.status);
    EXPECT_THAT(status, HasReason("OVERLOADED"));
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(RetryAfterOf(status), Optional(absl::Milliseconds(100)));
  }
  EXPECT_EQ(served, 1);
  EXPECT_TRUE(Call().status.ok());
}

TEST_F(PipelineTest, WhatIsAnsweredFromMemoryNeedsNoThreadOfALane) {
  ASSERT_TRUE(Call().status.ok());  // The key is in memory from now on.
  BlockTheThread();
  handled_ = 0;
  EXPECT_TRUE(CallMemory().status.ok());
  SetLookUp([](const Caller&) -> std::optional<absl::Status> { throw 42; });
  EXPECT_EQ(CallMemory().status.error_code(), grpc::INTERNAL);
  EXPECT_EQ(handled_, 0);
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
}

TEST_F(PipelineTest, WhatIsNotInMemoryIsLookedUpOnceOnAThreadForReads) {
  ASSERT_TRUE(Call().status.ok());
  handled_ = 0;
  std::atomic<int> looked = 0;
  std::thread::id first;
  SetLookUp([&](const Caller&) -> std::optional<absl::Status> {
    ++looked;
    first = std::this_thread::get_id();
    return std::nullopt;
  });
  SetHandler([&](const Caller& caller) {
    EXPECT_NE(std::this_thread::get_id(), first);
    EXPECT_EQ(caller.org_id, "acme");
    return absl::OkStatus();
  });
  EXPECT_TRUE(CallMemory().status.ok());
  EXPECT_EQ(looked, 1);
  EXPECT_EQ(handled_, 1);
}

TEST_F(PipelineTest, KeyThatIsNotInMemoryIsLookedUpOnAThreadForReads) {
  SetLookUp([](const Caller&) -> std::optional<absl::Status> {
    ADD_FAILURE() << "the thread is one for reads already";
    return std::nullopt;
  });
  EXPECT_TRUE(CallMemory().status.ok());
  EXPECT_EQ(handled_, 1);
  handled_ = 0;
  ASSERT_TRUE(Call({}, kPatience, kWritePath).status.ok());
  EXPECT_EQ(handled_, 1);
}

TEST_F(PipelineTest, WhatIsNotInMemoryIsStartedWhereItCanBe) {
  Method method = methods_.at(kMemoryPath);
  method.start = methods_.at(kOutboundPath).start;
  method.handle = nullptr;
  std::atomic<int> looked = 0;
  std::optional<absl::Status> known = absl::OkStatus();
  SetLookUp([&](const Caller& caller) {
    EXPECT_EQ(caller.org_id, "acme");
    ++looked;
    return known;
  });
  const PlainMetadata metadata = {{"authorization", "Bearer " + key_}};
  // The first call has to look up its key on a thread for reads; there memory is asked, too.
  for (int i = 1; i <= 2; ++i) {
    PlainCall call(*pipeline_, method, metadata, "");
    call.Serve();
    EXPECT_TRUE(call.reply().status().ok());
    EXPECT_EQ(looked, i);
  }
  EXPECT_EQ(parked(), 0u);
  known = std::nullopt;
  PlainCall call(*pipeline_, method, metadata, "");
  call.Serve();
  ASSERT_EQ(parked(), 1u);
  EXPECT_EQ(looked, 3);
  EXPECT_EQ(lanes_.outbound.stats().queued, 1u);
  EXPECT_EQ(call.reply().times_sent(), 0);
  TakeParked().front().End({absl::OkStatus()});
  EXPECT_TRUE(call.reply().status().ok());
  EXPECT_EQ(call.reply().times_sent(), 1);
  EXPECT_EQ(lanes_.outbound.stats().queued, 0u);
}

TEST_F(PipelineTest, EveryCallIsCountedOnceHoweverManyLanesItTakes) {
  SetLookUp([](const Caller&) { return std::nullopt; });
  ASSERT_TRUE(CallMemory().status.ok());
  ASSERT_TRUE(CallMemory().status.ok());
  EXPECT_TRUE(Eventually([this] { return Counted(kMemoryPath, "OK") == 2; }));
}

TEST_F(PipelineTest, BlockedWritesHoldUpNeitherReadsNorWhatIsInMemory) {
  BlockTheThread(kWritePath);
  SetHandler([](const Caller&) { return absl::OkStatus(); });
  std::future<RawReply> waiting =
      std::async(std::launch::async, [this] { return Call({}, kPatience, kWritePath); });
  ASSERT_TRUE(Eventually([this] { return lanes_.writes.stats().queued == 1; }));
  EXPECT_THAT(ToAbslStatus(Call({}, kPatience, kWritePath).status), HasReason("OVERLOADED"));
  EXPECT_TRUE(Call().status.ok());
  EXPECT_TRUE(CallMemory().status.ok());
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
  EXPECT_TRUE(waiting.get().status.ok());
}

TEST_F(PipelineTest, AThousandParkedCallsHoldNothingUp) {
  constexpr size_t kCalls = 1000;
  ASSERT_TRUE(Call().status.ok());
  std::vector<std::unique_ptr<PlainCall>> calls;
  for (size_t i = 0; i < kCalls; ++i) {
    calls.push_back(NewPlainCall(kOutboundPath));
    calls.back()->Serve();
  }
  ASSERT_EQ(parked(), kCalls);
  EXPECT_EQ(lanes_.outbound.stats().queued, kCalls);
  EXPECT_TRUE(CallMemory().status.ok());
  EXPECT_TRUE(Call().status.ok());
  EXPECT_TRUE(Call({}, kPatience, kWritePath).status.ok());
  for (Completion& completion : TakeParked()) completion.End({absl::OkStatus()});
  for (const auto& call : calls) EXPECT_TRUE(call->reply().status().ok());
  EXPECT_EQ(lanes_.outbound.stats().queued, 0u);
  calls.clear();
  EXPECT_EQ(Counted(kOutboundPath, "OK"), kCalls);
}

TEST_F(PipelineTest, FullOutboundLaneShedsCalls) {
  ASSERT_TRUE(Call().status.ok());
  while (lanes_.outbound.TryEnter()) {
  }
  const auto call = NewPlainCall(kOutboundPath);
  call->Serve();
  EXPECT_THAT(ToAbslStatus(call->reply().status()), HasReason("OVERLOADED"));
  lanes_.outbound.Leave();
  const auto next = NewPlainCall(kOutboundPath);
  next->Serve();
  ASSERT_EQ(parked(), 1u);
  TakeParked().front().End({absl::OkStatus()});
  EXPECT_TRUE(next->reply().status().ok());
}

TEST_F(PipelineTest, OutboundCallThatIsGivenUpEndsWithInternalAndLeavesItsPlace) {
  ASSERT_TRUE(Call().status.ok());
  const auto call = NewPlainCall(kOutboundPath);
  call->Serve();
  ASSERT_EQ(parked(), 1u);
  TakeParked().clear();
  EXPECT_THAT(ToAbslStatus(call->reply().status()), HasReason("INTERNAL"));
  EXPECT_EQ(lanes_.outbound.stats().queued, 0u);
}

TEST_F(PipelineTest, CallIsEndedOnceWhateverIsThrownAndWherever) {
  for (const char* path : {kReadPath, kWritePath, kMemoryPath}) {
    SetLookUp([](const Caller&) -> std::optional<absl::Status> { throw std::runtime_error("a"); });
    SetHandler([](const Caller&) -> absl::Status { throw std::runtime_error("b"); });
    const auto call = NewPlainCall(path);
    call->Serve();
    EXPECT_THAT(ToAbslStatus(call->reply().status()), HasReason("INTERNAL")) << path;
    EXPECT_EQ(call->reply().times_sent(), 1) << path;
  }
  Method throws = methods_.at(kOutboundPath);
  throws.start = [](const Caller&, absl::string_view, Reply&, const Completion&) { throw 42; };
  PlainCall call(*pipeline_, throws, {{"authorization", "Bearer " + key_}}, "");
  call.Serve();
  EXPECT_THAT(ToAbslStatus(call.reply().status()), HasReason("INTERNAL"));
  EXPECT_EQ(call.reply().times_sent(), 1);
  EXPECT_EQ(lanes_.outbound.stats().queued, 0u);
}

TEST_F(PipelineTest, WhatMustBeWrittenFirstIsDoneOnAThreadForWritesOnce) {
  ASSERT_TRUE(Call().status.ok());
  std::thread::id minting;
  std::atomic<int> minted = 0;
  std::atomic<int> written = 0;
  std::atomic<int> counted = 0;
  Method method = methods_.at(kMemoryPath);
  method.handle_in_memory = [&](const Caller&, absl::string_view,
                                Reply&) -> std::optional<Handled> {
    ++minted;
    minting = std::this_thread::get_id();
    return WriteFirst([&](Reply& reply) {
      ++written;
      EXPECT_NE(std::this_thread::get_id(), minting);
      return PutResponse({absl::OkStatus(), [&] { ++counted; }}, v1::GetAuthUrlResponse(), reply);
    });
  };
  {
    PlainCall call(*pipeline_, method, {{"authorization", "Bearer " + key_}}, "");
    call.Serve();
    EXPECT_TRUE(call.reply().status().ok());
    EXPECT_EQ(counted, 0);
  }
  EXPECT_EQ(minted, 1);
  EXPECT_EQ(written, 1);
  EXPECT_EQ(counted, 1);
}

TEST_F(PipelineTest, CancelledCallsGiveTheirPlaceInTheQueueFreeAndAreNeverBegun) {
  BlockTheThread();
  SetHandler([](const Caller&) { return absl::OkStatus(); });
  const auto cancelled = NewPlainCall(kReadPath);
  cancelled->Serve();
  ASSERT_EQ(lanes_.reads.stats().queued, 1u);
  cancelled->Cancel();
  EXPECT_EQ(cancelled->reply().status().error_code(), grpc::CANCELLED);
  EXPECT_EQ(lanes_.reads.stats().queued, 0u);
  const auto next = NewPlainCall(kReadPath);
  next->Serve();
  ASSERT_EQ(lanes_.reads.stats().queued, 1u);
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
  EXPECT_TRUE(next->reply().status().ok());
  EXPECT_EQ(cancelled->reply().times_sent(), 1);
  EXPECT_EQ(handled_, 2);
}

// The same with gRPC: a client that goes away.
TEST_F(PipelineTest, ClientThatGoesAwayLeavesTheQueue) {
  BlockTheThread();
  // A second one waits until its client gives it up, as soon as its deadline has passed. Which of
  // the two the server hears of first is a matter of microseconds.
  EXPECT_EQ(Call({}, absl::Milliseconds(50)).status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([this] { return lanes_.reads.stats().queued == 0; }));
  EXPECT_TRUE(Eventually([this] {
    return Counted(kReadPath, "DEADLINE_EXCEEDED") + Counted(kReadPath, "CANCELLED") == 1;
  }));
  EXPECT_EQ(lanes_.reads.stats().dropped, 1u);
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
  EXPECT_EQ(handled_, 1);
}

TEST_F(PipelineTest, CallWhoseCallerHadGoneBeforeItsReplyIsCountedAndLoggedAsCancelled) {
  ASSERT_TRUE(Call().status.ok());
  ASSERT_TRUE(Eventually([this] { return Counted(kReadPath, "OK") == 1; }));
  std::atomic<int> counted = 0;
  Method method = methods_.at(kOutboundPath);
  ::testing::internal::CaptureStderr();
  StartLog("info");
  {
    PlainCall call(*pipeline_, method, {{"authorization", "Bearer " + key_}}, "");
    call.Serve();
    call.Cancel();
    ASSERT_EQ(parked(), 1u);
    TakeParked().front().End({absl::OkStatus(), [&] { ++counted; }});
  }
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("\"code\":\"CANCELLED\""));
  EXPECT_THAT(log, Not(HasSubstr("\"code\":\"OK\"")));
  EXPECT_EQ(Counted(kOutboundPath, "CANCELLED"), 1);
  EXPECT_EQ(Counted(kOutboundPath, "OK"), 0);
  EXPECT_EQ(counted, 0);
}

TEST_F(PipelineTest, ReplyThatIsTooLargeIsRefusedWithAReasonAndCountedAsThat) {
  ASSERT_TRUE(Call().status.ok());
  Method method = methods_.at(kMemoryPath);
  std::atomic<int> counted = 0;
  const auto answer = [&](size_t bytes) {
    method.handle_in_memory = [&counted, bytes](const Caller&, absl::string_view,
                                                Reply& reply) -> std::optional<Handled> {
      v1::GetAuthUrlResponse response;
      response.set_auth_url(std::string(bytes, 'u'));
      return PutResponse({absl::OkStatus(), [&counted] { ++counted; }}, response, reply);
    };
    PlainCall call(*pipeline_, method, {{"authorization", "Bearer " + key_}}, "");
    call.Serve();
    return ToAbslStatus(call.reply().status());
  };
  const size_t overhead = 5;  // The field's tag and length.
  EXPECT_OK(answer(kMaxReplyBytes - overhead));
  const absl::Status status = answer(kMaxReplyBytes - overhead + 1);
  EXPECT_THAT(status, HasReason("REPLY_TOO_LARGE"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("smaller page")));
  EXPECT_EQ(Counted(kMemoryPath, "OK"), 1);
  EXPECT_EQ(Counted(kMemoryPath, "RESOURCE_EXHAUSTED"), 1);
  EXPECT_EQ(counted, 1);
}

// gRPC would refuse to send it, and answer without a reason.
TEST_F(PipelineTest, ReplyThatIsTooLargeForGrpcNeverReachesIt) {
  const size_t overhead = 5;
  url_bytes_ = kMaxReplyBytes - overhead;
  const RawReply largest = Call();
  EXPECT_TRUE(largest.status.ok()) << largest.status.error_message();
  EXPECT_EQ(largest.response.size(), kMaxReplyBytes);
  ++url_bytes_;
  EXPECT_THAT(ToAbslStatus(Call().status), HasReason("REPLY_TOO_LARGE"));
  EXPECT_TRUE(Eventually([this] { return Counted(kReadPath, "RESOURCE_EXHAUSTED") == 1; }));
  EXPECT_EQ(Counted(kReadPath, "OK"), 1);
}

TEST_F(PipelineTest, DetachedWorkGoesOnWhenItsCallerGoesAwayAndIsWaitedForAtTheEnd) {
  ASSERT_TRUE(Call().status.ok());
  std::shared_ptr<DetachedWork> work;
  Method method = methods_.at(kOutboundPath);
  method.start = [&](const Caller& caller, absl::string_view, Reply&, Completion completion) {
    auto shared = std::make_shared<Completion>(std::move(completion));
    work = std::make_shared<DetachedWork>(
        admission_, caller.context->request_id(),
        [shared](absl::Status status) { shared->End({std::move(status)}); });
    shared->WhenCallerGoes([weak = std::weak_ptr(work)] {
      if (const auto waited_for = weak.lock()) {
        waited_for->StopWaiting(MakeError(absl::StatusCode::kCancelled, "CALL_CANCELLED", "Gone"));
      }
    });
  };
  {
    PlainCall call(*pipeline_, method, {{"authorization", "Bearer " + key_}}, "");
    call.Serve();
    ASSERT_NE(work, nullptr);
    EXPECT_EQ(call.reply().times_sent(), 0);
    call.Cancel();
    EXPECT_EQ(call.reply().status().error_code(), grpc::CANCELLED);
  }
  admission_.Close();
  EXPECT_OK(work->context().Check());
  EXPECT_FALSE(admission_.WaitUntilEmpty(absl::ZeroDuration()));
  work->End(absl::OkStatus());
  EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience));
}

TEST_F(PipelineTest, CallWhoseDeadlinePassedWhileItWaitedIsNotHandled) {
  BlockTheThread();
  const absl::Duration timeout = absl::Milliseconds(50);
  EXPECT_EQ(Call({}, timeout).status.error_code(), grpc::DEADLINE_EXCEEDED);
  // The server counts from when the call reached it.
  const absl::Time over = absl::Now() + 2 * timeout;
  ASSERT_TRUE(Eventually([&] { return absl::Now() > over; }));
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
  EXPECT_TRUE(Eventually([this] { return Call().status.ok(); }));
  EXPECT_EQ(handled_, 2);
}

TEST_F(PipelineTest, TooMuchMetadataIsRefusedAndTheConnectionKept) {
  const RawReply reply = Call({{"x-much", std::string(1024, 'm')}});
  EXPECT_THAT(ToAbslStatus(reply.status), HasReason("METADATA_TOO_LARGE"));
  EXPECT_EQ(reply.status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Call().status.ok());
}

TEST_F(PipelineTest, ServerThatStopsSendsNewCallsElsewhereAndFinishesOldOnes) {
  BlockTheThread();
  admission_.Close();
  const RawReply reply = Call();
  EXPECT_THAT(ToAbslStatus(reply.status), HasReason("SHUTTING_DOWN"));
  EXPECT_EQ(reply.status.error_code(), grpc::UNAVAILABLE);
  EXPECT_TRUE(RetryAfterOf(ToAbslStatus(reply.status)).has_value());
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
}

}  // namespace
}  // namespace authurl::testing
