#include "core/flow/authorization_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class AuthorizationResponseTest : public ::testing::Test {
 protected:
  // Whether it is read, as that network sends it, and what it means.
  absl::Status Outcome(absl::string_view network, absl::string_view text) {
    auto response = ParseAuthorizationResponse(text);
    if (!response.ok()) return response.status();
    const catalog::v1::Network& entry = *catalog_.Find(network);
    absl::Status status = ReadAsNetworkSends(entry, *response);
    if (status.ok()) status = CheckIssuer(entry, settings_, *response);
    if (status.ok()) status = CheckNetworkError(entry, *response);
    return status;
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  record::v1::SocialNetworkSettings settings_;
};

TEST_F(AuthorizationResponseTest, IsTheWholeUrlTheQueryOrTheForm) {
  for (const char* text :
       {"https://app.example.com/cb?code=c%2F1&state=s&x=1", "?code=c%2F1&state=s",
        "code=c%2F1&state=s", "com.example.app:/cb?state=s&code=c%2F1",
        "https://app.example.com/cb?code=c%2F1&state=s#_=_"}) {
    ASSERT_OK_AND_ASSIGN(const auto response, ParseAuthorizationResponse(text));
    EXPECT_EQ(response.Get("code"), "c/1") << text;
    EXPECT_EQ(response.Get("state"), "s") << text;
  }
  EXPECT_EQ(ParseAuthorizationResponse("https://app.example.com:8443/cb?state=s")->redirect_uri,
            "https://app.example.com:8443/cb");
  EXPECT_EQ(ParseAuthorizationResponse("com.example.app:/cb?state=s")->redirect_uri,
            "com.example.app:/cb");
  EXPECT_EQ(ParseAuthorizationResponse("state=https://a.example/?x")->redirect_uri, "");
  EXPECT_EQ(ParseAuthorizationResponse("state=a:b")->redirect_uri, "");
}

TEST_F(AuthorizationResponseTest, TheStateMayBePackedWithAllElse) {
  const auto state_of = [](absl::string_view text) {
    return StateOf(*ParseAuthorizationResponse(text));
  };
  EXPECT_EQ(state_of("?code=c&state=s"), "s");
  EXPECT_EQ(state_of("?payload=%7B%22code%22%3A%22c%22%2C%22state%22%3A%22s%22%7D"), "s");
  EXPECT_EQ(state_of("?payload=%7B%22code%22%3A%22c%22%7D"), "");
  EXPECT_EQ(state_of("?payload=%7Bno+json"), "");
  EXPECT_EQ(state_of("?code=c"), "");
}

TEST_F(AuthorizationResponseTest, ComesToTheRedirectUriOfItsFlow) {
  struct Case {
    const char* redirect_uri;
    const char* received;
    bool is_good;
  };
  for (const Case& each : {
           Case{"https://app.example.com/cb", "https://app.example.com/cb?code=c&state=s", true},
           // Only what came with it: where it came is not known.
           Case{"https://app.example.com/cb", "code=c&state=s", true},
           Case{"https://app.example.com", "https://app.example.com/?code=c&state=s", true},
           Case{"https://app.example.com/cb", "https://app.example.com/cb/?code=c", false},
           Case{"https://app.example.com/cb/", "https://app.example.com/cb?code=c", false},
           Case{"https://app.example.com/cb", "http://app.example.com/cb?code=c", false},
           Case{"https://app.example.com/cb", "https://app.example.com.evil.example/cb", false},
           Case{"https://app.example.com/cb", "https://app.example.com:8443/cb?code=c", false},
           Case{"com.example.app:/cb", "com.example.app:/cb?code=c", true},
           Case{"com.example.app:/cb", "com.example.app:/other?code=c", false},
           Case{"https://a.example/cb?x=1&y=%20", "https://a.example/cb?x=1&y=+&code=c", true},
           Case{"https://a.example/cb?x=1", "https://a.example/cb?code=c&x=1", true},
           Case{"https://a.example/cb?x=1", "https://a.example/cb?x=2&code=c", false},
           Case{"https://a.example/cb?x=1", "https://a.example/cb?code=c", false},
           Case{"https://a.example/cb?x=1", "https://a.example/cb?x=2&x=1&code=c", false},
       }) {
    const absl::Status status =
        CheckCameTo(each.redirect_uri, *ParseAuthorizationResponse(each.received));
    EXPECT_EQ(status.ok(), each.is_good) << each.redirect_uri << " " << each.received;
    EXPECT_EQ(ReasonOf(status), each.is_good ? "" : "STATE_INVALID");
  }
}

// '4%2F' would become "Malformed auth code" at Google.
TEST_F(AuthorizationResponseTest, IsDecodedOnce) {
  ASSERT_OK_AND_ASSIGN(const auto response,
                       ParseAuthorizationResponse("?code=4%252F0&state=a%2Bb+c"));
  EXPECT_EQ(response.Get("code"), "4%2F0");
  EXPECT_EQ(response.Get("state"), "a+b c");
}

// RFC 6749 section 3.1.
TEST_F(AuthorizationResponseTest, NoParameterOfOAuthsComesTwice) {
  for (const char* name : {"code", "state", "iss", "error", "error_description"}) {
    const std::string text =
        absl::StrCat("?code=c&state=s&iss=i&error=e&error_description=d&", name, "=again");
    EXPECT_THAT(ParseAuthorizationResponse(text).status(),
                AllOf(HasReason("RESPONSE_INVALID"),
                      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name))));
  }
  // What others add is none of our business.
  EXPECT_OK(ParseAuthorizationResponse("?code=c&state=s&scope=a&scope=b"));
}

TEST_F(AuthorizationResponseTest, HostileOnesAreRefusedWithoutBeingQuoted) {
  std::string many = "state=s&code=c";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, "&p", i, "=1");
  for (const std::string& text :
       {std::string("?code=%ff&state=s"), std::string("?code=c&state=%ed%a0%80"), many,
        std::string(kMaxAuthorizationResponseBytes + 1, 'x')}) {
    EXPECT_THAT(ParseAuthorizationResponse(text).status(), HasReason("RESPONSE_INVALID"))
        << text.substr(0, 40);
  }
  EXPECT_THAT(Outcome("github", "?code=hush"),
              AllOf(HasReason("RESPONSE_INVALID"),
                    StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`state`"))));
  EXPECT_THAT(Outcome("github", "?state=hush").message(), Not(HasSubstr("hush")));
  EXPECT_THAT(Outcome("github", ""), HasReason("RESPONSE_INVALID"));
  EXPECT_THAT(Outcome("github", "?state=s"), HasReason("RESPONSE_INVALID"));
  EXPECT_OK(Outcome("github", "?state=s&code=c"));
}

TEST_F(AuthorizationResponseTest, ARefusalIsToldFromFaults) {
  EXPECT_THAT(Outcome("github", "?state=s&error=access_denied"), HasReason("USER_DENIED"));
  // LINE shouts; LinkedIn has words of its own.
  EXPECT_THAT(Outcome("line", "?state=s&error=ACCESS_DENIED"), HasReason("USER_DENIED"));
  EXPECT_THAT(Outcome("linkedin", "?state=s&error=user_cancelled_login"), HasReason("USER_DENIED"));
  EXPECT_THAT(Outcome("linkedin", "?state=s&error=user_cancelled_authorize"),
              HasReason("USER_DENIED"));
  // WeChat says nothing at all.
  EXPECT_THAT(Outcome("wechat", "?state=s"), HasReason("USER_DENIED"));
  EXPECT_THAT(
      Outcome("linkedin",
              "?state=s&error=unauthorized_scope_error&error_description=Scope+%26quot%3Bx"),
      AllOf(HasReason("NETWORK_REFUSED"),
            StatusIs(absl::StatusCode::kFailedPrecondition,
                     HasSubstr("unauthorized_scope_error: Scope &quot;x"))));
  EXPECT_THAT(Outcome("github", "?state=s&error=temporarily_unavailable"),
              HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(Outcome("github", "?state=s&error=unauthorized_client"),
              HasReason("CLIENT_REJECTED"));
  // A code beside an error is none.
  EXPECT_THAT(Outcome("github", "?state=s&code=c&error=access_denied"), HasReason("USER_DENIED"));
}

TEST_F(AuthorizationResponseTest, WordsOfTheNetworkAreCleanedAndHoldNoSecret) {
  const absl::Status status = Outcome(
      "github", "?state=st4te&code=&error=bad%0d%0aerror&error_description=%3Cb%3E+st4te+%07");
  EXPECT_THAT(status.message(), HasSubstr("bad  error: <b> …  "));
  EXPECT_THAT(status.message(), Not(HasSubstr("st4te")));
}

// RFC 9207 section 2.4.
TEST_F(AuthorizationResponseTest, TheIssuerMustBeTheNetworks) {
  EXPECT_OK(Outcome("google", "?state=s&code=c&iss=https%3A%2F%2Faccounts.google.com"));
  EXPECT_OK(Outcome("google", "?state=s&code=c"));
  EXPECT_THAT(Outcome("google", "?state=s&code=c&iss=https%3A%2F%2Fevil.example"),
              HasReason("ISSUER_MISMATCH"));
  settings_.set_instance("mi.example");
  EXPECT_OK(Outcome("misskey", "?state=s&code=c&iss=https%3A%2F%2Fmi.example"));
  EXPECT_THAT(Outcome("misskey", "?state=s&code=c&iss=https%3A%2F%2Fother.example"),
              HasReason("ISSUER_MISMATCH"));
  // Every Misskey sends it, with its errors too.
  EXPECT_THAT(Outcome("misskey", "?state=s&code=c"), HasReason("ISSUER_MISMATCH"));
  EXPECT_THAT(Outcome("misskey", "?state=s&error=access_denied"), HasReason("ISSUER_MISMATCH"));
  // It is compared as it is.
  for (const char* alike :
       {"https%3A%2F%2Faccounts.google.com%2F", "https%3A%2F%2FAccounts.google.com",
        "http%3A%2F%2Faccounts.google.com"}) {
    EXPECT_THAT(Outcome("google", absl::StrCat("?state=s&code=c&iss=", alike)),
                HasReason("ISSUER_MISMATCH"))
        << alike;
  }
}

// VK: some clients find all of it in one parameter.
TEST_F(AuthorizationResponseTest, WhatIsPackedIntoOneParameterIsUnpacked) {
  ASSERT_OK_AND_ASSIGN(
      auto response,
      ParseAuthorizationResponse(
          R"(?payload={"code":"c1","state":"s1","device_id":"d1","type":"code_v2"})"));
  ASSERT_OK(ReadAsNetworkSends(*catalog_.Find("vk"), response));
  EXPECT_EQ(response.Get("code"), "c1");
  EXPECT_EQ(response.Get("state"), "s1");
  EXPECT_EQ(response.Get("device_id"), "d1");
  EXPECT_THAT(Outcome("vk", "?payload={"), HasReason("RESPONSE_INVALID"));
  EXPECT_THAT(Outcome("vk", R"(?state=other&payload={"code":"c","state":"s"})"),
              HasReason("RESPONSE_INVALID"));
}

}  // namespace
}  // namespace authurl::testing
