#include "core/flow/network_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class NetworkErrorTest : public ::testing::Test {
 protected:
  absl::Status Error(int status, absl::string_view body, FlowStep step = FlowStep::kExchange) {
    const std::optional<Answer> answer = Answer::Parse(body);
    return NetworkError(*network_, network_->exchange().errors(), answer ? &*answer : nullptr,
                        {.status = status, .body = body}, step, {"hush-1", "abc"});
  }

  const NetworkCatalog catalog_ =
      NetworkCatalog::Parse(
          FullEntryWith(
              R"(errors { rules { codes: "wrong_code" meaning: MEANING_GRANT_REJECTED } })",
              R"(errors {
                             code: "/error/code" code: "/error"
                             text: "/message"
                             rules { codes: "17" text: "limit" meaning: MEANING_TRY_AGAIN }
                             rules { codes: "17" meaning: MEANING_CLIENT_REJECTED }
                             rules { text: "gone" statuses: 410 meaning: MEANING_TOKEN_REJECTED }
                             no_error_codes: "0" no_error_codes: "ok"
                           })"))
          .value();
  const catalog::v1::Network* const network_ = catalog_.Find("full");
};

// All conditions of a rule must hold, and the first rule that applies decides.
TEST_F(NetworkErrorTest, TheEntrysRulesComeFirst) {
  EXPECT_THAT(Error(400, R"({"error": {"code": 17}, "message": "A LIMIT is reached"})"),
              HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(Error(503, R"({"error": {"code": 17}, "message": "no"})"),
              HasReason("CLIENT_REJECTED"));
  EXPECT_THAT(Error(410, R"({"message": "It is gone"})"), HasReason("ACCESS_TOKEN_DEAD"));
  EXPECT_THAT(Error(404, R"({"message": "It is gone"})"), HasReason("NETWORK_REFUSED"));
}

// RFC 6749 section 5.2, RFC 6750 section 3.1.
TEST_F(NetworkErrorTest, ThenTheRfcsThenTheStatus) {
  const auto said = [&](absl::string_view code, FlowStep step = FlowStep::kExchange) {
    return Error(400, absl::StrCat(R"({"error": ")", code, "\"}"), step);
  };
  EXPECT_THAT(said("invalid_grant"), HasReason("CODE_REJECTED"));
  EXPECT_THAT(said("invalid_grant", FlowStep::kRefresh), HasReason("REFRESH_DEAD"));
  EXPECT_THAT(said("invalid_client"), HasReason("CLIENT_REJECTED"));
  EXPECT_THAT(said("unauthorized_client"), HasReason("CLIENT_REJECTED"));
  EXPECT_THAT(said("invalid_token", FlowStep::kProfile), HasReason("ACCESS_TOKEN_DEAD"));
  EXPECT_THAT(said("invalid_grant", FlowStep::kProfile), HasReason("ACCESS_TOKEN_DEAD"));
  EXPECT_THAT(said("invalid_token", FlowStep::kRefresh), HasReason("REFRESH_DEAD"));
  EXPECT_THAT(said("insufficient_scope", FlowStep::kProfile), HasReason("SCOPE_MISSING"));
  EXPECT_THAT(said("slow_down"), HasReason("NETWORK_UNAVAILABLE"));
  EXPECT_THAT(said("invalid_request"), HasReason("NETWORK_REFUSED"));
  for (const int status : {408, 425, 429, 500, 503, 599}) {
    EXPECT_THAT(Error(status, "{}"), HasReason("NETWORK_UNAVAILABLE")) << status;
    EXPECT_THAT(Error(status, "<html>"), HasReason("NETWORK_UNAVAILABLE")) << status;
  }
  EXPECT_THAT(Error(401, "{}", FlowStep::kAccounts), HasReason("ACCESS_TOKEN_DEAD"));
  EXPECT_THAT(Error(401, "{}"), HasReason("NETWORK_REFUSED"));
  EXPECT_THAT(Error(200, "<html>"), HasReason("NETWORK_ANSWER_INVALID"));
}

TEST_F(NetworkErrorTest, CodesThatSayThatAllIsWellAreNoErrors) {
  const auto says_error = [&](absl::string_view body) {
    return SaysError(network_->exchange().errors(), *Answer::Parse(body));
  };
  EXPECT_FALSE(says_error("{}"));
  EXPECT_FALSE(says_error(R"({"error": 0})"));
  EXPECT_FALSE(says_error(R"({"error": {"code": "ok"}})"));
  EXPECT_TRUE(says_error(R"({"error": {"code": 1}})"));
}

TEST_F(NetworkErrorTest, TheNetworksWordsAreShownWithoutSecretsAndControlCharacters) {
  const absl::Status status =
      Error(400, R"({"error": "x", "message": "code hush-1\r\nof \u0000 abc"})");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("Full refused the exchange of the code"),
                    HasSubstr("(it says \"x: code …  of   abc\"), HTTP status 400"),
                    Not(HasSubstr("hush"))));
  EXPECT_THAT(CleanWords(std::string(5000, 'w'), {}), AllOf(SizeIs(400), EndsWith("…")));
  EXPECT_EQ(CleanWords("\xff!", {}), "?!");
  // As requests have them, of which networks quote parts.
  const std::vector<absl::string_view> secrets = {"4/0Asecret+", "s3cret/+1"};
  EXPECT_EQ(CleanWords("bad code=4%2F0Asecret%2B here", secrets), "bad code=… here");
  EXPECT_EQ(CleanWords("code=4%2f0Asecret%2b", secrets), "code=…");
  // app/1:s3cret/+1, as it is and percent-encoded.
  EXPECT_EQ(CleanWords("got Basic YXBwLzE6czNjcmV0LysxIQ==, want", secrets), "got Basic …, want");
  EXPECT_EQ(CleanWords("Basic YXBwJTJGMTpzM2NyZXQlMkYlMkIx", secrets), "Basic …");
  EXPECT_EQ(CleanWords("basic authentication failed 100%", secrets),
            "basic authentication failed 100%");
}

}  // namespace
}  // namespace authurl::testing
