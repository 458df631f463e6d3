#include "core/tenant_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "google/protobuf/text_format.h"
#include "tests/support/auth_fixture.h"
#include "tests/support/equals_proto.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using state::v1::TenantToken;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class TenantTokenTest : public AuthFixture {
 protected:
  // All that one can have, each as long as it may be.
  static TenantToken Longest() {
    TenantToken token;
    token.set_org_id(std::string(64, 'o'));
    token.set_tenant_id(std::string(128, 't'));
    for (int action = 1; action <= 4; ++action)
      token.add_actions(static_cast<TenantAction>(action));
    token.set_expires_at(int64_t{1} << 40);
    token.set_key_id("AbCdEf012345");
    token.set_org_created_at_ms(int64_t{1} << 50);
    return token;
  }
  TenantToken Some() const {
    TenantToken token;
    token.set_org_id("acme");
    token.set_tenant_id("customer_42");
    token.add_actions(TenantToken::ACTION_LIST);
    token.add_actions(TenantToken::ACTION_CONNECT);
    token.set_expires_at(absl::ToUnixSeconds(now_) + 60);
    token.set_key_id("AbCdEf012345");
    token.set_org_created_at_ms(1'790'000'000'123);
    return token;
  }
  std::string Seal(const TenantToken& token) const {
    return SealTenantToken(sealer_, nonce_, token);
  }

  absl::StatusOr<TenantToken> Read(const std::string& text) const {
    v1::CreateTenantTokenRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
    return ReadTenantTokenRequest(request, now_);
  }
};

TEST_F(TenantTokenTest, OpensToWhatWasSealed) {
  const std::string text = Seal(Some());
  EXPECT_THAT(text, MatchesRegex("aut_[A-Za-z0-9_-]{90,256}"));
  EXPECT_TRUE(IsTenantToken(text));
  ASSERT_OK_AND_ASSIGN(const TenantToken token, OpenTenantToken(sealer_, text));
  EXPECT_THAT(token, EqualsProto(Some()));
}

TEST_F(TenantTokenTest, FitsHoweverLongItsPartsAre) {
  const std::string text = Seal(Longest());
  EXPECT_LE(text.size(), kMaxTenantTokenChars - 100) << "leave room for what will be added";
  EXPECT_THAT(OpenTenantToken(sealer_, text), IsOk());
}

// Nothing of it can be read, and the log takes no text that long for an id.
TEST_F(TenantTokenTest, ShowsNothingAndIsLongerThanAnyId) {
  TenantToken token;
  token.set_org_id("o");
  token.set_tenant_id("t");
  EXPECT_GT(Seal(token).size(), 64u);
  const std::string sealed = *Base64UrlDecode(Seal(Some()).substr(4));
  EXPECT_THAT(sealed, Not(HasSubstr("customer_42")));
  EXPECT_THAT(sealed, Not(HasSubstr("acme")));
}

TEST_F(TenantTokenTest, OpensAfterARotationUntilTheOldKeyIsGone) {
  const std::string text = Seal(Some());
  ASSERT_OK_AND_ASSIGN(const std::string ring, RotatedKeyRingText(kZeroKeyRing, SeededRandom(2)));
  ASSERT_OK_AND_ASSIGN(const KeyRing rotated, KeyRing::Parse(ring));
  EXPECT_OK(OpenTenantToken(Sealer(rotated), text));
  ASSERT_OK_AND_ASSIGN(const KeyRing other, KeyRing::Parse(NewKeyRingText(SeededRandom(3))));
  EXPECT_THAT(OpenTenantToken(Sealer(other), text), HasReason("API_KEY_INVALID"));
}

TEST_F(TenantTokenTest, EveryRefusalReadsTheSame) {
  const std::string text = Seal(Some());
  const absl::Status refused = OpenTenantToken(sealer_, "aut_").status();
  EXPECT_THAT(refused, HasReason("API_KEY_INVALID"));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  TenantToken of_no_tenant = Some();
  of_no_tenant.clear_tenant_id();
  TenantToken of_nobody = Some();
  of_nobody.clear_org_id();
  const auto sealed_as = [this](Purpose purpose, const std::string& plaintext,
                                const std::string& context) {
    return "aut_" + Base64UrlEncode(sealer_.Seal(purpose, nonce_, plaintext, context));
  };
  const std::string plaintext = Some().SerializeAsString();
  for (const std::string& other :
       {std::string(), text.substr(1), text.substr(4), "aus_" + text.substr(4), text + "A",
        text + "=", text + " ", text.substr(0, text.size() - 1),
        "aut_" + std::string(kMaxTenantTokenChars, 'A'), Seal(of_no_tenant), Seal(of_nobody),
        sealed_as(Purpose::kAuthState, plaintext, ""), sealed_as(Purpose::kFlowId, plaintext, ""),
        sealed_as(Purpose::kTenantToken, plaintext, "x"),
        sealed_as(Purpose::kTenantToken, "\xff", ""), sealed_as(Purpose::kTenantToken, "", "")}) {
    EXPECT_EQ(OpenTenantToken(sealer_, other).status(), refused) << other;
  }
  const std::string sealed = *Base64UrlDecode(text.substr(4));
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string flipped = sealed;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(OpenTenantToken(sealer_, "aut_" + Base64UrlEncode(flipped)).status(), refused) << bit;
  }
}

TEST_F(TenantTokenTest, IsGoodForItsActionsUntilItsEnd) {
  const TenantToken token = Some();
  const absl::Time end = absl::FromUnixSeconds(token.expires_at());
  for (const absl::Time now : {now_, end - absl::Milliseconds(1)}) {
    EXPECT_OK(CheckTenantToken(token, TenantToken::ACTION_LIST, now));
    EXPECT_OK(CheckTenantToken(token, TenantToken::ACTION_CONNECT, now));
    for (const TenantAction action :
         {TenantToken::ACTION_FINALIZE, TenantToken::ACTION_DISCONNECT}) {
      const absl::Status refused = CheckTenantToken(token, action, now);
      EXPECT_THAT(refused, HasReason("ROLE_NOT_ALLOWED"));
      EXPECT_THAT(refused, StatusIs(absl::StatusCode::kPermissionDenied,
                                    HasSubstr(TenantToken::Action_Name(action))));
    }
    const absl::Status never = CheckTenantToken(token, std::nullopt, now);
    EXPECT_THAT(never, HasReason("ROLE_NOT_ALLOWED"));
    EXPECT_THAT(never, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("GetAuthUrl")));
  }
  for (const absl::Time now : {end, end + absl::Hours(1)}) {
    for (const std::optional<TenantAction> action :
         {std::optional<TenantAction>(TenantToken::ACTION_LIST),
          std::optional<TenantAction>(TenantToken::ACTION_FINALIZE),
          std::optional<TenantAction>()}) {
      const absl::Status expired = CheckTenantToken(token, action, now);
      EXPECT_THAT(expired, HasReason("TENANT_TOKEN_EXPIRED"));
      EXPECT_EQ(expired.code(), absl::StatusCode::kUnauthenticated);
    }
  }
}

TEST_F(TenantTokenTest, RequestIsReadWithItsDefaults) {
  ASSERT_OK_AND_ASSIGN(const TenantToken token,
                       Read("tenant_id: 'a' actions: [ACTION_FINALIZE, ACTION_CONNECT]"));
  EXPECT_EQ(token.tenant_id(), "a");
  EXPECT_THAT(token.actions(),
              ElementsAre(TenantToken::ACTION_FINALIZE, TenantToken::ACTION_CONNECT));
  EXPECT_EQ(token.expires_at(), absl::ToUnixSeconds(now_ + absl::Minutes(15)));
  EXPECT_THAT(token.org_id(), IsEmpty());
  EXPECT_THAT(token.key_id(), IsEmpty());
  EXPECT_OK(Read(absl::StrCat("tenant_id: '", std::string(128, 't'),
                              "' actions: [ACTION_CONNECT, ACTION_LIST, ACTION_FINALIZE, "
                              "ACTION_DISCONNECT]")));
}

TEST_F(TenantTokenTest, LifeIsWholeSecondsUpToAnHour) {
  const std::string start = "tenant_id: 'a' actions: ACTION_LIST ttl ";
  for (const int64_t seconds : {1, 900, 3600}) {
    ASSERT_OK_AND_ASSIGN(const TenantToken token,
                         Read(absl::StrCat(start, "{ seconds: ", seconds, " }")));
    EXPECT_EQ(token.expires_at(), absl::ToUnixSeconds(now_) + seconds);
  }
  for (const char* ttl :
       {"{}", "{ seconds: 0 }", "{ seconds: -1 }", "{ seconds: 3601 }", "{ nanos: 1 }",
        "{ seconds: 1 nanos: 1 }", "{ seconds: 3600 nanos: 1 }", "{ seconds: 2 nanos: -1 }",
        "{ seconds: 9223372036854775807 }", "{ seconds: -9223372036854775808 }"}) {
    EXPECT_THAT(Read(start + ttl), HasViolation("ttl", HasSubstr("from 1 to 3600"))) << ttl;
  }
}

TEST_F(TenantTokenTest, EndIsNeverLaterThanWasAsked) {
  v1::CreateTenantTokenRequest request;
  request.set_tenant_id("a");
  request.add_actions(v1::CreateTenantTokenRequest::ACTION_LIST);
  request.mutable_ttl()->set_seconds(10);
  const absl::Time now = now_ + absl::Milliseconds(999);
  ASSERT_OK_AND_ASSIGN(const TenantToken token, ReadTenantTokenRequest(request, now));
  EXPECT_LE(absl::FromUnixSeconds(token.expires_at()), now + absl::Seconds(10));
  EXPECT_GT(absl::FromUnixSeconds(token.expires_at()), now + absl::Seconds(9));
}

TEST_F(TenantTokenTest, EveryFaultOfARequestIsToldAtOnce) {
  const absl::StatusOr<TenantToken> refused =
      Read("ttl { seconds: 7200 } actions: [ACTION_LIST, ACTION_UNSPECIFIED, ACTION_LIST]");
  EXPECT_THAT(refused, HasReason("INVALID_PAYLOAD"));
  EXPECT_THAT(refused, HasViolation("tenant_id", HasSubstr("1 to 128")));
  EXPECT_THAT(refused, HasViolation("ttl", HasSubstr("3600")));
  EXPECT_THAT(refused, HasViolation("actions[1]", HasSubstr("must be ACTION_CONNECT")));
  EXPECT_THAT(refused, HasViolation("actions[2]", "repeats ACTION_LIST"));
  EXPECT_EQ(ViolationsOf(refused.status()).size(), 4u);
  EXPECT_THAT(Read("tenant_id: 'a'"), HasViolation("actions", HasSubstr("Required")));
  EXPECT_THAT(Read("tenant_id: 'a b' actions: ACTION_LIST"),
              HasViolation("tenant_id", HasSubstr("1 to 128")));
}

TEST_F(TenantTokenTest, ActionsThatThereAreNotAreRefusedHoweverMany) {
  v1::CreateTenantTokenRequest request;
  request.set_tenant_id("a");
  request.add_actions(static_cast<v1::CreateTenantTokenRequest::Action>(5));
  EXPECT_THAT(ReadTenantTokenRequest(request, now_),
              HasViolation("actions[0]", HasSubstr("must be ACTION_CONNECT")));
  for (int i = 0; i < 1000; ++i) request.add_actions(v1::CreateTenantTokenRequest::ACTION_LIST);
  const absl::Status refused = ReadTenantTokenRequest(request, now_).status();
  EXPECT_THAT(refused, HasViolation("actions", HasSubstr("has 1001 entries")));
  EXPECT_EQ(ViolationsOf(refused).size(), 1u);
}

}  // namespace
}  // namespace authurl::testing
