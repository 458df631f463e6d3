#include "server/api/paging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "authurl/v1/organization_service.pb.h"
#include "core/crypto/key_ring.h"
#include "tests/support/fixed_random.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class PagingTest : public ::testing::Test {
 protected:
  Page Read(absl::string_view list, int size, absl::string_view token) {
    violations_ = FieldViolations();
    return ReadPage(sealer_, list, size, token, violations_);
  }
  const KeyRing keys_ = *KeyRing::Parse(kZeroKeyRing);
  const Sealer sealer_{keys_};
  FieldViolations violations_;
};

TEST_F(PagingTest, PageSizeHasADefaultAndALimit) {
  EXPECT_EQ(Read("list", 0, "").limit.rows, 100);
  EXPECT_EQ(Read("list", 1, "").limit.rows, 1);
  EXPECT_EQ(Read("list", 1000, "").limit.rows, 1000);
  EXPECT_EQ(Read("list", 1001, "").limit.rows, 1000);
  EXPECT_EQ(Read("list", 2'147'483'647, "").limit.rows, 1000);
  EXPECT_TRUE(violations_.empty());
  Read("list", -1, "");
  ASSERT_THAT(violations_.list(), SizeIs(1));
  EXPECT_EQ(violations_.list()[0].field, "page_size");
}

TEST_F(PagingTest, TokenBringsBackWhereThePageBegins) {
  const std::string token = NextPageToken(sealer_, FillRandom, "list", "org-17");
  EXPECT_EQ(Read("list", 5, token).after, "org-17");
  EXPECT_TRUE(violations_.empty());
  EXPECT_EQ(token.find("org-17"), token.npos);
  EXPECT_NE(token, NextPageToken(sealer_, FillRandom, "list", "org-17"));
}

TEST_F(PagingTest, TokenOfAnotherListOrChangedInAnyBitIsRefused) {
  const std::string token = NextPageToken(sealer_, FillRandom, "list", "org-17");
  for (const char* other : {"", "lis", "list/", "other"}) {
    Read(other, 5, token);
    EXPECT_THAT(violations_.list(), SizeIs(1)) << other;
  }
  for (size_t i = 0; i < token.size(); ++i) {
    for (const int bit : {1, 2, 4, 8}) {
      std::string changed = token;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      Read("list", 5, changed);
      EXPECT_THAT(violations_.list(), SizeIs(1)) << changed;
    }
    Read("list", 5, token.substr(0, i));
    EXPECT_THAT(violations_.list(), SizeIs(i == 0 ? 0 : 1));
  }
}

TEST_F(PagingTest, BothFaultsOfAPageAreReported) {
  Read("list", -5, "nonsense");
  EXPECT_THAT(violations_.list(), SizeIs(2));
}

TEST_F(PagingTest, ReplySaysWhereTheNextPageBeginsAndWhatIsUnreadable) {
  v1::ListOrganizationsResponse response;
  Listed<record::v1::Organization> listed;
  FinishPage(sealer_, FillRandom, "list", listed, response);
  EXPECT_EQ(response.next_page_token(), "");
  EXPECT_EQ(response.unreadable_ids_size(), 0);
  listed.next = "b";
  listed.unreadable = {"a", "b"};
  FinishPage(sealer_, FillRandom, "list", listed, response);
  EXPECT_EQ(Read("list", 0, response.next_page_token()).after, "b");
  EXPECT_THAT(response.unreadable_ids(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace authurl::testing
