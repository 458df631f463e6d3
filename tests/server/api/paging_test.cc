#include "server/api/paging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "authurl/v1/organization_service.pb.h"
#include "core/crypto/key_ring.h"
#include "tests/support/fixed_random.h"

namespace authurl::testing {
namespace {

using ::testing::SizeIs;

class PagingTest : public ::testing::Test {
 protected:
  Page Read(absl::string_view list, int size, absl::string_view token) {
    violations_ = FieldViolations();
    return ReadPage(sealer_, list, size, token, violations_);
  }
  // Cuts a page of `size` out of `records` organisations a, b, c, …, each of about `bytes` bytes.
  std::string Cut(int size, int records, size_t bytes = 10) {
    records_.clear();
    for (int i = 0; i < records; ++i) {
      v1::Organization organization;
      organization.set_org_id(std::string(1, static_cast<char>('a' + i)));
      organization.set_display_name(std::string(bytes, 'x'));
      records_.push_back(organization);
    }
    return CutPage(sealer_, FillRandom, "list", Page{"", size}, records_,
                   [](const v1::Organization& each) { return each.org_id(); });
  }

  const KeyRing keys_ = *KeyRing::Parse(kZeroKeyRing);
  const Sealer sealer_{keys_};
  FieldViolations violations_;
  std::vector<v1::Organization> records_;
};

TEST_F(PagingTest, PageSizeHasADefaultAndALimit) {
  EXPECT_EQ(Read("list", 0, "").size, 100);
  EXPECT_EQ(Read("list", 1, "").size, 1);
  EXPECT_EQ(Read("list", 1000, "").size, 1000);
  EXPECT_EQ(Read("list", 1001, "").size, 1000);
  EXPECT_EQ(Read("list", 2'147'483'647, "").size, 1000);
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

TEST_F(PagingTest, PageIsCutWhereTheNextBegins) {
  EXPECT_EQ(Read("list", 0, Cut(2, 3)).after, "b");
  EXPECT_EQ(records_.size(), 2u);
  EXPECT_EQ(Cut(3, 3), "");
  EXPECT_EQ(records_.size(), 3u);
  EXPECT_EQ(Cut(3, 0), "");
}

TEST_F(PagingTest, PageIsCutBeforeItGetsTooLarge) {
  EXPECT_EQ(Read("list", 0, Cut(10, 6, kMaxPageBytes / 2 - 100)).after, "b");
  EXPECT_EQ(records_.size(), 2u);
  // One record at least, or there would be no end of pages.
  EXPECT_EQ(Read("list", 0, Cut(10, 3, kMaxPageBytes * 2)).after, "a");
  EXPECT_EQ(records_.size(), 1u);
}

}  // namespace
}  // namespace authurl::testing
