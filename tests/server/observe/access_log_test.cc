#include "server/observe/access_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/observe/log.h"
#include "tests/server/observe/log_lines.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::MatchesRegex;

ServedCall ExampleCall(absl::string_view request_id) {
  return {.method = "/authurl.v1.AuthUrlService/GetAuthUrl",
          .code = "OK",
          .reason = {},
          .faulty_fields = {},
          .request_id = request_id,
          .key_id = "0123456789ab",
          .org_id = "acme",
          .peer = {},
          .duration = absl::Microseconds(42),
          .cause = {}};
}

TEST(AccessLogTest, LineIsAnEventWithWhatIsKnownOfTheCall) {
  const auto lines = LoggedLines("info", [] {
    LogCall(ExampleCall("request-1"));
    LogCall({.method = "/m",
             .code = "NOT_FOUND",
             .reason = "NETWORK_NOT_CONFIGURED",
             .faulty_fields = {},
             .request_id = "request-2",
             .key_id = {},
             .org_id = {},
             .peer = {},
             .duration = absl::Milliseconds(1),
             .cause = {}});
  });
  EXPECT_THAT(
      lines,
      ElementsAre(
          MatchesRegex(R"re(\{"time":"20..-..-..T..:..:..\....Z","level":"info","event":"call",)re"
                       R"re("method":"/authurl.v1.AuthUrlService/GetAuthUrl","code":"OK",)re"
                       R"re("request_id":"request-1","key_id":"0123456789ab","org_id":"acme",)re"
                       R"re("microseconds":42\})re"),
          MatchesRegex(R"re(.*"method":"/m","code":"NOT_FOUND",)re"
                       R"re("reason":"NETWORK_NOT_CONFIGURED","request_id":"request-2",)re"
                       R"re("microseconds":1000\})re")));
}

TEST(AccessLogTest, TellsWhatTheCallWasAboutWithACauseToo) {
  const CallSubject subject = {.network = "x",
                               .target = "sn_1",
                               .target_org_id = "acme",
                               .changed_fields = "client_secret,scopes",
                               .results = 3,
                               .failed_results = 2};
  ServedCall call = ExampleCall("request-1");
  call.faulty_fields = "tenant_id,scopes[0]";
  call.peer = "127.0.0.1:50000";
  call.subject = &subject;
  const auto lines = LoggedLines("info", [&] {
    LogCall(call);
    call.cause = "row \"7\"";
    LogCall(call);
  });
  ASSERT_EQ(lines.size(), 2u);
  for (const std::string& line : lines) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << line;
    EXPECT_EQ(json.at("faulty_fields"), "tenant_id,scopes[0]");
    EXPECT_EQ(json.at("peer"), "127.0.0.1:50000");
    EXPECT_EQ(json.at("network"), "x");
    EXPECT_EQ(json.at("target"), "sn_1");
    EXPECT_EQ(json.at("target_org_id"), "acme");
    EXPECT_EQ(json.at("changed_fields"), "client_secret,scopes");
    const bool has_cause = json.contains("cause");
    EXPECT_EQ(json.at("level"), has_cause ? "error" : "info");
    if (has_cause) continue;
    EXPECT_EQ(json.at("results"), 3);
    EXPECT_EQ(json.at("failed_results"), 2);
  }
}

TEST(AccessLogTest, CallsAreLeftOutAboveLevelInfo) {
  EXPECT_THAT(LoggedLines("warning", [] { LogCall(ExampleCall("request-1")); }), ElementsAre());
}

TEST(AccessLogTest, LinesOfAThreadKeepTheirOrderAndDoNotMixWithOthersAlsoAfterItHasEnded) {
  constexpr int kThreads = 8;
  constexpr int kCalls = 2000;
  const auto lines = LoggedLines("info", [] {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < kCalls; ++i) LogCall(ExampleCall(absl::StrCat(t, "-", i)));
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::array<int, kThreads> next = {};
  for (const std::string& line : lines) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << line;
    const std::vector<std::string> id =
        absl::StrSplit(json.at("request_id").get<std::string>(), '-');
    int& expected = next.at(std::stoul(id.at(0)));
    ASSERT_EQ(id.at(1), absl::StrCat(expected++));
  }
  EXPECT_THAT(next, ::testing::Each(kCalls));
}

// Stderr is a pipe that nobody reads until the test is over.
class StuckLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe2(pipe_.data(), O_CLOEXEC), 0);
    stderr_ = dup(STDERR_FILENO);
    dup2(pipe_[1], STDERR_FILENO);
    close(pipe_[1]);
    StartLog("info");
  }

  void TearDown() override {
    std::thread reader([this] {
      std::array<char, 65536> bytes;
      while (read(pipe_[0], bytes.data(), bytes.size()) > 0) {
      }
    });
    StopLog();
    dup2(stderr_, STDERR_FILENO);
    close(stderr_);
    reader.join();
    close(pipe_[0]);
  }

  std::array<int, 2> pipe_ = {-1, -1};
  int stderr_ = -1;
};

TEST_F(StuckLogTest, LinesAreDroppedAndCountedAndNotHoarded) {
  const uint64_t before = LogLinesDropped();
  // Far slower than they are collected, so that only what is collected can be too much.
  EXPECT_TRUE(Eventually([&] {
    for (int i = 0; i < 100; ++i) LogCall(ExampleCall("request-1"));
    return LogLinesDropped() > before;
  }));
}

}  // namespace
}  // namespace authurl::testing
