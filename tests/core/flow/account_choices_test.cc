// What no vector shows: where lists go on, and what strangers put into them.

#include "core/flow/account_choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPaging[] = R"(paging { cursor: "/next" cursor_param: "after" })";

class AccountChoicesTest : public ::testing::Test {
 protected:
  AccountChoicesTest() { UseEntry(kFullEntry); }

  void UseEntry(const std::string& entry) {
    catalog_ = NetworkCatalog::Parse(entry).value();
    network_ = catalog_.Find("full");
  }
  FlowValues Values() const {
    FlowValues values;
    values.Set("access_token", "at");
    return values;
  }
  absl::StatusOr<AccountsPage> Parse(absl::string_view body, size_t seen = 0, int status = 200) {
    request_ = BuildAccountsRequest(*network_, {.settings = settings_}, Values(), nullptr).value();
    return ParseAccounts(*network_, request_, {.status = status, .body = body}, seen, {}, {});
  }
  // The URL of the page after this one; nothing where there is none.
  std::optional<std::string> NextUrl(absl::string_view body, size_t seen = 0) {
    const auto page = Parse(body, seen);
    EXPECT_OK(page.status());
    if (!page->next) return std::nullopt;
    const auto next =
        BuildAccountsRequest(*network_, {.settings = settings_}, Values(), &*page->next);
    EXPECT_OK(next.status());
    return next->url;
  }

  NetworkCatalog catalog_;
  const catalog::v1::Network* network_ = nullptr;
  record::v1::SocialNetworkSettings settings_;
  HttpRequest request_;
};

TEST_F(AccountChoicesTest, AListGoesOnByCursorUrlOrNumber) {
  EXPECT_EQ(NextUrl(R"({"data": [], "next": "a b"})"),
            "https://api.full.example/pages?after=a%20b");
  EXPECT_EQ(NextUrl(R"({"data": [{"id": 1}], "next": ""})"), std::nullopt);
  UseEntry(FullEntryWith(kPaging, R"(paging { offset_param: "offset" })"));
  EXPECT_EQ(NextUrl(R"({"data": [{"id": 1}, {"id": 2}]})", 10),
            "https://api.full.example/pages?offset=12");
  EXPECT_EQ(NextUrl(R"({"data": []})", 12), std::nullopt);
  UseEntry(FullEntryWith(kPaging, R"(paging { next_url: "/next" })"));
  EXPECT_EQ(NextUrl(R"({"data": [], "next": "https://api.full.example/x?y=1"})"),
            "https://api.full.example/x?y=1");
}

// The token would go there.
TEST_F(AccountChoicesTest, ANextPageIsAtTheSameOrigin) {
  UseEntry(FullEntryWith(kPaging, R"(paging { next_url: "/next" })"));
  for (const absl::string_view url :
       {"https://evil.example/pages", "http://api.full.example/pages", "//api.full.example/pages",
        "/pages?after=1", "https://api.full.example.evil.example/",
        "https://api.full.example:8443/", "https://api.full.example@evil.example/",
        R"(https://api.full.example\\@evil.example/)", "HTTPS://API.FULL.EXAMPLE/pages",
        R"(https://api.full.example/\r\nHost: evil.example)", "https://api.full.example/a b",
        "https://api.full.example?@evil.example/", "https://api.full.example#@evil.example/",
        "https://api.full.example", "https://api.full.example/#", "https://api.full.example/ä"}) {
    EXPECT_EQ(NextUrl(absl::StrCat(R"({"data": [], "next": ")", url, "\"}")), std::nullopt) << url;
  }
}

TEST_F(AccountChoicesTest, WhatHasNoIdIsNoAccount) {
  const auto page =
      Parse(R"({"data": [{"id": 1}, {}, {"id": ""}, {"id": [2]}, null, 3, {"id": 4}]})");
  ASSERT_OK(page.status());
  std::vector<std::string> ids;
  for (const AccountChoice& account : page->accounts) ids.push_back(account.profile.id);
  EXPECT_THAT(ids, ElementsAre("1", "4"));
}

TEST_F(AccountChoicesTest, AnAccountsOwnTokenIsOfATokensCharacters) {
  UseEntry(FullEntryWith("paging {", R"(access_token: "/token" paging {)"));
  EXPECT_EQ(Parse(R"({"data": [{"id": 1, "token": "t"}]})")->accounts[0].access_token, "t");
  EXPECT_THAT(Parse(R"({"data": [{"id": 1, "token": "t\r\n"}]})"),
              HasReason("NETWORK_ANSWER_INVALID"));
}

TEST_F(AccountChoicesTest, AnAnswerWithoutTheListIsAnEmptyOneAndAnErrorIsNot) {
  EXPECT_THAT(Parse("{}")->accounts, IsEmpty());
  EXPECT_THAT(Parse(R"({"data": "x"})")->accounts, IsEmpty());
  EXPECT_THAT(Parse("<html>"), HasReason("NETWORK_ANSWER_INVALID"));
  EXPECT_THAT(Parse(R"({"error": "insufficient_scope"})"), HasReason("SCOPE_MISSING"));
  EXPECT_THAT(Parse("{}", 0, 503), HasReason("NETWORK_UNAVAILABLE"));
}

// All values of an element share it: a list in a list costs no copy for each.
TEST_F(AccountChoicesTest, AParentMayStandForSeveralValues) {
  UseEntry(FullEntryWith(R"(request { url: "https://api.full.example/pages" })",
                         R"(parents {
           request { url: "https://api.full.example/owners" }
           list: "/owners"
           only { where: "/kind" equals: "brand" }
           value: "/pages"
         }
         request { url: "https://api.full.example/pages/{parent}" })"));
  ASSERT_OK_AND_ASSIGN(const HttpRequest request,
                       BuildParentsRequest(*network_, {.settings = settings_}, Values(), nullptr));
  EXPECT_THAT(request.url, HasSubstr("/owners"));
  const auto page = ParseParents(*network_, request, {.status = 200, .body = R"({"owners": [
                                   {"kind": "brand", "pages": [7, 8], "name": "One"},
                                   {"kind": "brand", "pages": []},
                                   {"kind": "other", "pages": [9]}]})"},
                                 0, {});
  ASSERT_OK(page.status());
  ASSERT_EQ(page->parents.size(), 1u);
  EXPECT_THAT(page->parents[0].values, ElementsAre("7", "8"));
  EXPECT_EQ(page->parents[0].element.Find("/name"), "One");
}

}  // namespace
}  // namespace authurl::testing
