// That each organisation has its turn, and that one with much takes the room of no other.
#include "server/flow/fair_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;

class FairQueueTest : public ::testing::Test {
 protected:
  // The id of what gave way; empty where nothing did.
  static std::string Push(FairQueue& queue, const std::string& org_id, const std::string& id) {
    const std::optional<FairQueue::Item> left = queue.Push({.org_id = org_id, .id = id});
    return left ? left->id : "";
  }
  static std::vector<std::string> PopAll(FairQueue& queue) {
    std::vector<std::string> ids;
    while (!queue.empty()) ids.push_back(queue.Pop().id);
    return ids;
  }
};

TEST_F(FairQueueTest, OrganizationsTakeTurnsEachInItsOrder) {
  FairQueue queue(10);
  for (const char* const id : {"a1", "a2", "a3"}) EXPECT_EQ(Push(queue, "a", id), "");
  EXPECT_EQ(Push(queue, "b", "b1"), "");
  EXPECT_EQ(queue.Pop().id, "a1");
  EXPECT_EQ(Push(queue, "c", "c1"), "");
  EXPECT_EQ(queue.size(), 4u);
  EXPECT_THAT(PopAll(queue), ElementsAre("b1", "c1", "a2", "a3"));
}

TEST_F(FairQueueTest, WhereItIsFullWhoHasMostGivesWay) {
  FairQueue queue(4);
  for (const char* const id : {"a1", "a2", "a3", "a4"}) EXPECT_EQ(Push(queue, "a", id), "");
  EXPECT_EQ(Push(queue, "a", "a5"), "a5");
  EXPECT_EQ(Push(queue, "b", "b1"), "a4");
  EXPECT_EQ(Push(queue, "b", "b2"), "a3");
  // It would have as much as the other.
  EXPECT_EQ(Push(queue, "b", "b3"), "b3");
  EXPECT_EQ(Push(queue, "c", "c1"), "b2");
  EXPECT_EQ(queue.size(), 4u);
  EXPECT_THAT(PopAll(queue), ElementsAre("a1", "b1", "c1", "a2"));
}

}  // namespace
}  // namespace authurl::testing
