#include "server/serving/rpc.h"

#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/api_key.h"
#include "server/observe/log.h"
#include "server/serving/callback_frame.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/support/raw_rpc.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::Optional;

constexpr char kPath[] = "/authurl.v1.AuthUrlService/GetAuthUrl";
// The one that is tried without a worker first.
constexpr char kFromMemoryPath[] = "/authurl.v1.AuthUrlService/ExplainAuthUrl";

// The pipeline behind a real gRPC server, with a handler that each test chooses. One worker, and
// room for one call that waits.
class PipelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto backend = OpenSqliteBackend(folder_.database());
    ASSERT_OK(backend);
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(*std::move(backend), sealer_, FillRandom));
    record::v1::Organization organization;
    organization.set_org_id("acme");
    ASSERT_OK(store_->CreateOrganization(organization));
    record::v1::ApiKey key;
    key.set_key_id(ParseApiKey(key_)->key_id);
    key.set_digest(ParseApiKey(key_)->digest);
    key.set_org_id("acme");
    key.set_role(record::v1::ROLE_MINT);
    ASSERT_OK(store_->CreateApiKey(key));

    pipeline_ =
        std::make_unique<Pipeline>(*store_, workers_, admission_, metrics_, FillRandom, 1024);
    const auto handle = [this](const Caller& caller, const grpc::ByteBuffer&,
                               grpc::ByteBuffer& response) {
      ++handled_;
      const grpc::Slice nothing;
      response = grpc::ByteBuffer(&nothing, 1);
      return CurrentHandler()(caller);
    };
    const auto& descriptor = *v1::GetAuthUrlRequest::descriptor()->file()->service(0);
    std::vector<Method> methods;
    for (int i = 0; i < descriptor.method_count(); ++i) {
      const std::string path = PathOf(*descriptor.method(i));
      methods.push_back({.path = path,
                         .access = Access::kMint,
                         .from_memory = path == kFromMemoryPath,
                         .metric = metrics_.AddMethod(path),
                         .run = handle});
    }
    service_ = MakeCallbackService(descriptor, std::move(methods), *pipeline_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ = NewChannel(absl::StrCat("127.0.0.1:", port));
  }

  void TearDown() override {
    if (server_ == nullptr) return;
    admission_.Close();
    EXPECT_TRUE(admission_.WaitUntilEmpty(kPatience)) << "a call never left";
    server_->Shutdown();
    workers_.Stop();
  }

  RawReply Call(RawMetadata more = {}, absl::Duration timeout = kPatience,
                const char* path = kPath) const {
    more.emplace("authorization", "Bearer " + key_);
    return CallRaw(channel_, path, "", more, timeout);
  }
  RawReply CallFromMemory() const { return Call({}, kPatience, kFromMemoryPath); }

  using Handler = std::function<absl::Status(const Caller&)>;

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

  // Makes the handler wait until the returned promise is kept, and has the only worker do so.
  void BlockTheWorker() {
    SetHandler([this](const Caller&) {
      if (!blocked_.exchange(true)) started_.set_value();
      released_.wait();
      return absl::OkStatus();
    });
    blocking_ = std::async(std::launch::async, [this] { return Call(); });
    started_.get_future().wait();
  }

  const ServerFolder folder_;
  const KeyRing keys_ = folder_.key_ring();
  const Sealer sealer_{keys_};
  const std::string key_ = NewApiKey(FillRandom);
  std::unique_ptr<CredentialStore> store_;
  WorkerPool workers_{1, 1};
  Admission admission_;
  Metrics metrics_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;

  std::mutex handler_mutex_;
  Handler handler_ = [](const Caller&) { return absl::OkStatus(); };
  std::atomic<int> handled_ = 0;
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
    EXPECT_EQ(caller.request_id, "mine");
    EXPECT_GT(caller.deadline, absl::Now());
    EXPECT_LT(caller.deadline, absl::Now() + 2 * kPatience);
    return absl::OkStatus();
  });
  EXPECT_TRUE(Call({{"x-request-id", "mine"}}).status.ok());
  EXPECT_EQ(handled_, 1);
}

// A short text lies in its string itself, which moves when the call goes to a worker.
TEST_F(PipelineTest, HandlerOnAWorkerLearnsTheRequestIdToo) {
  // Afterwards the key is in memory.
  EXPECT_TRUE(Call().status.ok());
  SetHandler([this](const Caller& caller) {
    EXPECT_EQ(caller.request_id, "short");
    EXPECT_EQ(caller.key_id, key_.substr(4, 12));
    EXPECT_EQ(caller.org_id, "acme");
    return caller.wait == Wait::kNo ? WouldBlock() : absl::OkStatus();
  });
  ::testing::internal::CaptureStderr();
  StartLog("info");
  EXPECT_TRUE(Call({{"x-request-id", "short"}}, kPatience, kFromMemoryPath).status.ok());
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(handled_, 3);
  EXPECT_THAT(log, HasSubstr("\"request_id\":\"short\""));
  EXPECT_THAT(log, HasSubstr("\"org_id\":\"acme\""));
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
  CallRaw(channel_, kPath, "", {{"x-request-id", "bad"}});
  StopLog();
  const std::string log = ::testing::internal::GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u) << log;
  const auto good = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(good["event"], "call");
  EXPECT_EQ(good["method"], kPath);
  EXPECT_EQ(good["code"], "OK");
  EXPECT_EQ(good["request_id"], "good");
  EXPECT_EQ(good["key_id"], key_.substr(4, 12));
  EXPECT_EQ(good["org_id"], "acme");
  EXPECT_TRUE(good["microseconds"].is_number());
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
  const RawReply refused = CallRaw(channel_, kPath, "", {{"x-request-id", "mine"}});
  EXPECT_EQ(refused.headers.find("x-request-id")->second, "mine");
}

TEST_F(PipelineTest, FullQueueShedsCallsAndSaysWhenToRetry) {
  BlockTheWorker();
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

TEST_F(PipelineTest, WhatIsAnsweredFromMemoryNeedsNoWorker) {
  ASSERT_TRUE(Call().status.ok());  // The key is in memory from now on.
  BlockTheWorker();
  SetHandler([](const Caller& caller) {
    EXPECT_EQ(caller.wait, Wait::kNo);
    return absl::OkStatus();
  });
  EXPECT_TRUE(CallFromMemory().status.ok());
  SetHandler([](const Caller&) -> absl::Status { throw 42; });
  EXPECT_EQ(CallFromMemory().status.error_code(), grpc::INTERNAL);
  release_.set_value();
  EXPECT_TRUE(blocking_.get().status.ok());
}

TEST_F(PipelineTest, WhatIsNotInMemoryIsAskedForOnceMoreOnAWorker) {
  ASSERT_TRUE(Call().status.ok());
  handled_ = 0;
  std::thread::id first;
  SetHandler([&first](const Caller& caller) {
    if (caller.wait == Wait::kNo) {
      first = std::this_thread::get_id();
      return WouldBlock();
    }
    EXPECT_NE(std::this_thread::get_id(), first);
    return absl::OkStatus();
  });
  EXPECT_TRUE(CallFromMemory().status.ok());
  EXPECT_EQ(handled_, 2);
}

TEST_F(PipelineTest, KeyThatIsNotInMemoryIsLookedUpOnAWorker) {
  SetHandler([](const Caller& caller) {
    EXPECT_EQ(caller.wait, Wait::kYes);
    return absl::OkStatus();
  });
  EXPECT_TRUE(CallFromMemory().status.ok());
  EXPECT_EQ(handled_, 1);
}

TEST_F(PipelineTest, EveryCallIsCountedOnceHoweverOftenItIsTried) {
  SetHandler([](const Caller& caller) {
    return caller.wait == Wait::kNo ? WouldBlock() : absl::OkStatus();
  });
  ASSERT_TRUE(CallFromMemory().status.ok());
  ASSERT_TRUE(CallFromMemory().status.ok());
  double calls = 0;
  for (const prometheus::MetricFamily& family : metrics_.Collect()) {
    if (family.name != "authurl_rpc_calls_total") continue;
    for (const prometheus::ClientMetric& metric : family.metric) calls += metric.counter.value;
  }
  EXPECT_EQ(calls, 2);
}

TEST_F(PipelineTest, CallWhoseDeadlinePassedWhileItWaitedIsNotHandled) {
  BlockTheWorker();
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
  BlockTheWorker();
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
