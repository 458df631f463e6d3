#include "server/flow/await_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/errors.h"
#include "tests/server/flow/stored_grant_fixture.h"

namespace authurl::testing {
namespace {

class AwaitEventsTest : public StoredGrantTest {};

TEST_F(AwaitEventsTest, NoKeyAndNoOrganizationTakesAllPlaces) {
  EventWaiters waiters(store_->events(), pool_, {.per_key = 2, .per_organization = 3, .all = 5});
  std::vector<std::shared_ptr<EventWaiters::Place>> places;
  const auto enter = [&](const std::string& key, const std::string& org) {
    auto place = waiters.Enter(key, org);
    if (place.ok()) places.push_back(*place);
    return place.status();
  };
  EXPECT_OK(enter("k1", "acme"));
  EXPECT_OK(enter("k1", "acme"));
  EXPECT_THAT(enter("k1", "acme"), HasReason("TOO_MANY_WAITING"));
  EXPECT_OK(enter("k2", "acme"));
  // However many keys it has.
  EXPECT_THAT(enter("k3", "acme"), HasReason("TOO_MANY_WAITING"));
  EXPECT_OK(enter("k4", "other"));
  EXPECT_OK(enter("k5", "other"));
  EXPECT_THAT(enter("k6", "other"), HasReason("OVERLOADED"));
  EXPECT_EQ(waiters.waiting(), 5);
  // What was refused takes no place, and what is left can be taken.
  places.erase(places.begin());
  EXPECT_OK(enter("k3", "acme"));
  EXPECT_THAT(enter("k7", "acme"), HasReason("TOO_MANY_WAITING"));
  places.clear();
  EXPECT_EQ(waiters.waiting(), 0);
  EXPECT_OK(enter("k1", "acme"));
  places.clear();
}

}  // namespace
}  // namespace authurl::testing
