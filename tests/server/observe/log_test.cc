#include "server/observe/log.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "server/observe/access_log.h"
#include "tests/server/observe/log_lines.h"
#include "tests/support/eventually.h"
#include "tests/support/stderr_pipe.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(LogTest, LineIsOneJsonObjectWithTimeLevelAndEventFirst) {
  const auto lines = LoggedLines("info", [] {
    Log(LogLevel::kInfo, "serving",
        {{"address", "127.0.0.1:1"}, {"networks", int64_t{12}}, {"load", 0.5}, {"empty", ""}});
  });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], MatchesRegex(R"(\{"time":"[-0-9]+T[:0-9]+\.[0-9]{3}Z","level":"info",)"
                                     R"("event":"serving","address":"127.0.0.1:1","networks":12,)"
                                     R"("load":0.5\})"));
}

TEST(LogTest, HostileTextStaysOneValidLine) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  const std::vector<std::string> hostile = {every_byte,
                                            "\",\"level\":\"error",
                                            "{}",
                                            "a\nb\r\nc",
                                            "%s %n {0}",
                                            "\xc3\x28\xff\xfe",
                                            "\xe2\x80\xa8 line separator",
                                            std::string(100'000, '"'),
                                            std::string("a\0b", 3)};
  const auto lines = LoggedLines("info", [&] {
    for (const std::string& text : hostile) Log(LogLevel::kWarning, text, {{"text", text}});
  });
  ASSERT_EQ(lines.size(), hostile.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = nlohmann::json::parse(lines[i], nullptr, false);
    ASSERT_FALSE(line.is_discarded()) << lines[i].substr(0, 200);
    EXPECT_EQ(line["level"], "warning");
    // Bytes that are not UTF-8 are replaced.
    if (i == 0 || i == 5) continue;
    EXPECT_EQ(line["text"], hostile[i]);
  }
}

TEST(LogTest, LevelsBelowTheChosenOneAreLeftOut) {
  const auto write = [] {
    Log(LogLevel::kDebug, "d");
    Log(LogLevel::kInfo, "i");
    Log(LogLevel::kWarning, "w");
    Log(LogLevel::kError, "e");
  };
  EXPECT_EQ(LoggedLines("debug", write).size(), 4u);
  EXPECT_EQ(LoggedLines("info", write).size(), 3u);
  EXPECT_EQ(LoggedLines("warning", write).size(), 2u);
  EXPECT_EQ(LoggedLines("error", write).size(), 1u);
}

TEST(LogTest, LevelMayChangeWhileItRuns) {
  const auto lines = LoggedLines("error", [] {
    Log(LogLevel::kInfo, "before");
    StartLog("info");
    Log(LogLevel::kInfo, "after");
  });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("after"));
}

TEST(LogTest, NothingIsLoggedBeforeTheStartAndAfterTheStop) {
  ::testing::internal::CaptureStderr();
  Log(LogLevel::kError, "too early or too late");
  StopLog();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

// In a process of its own: threads of it hang.
TEST(LogDeathTest, StopDoesNotWaitForStderrThatNobodyReads) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr int kGaveUp = 7;
  EXPECT_EXIT(
      {
        alarm(static_cast<unsigned>(absl::ToInt64Seconds(kPatience)));
        StderrPipe output;
        output.Fill();
        StartLog("info");
        for (int i = 0; i < 10'000; ++i) Log(LogLevel::kInfo, "unread");
        LogCall(ServedCall());
        // Not _exit(): the thread sanitizer's flushes stderr.
        syscall(SYS_exit_group, StopLog() ? 0 : kGaveUp);
      },
      ::testing::ExitedWithCode(kGaveUp), "");
}

TEST(LogTest, LinesOfManyThreadsDoNotMix) {
  constexpr int kThreads = 8;
  constexpr int kLines = 200;
  const auto lines = LoggedLines("info", [] {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < kLines; ++i) {
          Log(LogLevel::kInfo, "line", {{"thread", int64_t{t}}, {"text", std::string(200, 'x')}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(lines.size(), static_cast<size_t>(kThreads * kLines));
  for (const std::string& line : lines) {
    EXPECT_FALSE(nlohmann::json::parse(line, nullptr, false).is_discarded()) << line;
  }
}

TEST(LogTest, ErrorsOfGrpcAreCutAndLimited) {
  // Before that gRPC logs nothing at all.
  grpc_init();
  const auto lines = LoggedLines("info", [] {
    gpr_log(GPR_INFO, "chatter");
    for (int i = 0; i < 100; ++i) gpr_log(GPR_ERROR, "%s", std::string(5000, 'g').c_str());
  });
  EXPECT_GE(lines.size(), 1u);
  grpc_shutdown();
  // At most ten in a second, and the loop may see two seconds begin.
  EXPECT_LE(lines.size(), 30u);
  for (const std::string& line : lines) {
    EXPECT_LT(line.size(), 500u);
    EXPECT_EQ(nlohmann::json::parse(line)["event"], "grpc");
  }
}

TEST(LogTest, ProtobufWritesNoLineOfItsOwn) {
  EXPECT_TRUE(LoggedLines("debug", [] {
                google::protobuf::StringValue value;
                EXPECT_FALSE(value.ParseFromString("\x0a\x02\xc3\x28"));
              }).empty());
}

}  // namespace
}  // namespace authurl::testing
