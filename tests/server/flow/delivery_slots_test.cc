#include "server/flow/delivery_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;

class DeliverySlotsTest : public ::testing::Test {
 protected:
  void Take(const std::string& org_id, const std::string& name) {
    slots_.Take(org_id, [this, name] { granted_.push_back(name); });
  }

  DeliverySlots slots_{{.all = 3, .per_organization = 2}};
  std::vector<std::string> granted_;
};

TEST_F(DeliverySlotsTest, AnOrganizationHasItsShareAndNoMore) {
  for (const char* name : {"a1", "a2", "a3"}) Take("a", name);
  EXPECT_THAT(granted_, ElementsAre("a1", "a2"));
  EXPECT_FALSE(slots_.TryTake("a"));
  Take("b", "b1");
  EXPECT_THAT(granted_, ElementsAre("a1", "a2", "b1"));
  EXPECT_EQ(slots_.under_way(), 3);
  slots_.Release("a");
  EXPECT_THAT(granted_, ElementsAre("a1", "a2", "b1", "a3"));
}

TEST_F(DeliverySlotsTest, AFreeSlotGoesToWhoeverHasFewest) {
  for (const char* name : {"a1", "a2", "a3"}) Take("a", name);
  Take("b", "b1");
  Take("b", "b2");
  Take("c", "c1");
  granted_.clear();
  slots_.Release("a");
  EXPECT_THAT(granted_, ElementsAre("c1"));
  slots_.Release("c");
  // Both have one: the one that has waited for longer.
  EXPECT_THAT(granted_, ElementsAre("c1", "a3"));
}

TEST_F(DeliverySlotsTest, WhatEndsAtOnceMakesRoomForTheNextWithoutNesting) {
  int depth = 0;
  int deepest = 0;
  int ended = 0;
  EXPECT_TRUE(slots_.TryTake("a"));
  EXPECT_TRUE(slots_.TryTake("a"));
  for (int i = 0; i < 10'000; ++i) {
    slots_.Take("a", [&] {
      deepest = std::max(deepest, ++depth);
      slots_.Release("a");
      ++ended;
      --depth;
    });
  }
  EXPECT_EQ(ended, 0);
  slots_.Release("a");
  EXPECT_EQ(ended, 10'000);
  EXPECT_EQ(deepest, 1);
  slots_.Release("a");
  EXPECT_EQ(slots_.under_way(), 0);
}

}  // namespace
}  // namespace authurl::testing
