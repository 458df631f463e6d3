#include "server/serving/method.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "authurl/v1/auth_url_service.pb.h"
#include "tests/support/plain_call.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using Request = v1::GetAuthUrlRequest;
using Response = v1::GetAuthUrlResponse;

// A handler of each kind. What it answers is the request's network.
class Echo {
 public:
  struct Found {
    std::string network;
  };

  absl::Status Plain(const Caller&, const Request& request, Response& response) const {
    response.set_auth_url(request.network());
    return absl::OkStatus();
  }

  // Writes first where the network is "written".
  HandledAs<Response> Minting(const Caller&, const Found& found, Response& response) const {
    ++minted;
    response.set_auth_url(found.network);
    if (found.network != "written") return Ending{absl::OkStatus()};
    return [](Response& again) {
      again.set_auth_url(again.auth_url() + ", and stored");
      return Ending{absl::OkStatus()};
    };
  }
  std::optional<absl::StatusOr<Found>> LookUpInMemory(const Caller&, const Request& request) const {
    ++looked_up_in_memory;
    if (request.network() == "cold") return std::nullopt;
    if (request.network() == "none") return absl::NotFoundError("none");
    return Found{request.network()};
  }
  absl::StatusOr<Found> LookUp(const Caller&, const Request& request) const {
    ++looked_up;
    return Found{request.network()};
  }

  void Start(const Caller&, const Request& request, ResponseCompletion<Response> completion) const {
    network = request.network();
    started = std::make_unique<ResponseCompletion<Response>>(std::move(completion));
  }

  mutable int minted = 0;
  mutable int looked_up_in_memory = 0;
  mutable int looked_up = 0;
  mutable std::string network;
  mutable std::unique_ptr<ResponseCompletion<Response>> started;
};

std::string RequestFor(const std::string& network) {
  Request request;
  request.set_network(network);
  return request.SerializeAsString();
}

std::string UrlIn(const KeptReply& reply) {
  Response response;
  EXPECT_TRUE(response.ParseFromString(reply.message()));
  return response.auth_url();
}

// What the pipeline is to a Completion.
class KeptEnding final : public Answerable {
 public:
  void End(Ending ending) override {
    status = std::move(ending.status);
    network = std::move(ending.subject.network);
  }
  void WhenCallerGoes(absl::AnyInvocable<void()> react) override { react(); }

  std::optional<absl::Status> status;
  std::string network;
};

class MethodTest : public ::testing::Test {
 protected:
  Echo echo_;
  Caller caller_;
  KeptReply reply_;
};

TEST_F(MethodTest, ReadsAndWritesNameTheirLane) {
  const Method read = MakeReadMethod("/s/Read", Access::kMint, &echo_, &Echo::Plain);
  const Method write = MakeWriteMethod("/s/Write", Access::kConfigure, &echo_, &Echo::Plain);
  EXPECT_EQ(read.lane, Lane::kReads);
  EXPECT_EQ(write.lane, Lane::kWrites);
  EXPECT_EQ(write.access, Access::kConfigure);
  ASSERT_OK(RunMethod(write, caller_, RequestFor("x"), reply_));
  EXPECT_EQ(UrlIn(reply_), "x");
}

TEST_F(MethodTest, AnEndingSaysWhatItsCallWasAbout) {
  const Method read = MakeReadMethod("/s/Read", Access::kMint, &echo_, &Echo::Plain);
  EXPECT_EQ(std::get<Ending>(read.handle(caller_, RequestFor("x"), reply_)).subject.network, "x");
  const Method memory = MakeMemoryMethod("/s/Memory", Access::kMint, &echo_, &Echo::LookUpInMemory,
                                         &Echo::LookUp, &Echo::Minting);
  for (const char* network : {"warm", "none"}) {
    std::optional<Handled> handled = memory.handle_in_memory(caller_, RequestFor(network), reply_);
    ASSERT_TRUE(handled.has_value());
    EXPECT_EQ(std::get<Ending>(*handled).subject.network, network);
  }
}

TEST_F(MethodTest, BytesThatAreNoMessageAreRefused) {
  const Method method = MakeReadMethod("/s/Read", Access::kMint, &echo_, &Echo::Plain);
  EXPECT_THAT(RunMethod(method, caller_, "\xff\xff", reply_), HasReason("INVALID_PAYLOAD"));
}

TEST_F(MethodTest, MemoryMethodLooksUpAgainOnlyWhereMemoryDoesNotDo) {
  const Method method = MakeMemoryMethod("/s/Memory", Access::kMint, &echo_, &Echo::LookUpInMemory,
                                         &Echo::LookUp, &Echo::Minting);
  EXPECT_EQ(method.lane, Lane::kMemory);
  ASSERT_OK(RunMethod(method, caller_, RequestFor("warm"), reply_));
  EXPECT_EQ(UrlIn(reply_), "warm");
  EXPECT_EQ(echo_.looked_up, 0);
  EXPECT_EQ(echo_.minted, 1);

  EXPECT_FALSE(method.handle_in_memory(caller_, RequestFor("cold"), reply_).has_value());
  EXPECT_EQ(echo_.minted, 1);
  ASSERT_OK(RunMethod(method, caller_, RequestFor("cold"), reply_));
  EXPECT_EQ(UrlIn(reply_), "cold");
  EXPECT_EQ(echo_.looked_up, 1);
  EXPECT_EQ(echo_.minted, 2);

  EXPECT_THAT(RunMethod(method, caller_, RequestFor("none"), reply_),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_EQ(echo_.minted, 2);
}

TEST_F(MethodTest, WhatIsWrittenFirstMayChangeTheResponseAndIsMintedOnce) {
  const Method method = MakeMemoryMethod("/s/Memory", Access::kMint, &echo_, &Echo::LookUpInMemory,
                                         &Echo::LookUp, &Echo::Minting);
  std::optional<Handled> handled = method.handle_in_memory(caller_, RequestFor("written"), reply_);
  ASSERT_TRUE(handled.has_value());
  auto* write = std::get_if<WriteFirst>(&*handled);
  ASSERT_NE(write, nullptr);
  EXPECT_EQ(reply_.message(), "");
  const Ending ending = (*write)(reply_);
  ASSERT_OK(ending.status);
  EXPECT_EQ(ending.subject.network, "written");
  EXPECT_EQ(UrlIn(reply_), "written, and stored");
  EXPECT_EQ(echo_.minted, 1);
  EXPECT_EQ(echo_.looked_up_in_memory, 1);
}

TEST_F(MethodTest, OutboundMethodEndsWhenItsResponseComes) {
  const Method method = MakeOutboundMethod("/s/Outbound", Access::kMint, &echo_, &Echo::Start);
  EXPECT_EQ(method.lane, Lane::kOutbound);
  OutboundLane lane(1);
  KeptEnding call;
  ASSERT_TRUE(lane.TryEnter());
  method.start(caller_, RequestFor("far"), reply_, Completion(Unanswered(call), lane));
  ASSERT_NE(echo_.started, nullptr);
  EXPECT_EQ(call.status, std::nullopt);
  EXPECT_EQ(lane.stats().queued, 1u);
  bool gone = false;
  echo_.started->WhenCallerGoes([&gone] { gone = true; });
  EXPECT_TRUE(gone);
  Response response;
  response.set_auth_url(echo_.network);
  (*echo_.started)(response);
  EXPECT_EQ(call.status, absl::OkStatus());
  EXPECT_EQ(call.network, "far");
  EXPECT_EQ(UrlIn(reply_), "far");
  EXPECT_EQ(lane.stats().queued, 0u);
}

TEST_F(MethodTest, MemoryOrOutboundMethodIsStartedWhereMemoryDoesNotDo) {
  const Method method = MakeMemoryOrOutboundMethod(
      "/s/Either", Access::kMint, &echo_, &Echo::LookUpInMemory, &Echo::Minting, &Echo::Start);
  EXPECT_EQ(method.lane, Lane::kMemory);
  EXPECT_EQ(method.handle, nullptr);
  const auto warm = method.handle_in_memory(caller_, RequestFor("warm"), reply_);
  ASSERT_TRUE(warm.has_value());
  ASSERT_OK(std::get<Ending>(*warm).status);
  EXPECT_EQ(std::get<Ending>(*warm).subject.network, "warm");  // What is logged of it.
  EXPECT_EQ(UrlIn(reply_), "warm");
  EXPECT_THAT(RunMethod(method, caller_, RequestFor("none"), reply_),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(RunMethod(method, caller_, "\xff\xff", reply_), HasReason("INVALID_PAYLOAD"));
  EXPECT_EQ(echo_.minted, 1);
  EXPECT_EQ(echo_.started, nullptr);

  EXPECT_FALSE(method.handle_in_memory(caller_, RequestFor("cold"), reply_).has_value());
  OutboundLane lane(1);
  KeptEnding call;
  ASSERT_TRUE(lane.TryEnter());
  method.start(caller_, RequestFor("cold"), reply_, Completion(Unanswered(call), lane));
  ASSERT_NE(echo_.started, nullptr);
  EXPECT_EQ(echo_.network, "cold");
  EXPECT_EQ(echo_.minted, 1);
  (*echo_.started)(Response());
  EXPECT_EQ(call.status, absl::OkStatus());
}

TEST_F(MethodTest, OutboundMethodMayEndWithAnErrorOrBeGivenUp) {
  const Method method = MakeOutboundMethod("/s/Outbound", Access::kMint, &echo_, &Echo::Start);
  OutboundLane lane(1);
  KeptEnding call;
  for (const bool given_up : {false, true}) {
    call.status.reset();
    ASSERT_TRUE(lane.TryEnter());
    method.start(caller_, RequestFor("far"), reply_, Completion(Unanswered(call), lane));
    if (!given_up) (*echo_.started)(absl::NotFoundError("nowhere"));
    echo_.started.reset();
    ASSERT_TRUE(call.status.has_value());
    EXPECT_EQ(call.status->code(),
              given_up ? absl::StatusCode::kInternal : absl::StatusCode::kNotFound);
    EXPECT_EQ(lane.stats().queued, 0u);
  }
  ASSERT_TRUE(lane.TryEnter());
  method.start(caller_, "\xff\xff", reply_, Completion(Unanswered(call), lane));
  EXPECT_THAT(*call.status, HasReason("INVALID_PAYLOAD"));
}

TEST_F(MethodTest, UnansweredCallEndsOnce) {
  KeptEnding call;
  {
    Unanswered first(call);
    Unanswered second(std::move(first));
    second.End({absl::NotFoundError("the only end")});
    second.End({absl::OkStatus()});
  }
  EXPECT_EQ(call.status, absl::NotFoundError("the only end"));
  call.status.reset();
  { const Unanswered lost(call); }
  EXPECT_THAT(*call.status, StatusIs(absl::StatusCode::kInternal, ::testing::_));
}

}  // namespace
}  // namespace authurl::testing
