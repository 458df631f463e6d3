// log_lines.h: what is logged, as the lines that came out.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/observe/log.h"

namespace authurl::testing {

// The lines that `work` logs at `level`.
inline std::vector<std::string> LoggedLines(absl::string_view level,
                                            const std::function<void()>& work) {
  ::testing::internal::CaptureStderr();
  StartLog(level);
  work();
  EXPECT_TRUE(StopLog());
  return absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty());
}

}  // namespace authurl::testing
