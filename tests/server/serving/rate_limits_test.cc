#include "server/serving/rate_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/time.h"
#include "core/errors.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RateLimitsTest : public ::testing::Test {
 protected:
  static Caller CallerOf(const std::string& key_id, const std::string& org_id) {
    Caller caller;
    caller.key_id = key_id;
    caller.org_id = org_id;
    return caller;
  }
  // How many calls are let in until one is not.
  int Admitted(const Caller& caller) {
    int calls = 0;
    while (calls < 1000 && limits_.Admit(caller, now_).ok()) ++calls;
    return calls;
  }

  RateLimits limits_{{.per_key = 10, .per_organization = 16}};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  const Caller web_ = CallerOf("web", "acme");
  const Caller batch_ = CallerOf("batch", "acme");
  const Caller other_ = CallerOf("other", "other");
};

TEST_F(RateLimitsTest, OneKeyLeavesOthersTheirShareAndOneOrganisationToo) {
  EXPECT_EQ(Admitted(web_), 20);
  const absl::Status of_key = limits_.Admit(web_, now_);
  EXPECT_THAT(of_key, AllOf(HasReason("RATE_LIMITED"),
                            StatusIs(absl::StatusCode::kResourceExhausted,
                                     HasSubstr("An API key may make 10 calls a second"))));
  EXPECT_EQ(RetryAfterOf(of_key), absl::Milliseconds(100));
  EXPECT_THAT(of_key.ToString(), HasSubstr("limit_per_second"));
  EXPECT_EQ(Admitted(batch_), 12);
  EXPECT_THAT(
      limits_.Admit(batch_, now_),
      StatusIs(absl::StatusCode::kResourceExhausted,
               HasSubstr("All API keys of an organisation together may make 16 calls a second")));
  EXPECT_EQ(Admitted(other_), 20);
}

TEST_F(RateLimitsTest, WhatTheOrganisationIsRefusedCostsTheKeyNothing) {
  EXPECT_EQ(Admitted(web_), 20);
  EXPECT_EQ(Admitted(batch_), 12);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(limits_.Admit(batch_, now_).ok());
  now_ += absl::Seconds(1);
  EXPECT_EQ(Admitted(batch_), 16);
}

TEST_F(RateLimitsTest, LaterCallsPayForOneThatWasWorthMore) {
  ASSERT_OK(limits_.Admit(web_, now_));
  limits_.Charge(web_, 99, now_);
  EXPECT_FALSE(limits_.Admit(web_, now_).ok());
  EXPECT_FALSE(limits_.Admit(batch_, now_).ok());
  now_ += absl::Seconds(3);
  EXPECT_GT(Admitted(web_), 0);
}

TEST_F(RateLimitsTest, AKeyOfNoOrganisationHasItsOwnLimitOnly) {
  EXPECT_EQ(Admitted(CallerOf("admin", "")), 20);
  EXPECT_EQ(Admitted(CallerOf("admin-2", "")), 20);
}

TEST_F(RateLimitsTest, ZeroIsNoLimit) {
  RateLimits none({});
  for (int i = 0; i < 10'000; ++i) ASSERT_OK(none.Admit(web_, now_));
}

}  // namespace
}  // namespace authurl::testing
