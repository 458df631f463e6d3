#include "core/call_context.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "core/errors.h"

namespace authurl {
namespace {

TEST(CallContextTest, IsOkUntilItsDeadline) {
  EXPECT_TRUE(CallContext(absl::Now() + absl::Hours(1)).Check().ok());
  const absl::Status late = CallContext(absl::Now() - absl::Milliseconds(1)).Check();
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(late), "DEADLINE_EXCEEDED");
}

TEST(CallContextTest, EndsWhenTheCallerGoesAway) {
  CallContext context(absl::InfiniteFuture());
  EXPECT_TRUE(context.Check().ok());
  context.Cancel();
  EXPECT_TRUE(context.cancelled());
  EXPECT_EQ(context.Check().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(ReasonOf(context.Check()), "CALL_CANCELLED");
}

TEST(CallContextTest, WhyItEndedIsNeverOk) {
  CallContext context(absl::Now() + absl::Hours(1));
  EXPECT_EQ(ReasonOf(context.WhyEnded()), "DEADLINE_EXCEEDED");
  context.Cancel();
  EXPECT_EQ(ReasonOf(context.WhyEnded()), "CALL_CANCELLED");
  // Who stops waiting then does so because of it.
  CallContext late(absl::Now() - absl::Seconds(1));
  late.Cancel();
  EXPECT_EQ(ReasonOf(late.WhyEnded()), "DEADLINE_EXCEEDED");
}

TEST(CallContextTest, BackgroundNeverEnds) {
  EXPECT_TRUE(CallContext::Background().Check().ok());
  EXPECT_EQ(CallContext::Background().deadline(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace authurl
