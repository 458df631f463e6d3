#include "server/outbound/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/eventually.h"
#include "tests/support/notification.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The answer to one question.
struct Heard {
  void Hear(const absl::StatusOr<HostAddresses>& addresses) {
    result = addresses;
    done.Notify();
  }
  absl::StatusOr<HostAddresses>& Wait() {
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
    return result;
  }

  Notification done;
  absl::StatusOr<HostAddresses> result = absl::UnknownError("nothing was heard");
};

// Look-ups that hang until they are let go. Threads that are in one may outlive the test.
struct HangingLookUps {
  Notification open;
  std::atomic<int> inside = 0;
};

class ResolverTest : public ::testing::Test {
 protected:
  ~ResolverTest() override {
    if (!gate_->open.HasBeenNotified()) gate_->open.Notify();
    EXPECT_TRUE(Eventually([&] { return gate_->inside == 0; }));
  }

  // "slow" names hang; "none" is not there; "broken" fails; others are 192.0.2.1.
  Resolver::Lookup Lookup() {
    return
        [gate = gate_, asked = asked_](const std::string& host) -> absl::StatusOr<HostAddresses> {
          ++*asked;
          if (host.starts_with("slow")) {
            ++gate->inside;
            gate->open.WaitForNotification();
            --gate->inside;
          }
          if (host == "none") return absl::NotFoundError("none");
          if (host == "broken") return absl::UnavailableError("broken");
          return HostAddresses{"192.0.2.1"};
        };
  }
  Resolver& Start(Resolver::Options options = {}) {
    options.clock = [now = now_] { return absl::FromUnixSeconds(*now); };
    resolver_ = std::make_unique<Resolver>(options, Lookup());
    return *resolver_;
  }
  absl::Time Now() const { return absl::FromUnixSeconds(*now_); }
  std::shared_ptr<Heard> Ask(const std::string& host, absl::Time deadline,
                             const std::string& org_id = "") {
    auto heard = std::make_shared<Heard>();
    resolver_->Resolve(host, org_id, deadline,
                       [heard](const auto& result) { heard->Hear(result); });
    return heard;
  }
  std::shared_ptr<Heard> Ask(const std::string& host) { return Ask(host, Now() + absl::Hours(1)); }

  const std::shared_ptr<HangingLookUps> gate_ = std::make_shared<HangingLookUps>();
  const std::shared_ptr<std::atomic<int>> asked_ = std::make_shared<std::atomic<int>>(0);
  const std::shared_ptr<std::atomic<int64_t>> now_ =
      std::make_shared<std::atomic<int64_t>>(1'800'000'000);
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverTest, AnswersAreRememberedForAShortWhile) {
  Start();
  EXPECT_THAT(Ask("a")->Wait(), IsOkAndHolds(ElementsAre("192.0.2.1")));
  const auto again = Ask("a");
  EXPECT_TRUE(again->done.HasBeenNotified()) << "at once";
  EXPECT_EQ(*asked_, 1);
  *now_ += 31;
  EXPECT_OK(Ask("a")->Wait());
  EXPECT_EQ(*asked_, 2);
  // Put back, the clock makes nothing last.
  *now_ -= 3600;
  EXPECT_OK(Ask("a")->Wait());
  EXPECT_EQ(*asked_, 3);
}

TEST_F(ResolverTest, AbsenceIsRememberedForLessAndFailureNotAtAll) {
  Start();
  EXPECT_THAT(Ask("none")->Wait(), StatusIs(absl::StatusCode::kNotFound, "none"));
  EXPECT_THAT(Ask("none")->Wait(), StatusIs(absl::StatusCode::kNotFound, "none"));
  EXPECT_EQ(*asked_, 1);
  *now_ += 6;
  EXPECT_FALSE(Ask("none")->Wait().ok());
  EXPECT_EQ(*asked_, 2);
  EXPECT_THAT(Ask("broken")->Wait(), StatusIs(absl::StatusCode::kUnavailable, "broken"));
  EXPECT_THAT(Ask("broken")->Wait(), StatusIs(absl::StatusCode::kUnavailable, "broken"));
  EXPECT_EQ(*asked_, 4);
}

TEST_F(ResolverTest, ManyAsksForOneNameAreOneLookUp) {
  Start();
  std::vector<std::shared_ptr<Heard>> heard;
  for (int i = 0; i < 10; ++i) heard.push_back(Ask("slow"));
  EXPECT_TRUE(Eventually([&] { return gate_->inside == 1; }));
  EXPECT_EQ(resolver_->waiting(), 10u);
  gate_->open.Notify();
  for (const auto& each : heard) EXPECT_OK(each->Wait());
  EXPECT_EQ(*asked_, 1);
  EXPECT_EQ(resolver_->waiting(), 0u);
}

TEST_F(ResolverTest, OneThatHangsHoldsUpNoOther) {
  Start({.threads = 2});
  const auto slow = Ask("slow");
  for (int i = 0; i < 10; ++i) EXPECT_OK(Ask(absl::StrCat("a", i))->Wait());
  EXPECT_FALSE(slow->done.HasBeenNotified());
}

TEST_F(ResolverTest, ItEndsAlthoughLookUpsHang) {
  Start({.threads = 2});
  const auto first = Ask("slow1");
  const auto second = Ask("slow2");
  const auto queued = Ask("a");
  EXPECT_TRUE(Eventually([&] { return gate_->inside == 2; }));
  resolver_.reset();
  EXPECT_FALSE(first->done.HasBeenNotified());
  gate_->open.Notify();
  EXPECT_TRUE(Eventually([&] { return gate_->inside == 0; }));
  EXPECT_FALSE(first->done.HasBeenNotified() || second->done.HasBeenNotified() ||
               queued->done.HasBeenNotified());
}

TEST_F(ResolverTest, TooManyAreRefusedAtOnceUnlessSomeWaitNoLonger) {
  Start({.threads = 1, .max_waiting = 3});
  const auto hanging = Ask("slow", Now() + absl::Seconds(3));
  EXPECT_TRUE(Eventually([&] { return gate_->inside == 1; }));
  const auto queued = Ask("a", Now() + absl::Seconds(3));
  const auto patient = Ask("b");
  const auto refused = Ask("c");
  ASSERT_TRUE(refused->done.HasBeenNotified());
  EXPECT_THAT(refused->result, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("many")));
  EXPECT_EQ(resolver_->waiting(), 3u);
  *now_ += 4;
  const auto later = Ask("c");
  EXPECT_FALSE(later->done.HasBeenNotified());
  EXPECT_EQ(resolver_->waiting(), 2u);
  gate_->open.Notify();
  EXPECT_OK(patient->Wait());
  EXPECT_OK(later->Wait());
  EXPECT_FALSE(hanging->done.HasBeenNotified()) << "it no longer waited";
  EXPECT_FALSE(queued->done.HasBeenNotified());
  EXPECT_EQ(*asked_, 3) << "what nobody waited for was not looked up";
}

// Whoever has name servers that hang on purpose.
TEST_F(ResolverTest, AnOrganizationHoldsNoMoreThanItsShareOfTheThreads) {
  Start({.threads = 4, .threads_per_organization = 2});
  const absl::Time later = Now() + absl::Hours(1);
  std::vector<std::shared_ptr<Heard>> hanging;
  for (int i = 0; i < 10; ++i) hanging.push_back(Ask(absl::StrCat("slow", i), later, "bad"));
  const auto own = Ask("a", later, "bad");
  EXPECT_TRUE(Eventually([&] { return gate_->inside == 2; }));
  EXPECT_OK(Ask("b", later, "good")->Wait());
  EXPECT_OK(Ask("c", later)->Wait());
  // A name that the other one waits for as well, and is not looked up for.
  EXPECT_FALSE(own->done.HasBeenNotified());
  EXPECT_OK(Ask("a", later, "good")->Wait());
  EXPECT_OK(own->Wait());
  EXPECT_EQ(gate_->inside, 2);
  // In their turn.
  gate_->open.Notify();
  for (const auto& heard : hanging) EXPECT_OK(heard->Wait());
  EXPECT_EQ(resolver_->waiting(), 0u);
}

TEST_F(ResolverTest, RemembersNoMoreNamesThanItMay) {
  Start({.threads = 1, .max_remembered = 10});
  for (int i = 0; i < 100; ++i) EXPECT_OK(Ask(absl::StrCat("a", i))->Wait());
  const int before = *asked_;
  int remembered = 0;
  for (int i = 0; i < 100; ++i) {
    const auto heard = Ask(absl::StrCat("a", i));
    remembered += heard->done.HasBeenNotified() && *asked_ == before ? 1 : 0;
    if (*asked_ != before) break;
    EXPECT_OK(heard->Wait());
  }
  EXPECT_LE(remembered, 10);
}

TEST_F(ResolverTest, IsUsedByManyThreads) {
  Start({.threads = 4, .threads_per_organization = 2, .max_waiting = 16, .max_remembered = 4});
  std::atomic<int> heard = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 200; ++j) {
        resolver_->Resolve(absl::StrCat("a", (i + j) % 10), absl::StrCat(i % 3),
                           absl::InfiniteFuture(), [&](const auto&) { ++heard; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(Eventually([&] { return heard == 8 * 200; }));
}

TEST(LookUpHostTest, NamesOfThisMachineAreAskedOfNobody) {
  EXPECT_THAT(LookUpHost("localhost"), IsOkAndHolds(ElementsAre("127.0.0.1", "::1")));
  EXPECT_THAT(LookUpHost("tenant.localhost"), IsOkAndHolds(ElementsAre("127.0.0.1", "::1")));
}

TEST(LookUpHostTest, AddressesComeAsText) {
  EXPECT_THAT(LookUpHost("192.0.2.7"), IsOkAndHolds(ElementsAre("192.0.2.7")));
  EXPECT_THAT(LookUpHost("2001:db8::7"), IsOkAndHolds(ElementsAre("2001:db8::7")));
}

}  // namespace
}  // namespace authurl::testing
