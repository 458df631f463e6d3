// What no vector shows: the values of requests when there are none, and what is wiped.

#include "core/flow/request_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "core/flow/token_request.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RequestBuilderTest : public ::testing::Test {
 protected:
  RequestBuilderTest() { settings_.set_client_key("app/1"); }

  absl::StatusOr<HttpRequest> Exchange(const std::string& entry, absl::string_view secret) {
    catalog_ = NetworkCatalog::Parse(entry).value();
    FlowValues values;
    values.Set("code", "c");
    values.Set("redirect_uri", "https://app.example.com/cb");
    return BuildExchange(*catalog_.Find("full"), {.settings = settings_, .secret = secret}, values);
  }

  static std::string HeaderOf(const HttpRequest& request, absl::string_view name) {
    for (const HttpHeader& header : request.headers) {
      if (header.name == name) return header.value;
    }
    return "";
  }

  NetworkCatalog catalog_;
  record::v1::SocialNetworkSettings settings_;
};

// RFC 6749 sections 2.3.1 and 3.2.1.
TEST_F(RequestBuilderTest, APublicClientShowsItsIdAlone) {
  ASSERT_OK_AND_ASSIGN(const HttpRequest confidential, Exchange(kFullEntry, "s:1"));
  EXPECT_EQ(HeaderOf(confidential, "Authorization"),
            absl::StrCat("Basic ", absl::Base64Escape("app%2F1:s%3A1")));
  EXPECT_THAT(confidential.body, Not(HasSubstr("client_id")));
  ASSERT_OK_AND_ASSIGN(const HttpRequest public_client, Exchange(kFullEntry, ""));
  EXPECT_EQ(HeaderOf(public_client, "Authorization"), "");
  EXPECT_THAT(public_client.body, HasSubstr("client_id=app%2F1"));
}

// A token of an evil instance would add a header of its own.
TEST_F(RequestBuilderTest, NoHeaderHasALineBreak) {
  catalog_ = NetworkCatalog::Parse(kFullEntry).value();
  const auto ask = [&](absl::string_view token) {
    FlowValues values;
    values.Set("access_token", token);
    return BuildRequest(*catalog_.Find("full"), catalog_.Find("full")->profile().request(),
                        {.settings = settings_}, values, {});
  };
  ASSERT_OK_AND_ASSIGN(const HttpRequest request, ask("t-1"));
  EXPECT_EQ(HeaderOf(request, "Authorization"), "Bearer t-1");
  for (const absl::string_view token : {"hush\r\nHost: a", "hush\n", "hush\x7f"}) {
    const absl::Status status = ask(token).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, HasSubstr("Authorization")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hush")));
  }
}

TEST_F(RequestBuilderTest, AParameterOfTheEntryTakesThePlaceOfOneThatIsSentAnyway) {
  ASSERT_OK_AND_ASSIGN(
      const HttpRequest request,
      Exchange(FullEntryWith("params { name: \"audience\" value: \"all\" }",
                             "params { name: \"grant_type\" value: \"own\" } "
                             "params { name: \"audience\" value: \"{setting.domain}\" } "
                             "leave_out: \"redirect_uri\""),
               "s"));
  EXPECT_EQ(request.body, "grant_type=own&code=c&audience=full.example");
}

TEST_F(RequestBuilderTest, AParameterWhoseValueIsNotThereIsLeftOut) {
  ASSERT_OK_AND_ASSIGN(const HttpRequest request,
                       Exchange(FullEntryWith("value: \"all\"", "value: \"x{state}\""), "s"));
  EXPECT_THAT(request.body, Not(HasSubstr("audience")));
}

TEST_F(RequestBuilderTest, AUrlWhoseValueIsNotThereIsAnError) {
  EXPECT_THAT(Exchange(FullEntryWith("https://api.full.example/{version}/token",
                                     "https://api.full.example/{version}/{setting.region}"),
                       "s"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("needs a value")));
}

TEST_F(RequestBuilderTest, VariablesAreTheConfigurations) {
  (*settings_.mutable_variables())["version"] = "v9.9";
  ASSERT_OK_AND_ASSIGN(const HttpRequest request, Exchange(kFullEntry, "s"));
  EXPECT_EQ(request.url, "https://api.full.example/v9.9/token");
}

}  // namespace
}  // namespace authurl::testing
