#include "core/catalog/network_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::catalog::v1::Network;
using ::authurl::catalog::v1::Pkce;
using ::authurl::testing::FullEntryWith;
using ::authurl::testing::kFullEntry;
using ::authurl::testing::kInstanceEntry;
using ::authurl::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(NetworkCatalogTest, KeepsTheOrderAndSurvivesAMove) {
  ASSERT_OK_AND_ASSIGN(NetworkCatalog first,
                       NetworkCatalog::Parse(absl::StrCat(kInstanceEntry, kFullEntry)));
  const NetworkCatalog catalog = std::move(first);
  ASSERT_EQ(catalog.networks().size(), 2u);
  EXPECT_EQ(catalog.networks()[0]->id(), "fediverse");
  EXPECT_EQ(catalog.networks()[1], catalog.Find("full"));
  EXPECT_EQ(catalog.Find("unknown"), nullptr);
  EXPECT_EQ(catalog.Find(""), nullptr);
}

TEST(NetworkCatalogTest, TellsWhereTextIsNoCatalog) {
  EXPECT_THAT(NetworkCatalog::Parse("networks {\n  id: 7\n}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(StartsWith("the network catalog: line 2, column "),
                             HasSubstr("Expected string"))));
  EXPECT_THAT(NetworkCatalog::Parse("networks { colour: \"red\" }"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("line 1, column "), HasSubstr("\"colour\""))));
  EXPECT_THAT(NetworkCatalog::Parse("networks { status: STATUS_SLEEPING }"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("STATUS_SLEEPING")));
}

TEST(NetworkCatalogTest, RefusesBadAndRepeatedIds) {
  for (const std::string& id :
       std::vector<std::string>{"", "Full", "full-2", "full.example", std::string(33, 'a')}) {
    EXPECT_THAT(NetworkCatalog::Parse(FullEntryWith("\"full\"", absl::StrCat("\"", id, "\""))),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         StartsWith(absl::StrCat("network \"", id, "\": id: "))));
  }
  EXPECT_THAT(
      NetworkCatalog::Parse(absl::StrCat(kFullEntry, kFullEntry)),
      StatusIs(absl::StatusCode::kInvalidArgument, "network \"full\": id: must not occur twice"));
}

TEST(NetworkCatalogTest, TextThatIsNestedWithoutEndIsRefused) {
  std::string text = "networks { ";
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&text, "variants { changes { ");
  EXPECT_THAT(NetworkCatalog::Parse(text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too deep")));
}

TEST(NetworkCatalogTest, AnErrorIsTextWhateverItQuotes) {
  EXPECT_THAT(NetworkCatalog::Parse("\"N\xff\xff\"\n\xa1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"N??\"")));
  const absl::Status status =
      NetworkCatalog::Parse(absl::StrCat("networks { ", std::string(100'000, 'a'), ": 1 }"))
          .status();
  EXPECT_LT(status.message().size(), 400u);
}

TEST(NetworkCatalogTest, AnEntryThatIsNotUtf8IsRefusedForThatAlone) {
  for (const char* bytes : {"\xff", R"(\377)"}) {
    const absl::Status status =
        NetworkCatalog::Parse(absl::StrCat("networks { id: \"fedi\" authorization_endpoint: "
                                           "\"https://{inst",
                                           bytes, "nce}/authorize\" }"))
            .status();
    EXPECT_EQ(status.message(), "network \"fedi\": text: must be UTF-8");
  }
}

TEST(NetworkCatalogTest, EndpointsAreHttpOnThisMachineAndWithLocalInstancesOnly) {
  constexpr char kHint[] = "must begin with https://; http to this machine is taken with";
  const auto with = [](absl::string_view host) {
    return FullEntryWith("https://api.full.example/", absl::StrCat("http://", host, "/"));
  };
  for (const char* host : {"127.0.0.1:4000", "[::1]:4000", "localhost:4000", "a.localhost"}) {
    EXPECT_THAT(NetworkCatalog::Parse(with(host)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("exchange.request.url: "), HasSubstr(kHint))));
    NetworkCatalog catalog;
    catalog.set_allow_local_instances(true);
    ASSERT_OK(catalog.Add(with(host)));
    EXPECT_EQ(catalog.Find("full")->profile().request().url(),
              absl::StrCat("http://", host, "/me"));
  }
  NetworkCatalog local;
  local.set_allow_local_instances(true);
  for (const char* host : {"full.example", "10.0.0.1", "127.0.0.1.full.example", "{instance}",
                           "127.0.0.1{access_token}", "u@127.0.0.1"}) {
    EXPECT_THAT(local.Add(with(host)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("exchange.request.url: ")))
        << host;
  }
  EXPECT_TRUE(local.networks().empty());

  const std::string variant =
      FullEntryWith("https://desktop.full.example/", "http://127.0.0.1:4000/");
  EXPECT_THAT(NetworkCatalog::Parse(variant),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("variants \"desktop\": authorization_endpoint: "),
                             HasSubstr(kHint))));
  EXPECT_OK(local.Add(variant));
}

TEST(NetworkCatalogTest, FindsTheNearestIdInSpelling) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(BuiltInNetworksText()));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"facebok", "facebook"},
      {"twitter", "x"},
      {"Twiter", "x"},
      {"fb", "facebook"},
      {"ig", "instagram"},
      {"google_youtube", "youtube"},
      {"vkontakte", "vk"},
      {"Facebook", "facebook"},
      {"FACEBOOK", "facebook"},
      {"linkedln", "linkedin"},
      {"linked_in", "linkedin"},
      {"tik_tok", "tiktok"},
      {"google-business", "google_business"},
      {"instagarm", "instagram"},
      {"thread", "threads"},
      {"youtub", "youtube"},
      {"redit", "reddit"},
      {"x.com", ""},
      {"", ""},
      {"y", ""},
      {"mastodn", "mastodon"},
      {std::string(10000, 'x'), ""},
  };
  for (const auto& [id, nearest] : cases)
    EXPECT_EQ(catalog.Nearest(id), nearest) << id.substr(0, 64);
}

TEST(NetworkCatalogTest, PrefersTheFirstOfTwoEquallyNearIds) {
  const std::string second = FullEntryWith("\"full\"", "\"fall\"");
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog,
                       NetworkCatalog::Parse(absl::StrCat(kFullEntry, second)));
  EXPECT_EQ(catalog.Nearest("fell"), "full");
}

TEST(NetworkCatalogTest, AnEntryOfALaterTextTakesThePlaceOfTheOldOneAsAWhole) {
  ASSERT_OK_AND_ASSIGN(NetworkCatalog catalog,
                       NetworkCatalog::Parse(absl::StrCat(kFullEntry, kInstanceEntry)));
  ASSERT_OK(catalog.Add(absl::StrCat(R"pb(
    networks { id: "new" display_name: "New" status: STATUS_NO_OAUTH status_note: "Ask it" }
    networks {
      id: "full"
      display_name: "Closed"
      status: STATUS_NO_OAUTH
      status_note: "Full is closed"
    })pb")));
  std::vector<std::string> ids;
  for (const Network* network : catalog.networks()) ids.push_back(network->id());
  EXPECT_THAT(ids, ElementsAre("full", "fediverse", "new"));
  EXPECT_EQ(catalog.networks()[0], catalog.Find("full"));
  EXPECT_EQ(catalog.Find("full")->display_name(), "Closed");
  EXPECT_TRUE(catalog.Find("full")->authorization_endpoint().empty());
  EXPECT_EQ(catalog.FindVariant("full", "desktop"), nullptr);
}

TEST(NetworkCatalogTest, ATextWithAFaultChangesNothing) {
  ASSERT_OK_AND_ASSIGN(NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  EXPECT_THAT(catalog.Add(absl::StrCat(kInstanceEntry, FullEntryWith("2026-11-23", "today"))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"full\": checked_on")));
  EXPECT_EQ(catalog.networks().size(), 1u);
  EXPECT_EQ(catalog.Find("fediverse"), nullptr);
}

TEST(NetworkCatalogTest, FindsVariantsByNetworkAndId) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  EXPECT_EQ(catalog.FindVariant("full", ""), catalog.Find("full"));
  EXPECT_NE(catalog.FindVariant("full", "desktop"), nullptr);
  EXPECT_EQ(catalog.FindVariant("full", "mobile"), nullptr);
  EXPECT_EQ(catalog.FindVariant("empty", ""), nullptr);
  EXPECT_EQ(catalog.FindVariant("empty", "desktop"), nullptr);
}

TEST(NetworkCatalogTest, RefusesAVariantThatOccursTwice) {
  EXPECT_THAT(NetworkCatalog::Parse(FullEntryWith(
                  "variants {", R"pb(variants { id: "desktop" display_name: "D" description: "D" }
                                     variants {)pb")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("variants \"desktop\": id must not occur twice")));
}

}  // namespace
}  // namespace authurl
