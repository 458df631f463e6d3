#include "core/field_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/violations_said.h"

namespace authurl {
namespace {

using ::authurl::testing::Said;
using ::testing::HasSubstr;

TEST(FieldRulesTest, IdsAreOfTheirAlphabetAndLength) {
  const auto tenant = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckTenantId(id, v); });
  };
  for (const std::string& good : {std::string("a"), std::string(128, 'x'), std::string("A-z_09")}) {
    EXPECT_EQ(tenant(good), "");
  }
  for (const std::string& bad :
       {std::string(), std::string(129, 'x'), std::string("a b"), std::string("caf\xc3\xa9"),
        std::string("a\n"), std::string("a.b")}) {
    EXPECT_THAT(tenant(bad), HasSubstr("tenant_id: must be 1 to 128 characters"));
  }
  const auto own = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckOwnTenantId(id, "mine", v); });
  };
  EXPECT_EQ(own("mine"), "");
  for (const char* other : {"", "Mine", "mine2", "yours", "a b"}) {
    EXPECT_THAT(own(other), HasSubstr("tenant_id: must be the tenant of the tenant token"));
  }
  const auto org = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckOrgId("org_id", id, v); });
  };
  EXPECT_EQ(org(std::string(64, 'x')), "");
  EXPECT_THAT(org(std::string(65, 'x')), HasSubstr("org_id: must be 1 to 64 characters"));
}

TEST(FieldRulesTest, IdsOfNetworksAreSmallLettersDigitsAndUnderscores) {
  for (const std::string& good :
       {std::string("x"), std::string("sign_in_2"), std::string("_"), std::string(32, 'a')}) {
    EXPECT_TRUE(IsNetworkId(good)) << good;
  }
  for (const std::string& bad : {std::string(), std::string(33, 'a'), std::string("X"),
                                 std::string("a-b"), std::string("a b"), std::string("a\n"),
                                 std::string("a\0", 2), std::string("caf\xc3\xa9")}) {
    EXPECT_FALSE(IsNetworkId(bad)) << bad;
  }
}

TEST(FieldRulesTest, CredentialsArePrintableAndNeverQuoted) {
  const auto check = [](absl::string_view value) {
    return Said([&](FieldViolations& v) { CheckCredential("client_secret", value, v); });
  };
  EXPECT_EQ(check("s3cr3t with space"), "");
  EXPECT_EQ(check(std::string(4096, 'x')), "");
  EXPECT_EQ(check(""), "client_secret: Required");
  EXPECT_THAT(check(std::string(4097, 'x')), HasSubstr("4097 bytes long"));
  const std::vector<std::pair<const char*, const char*>> faults = {
      {" s3cr3t", "must not begin or end with a space"},
      {"s3cr3t ", "must not begin or end with a space"},
      {"s3cr3t\n", "ends in a line break: remove it"},
      {"\r\ns3cr3t", "begins with a line break: remove it"},
      {"s3\tcr3t", "has U+0009 (tab) at position 3"},
      {"s3cr3t\xc3\xa9", "has U+00E9 at position 7"},
      {"s3cr3t\xe2\x80\x8bx", "has U+200B (zero width space) at position 7"},
      {"\xef\xbb\xbfs3cr3t", "has U+FEFF (byte order mark) at position 1"},
      {"s3cr3t\xff", "has U+00FF at position 7"},
      {"\"s3cr3t\"", "is in quotation marks: remove them"},
      {"'s3cr3t'", "is in quotation marks: remove them"},
      {"${S3cr3t}", "was not set"},
      {"{{ s3cr3t }}", "was not set"},
      {"<s3cr3t>", "was not set"},
      {"undefined", "was not set"},
      {"NULL", "was not set"},
      {"********", "is masked"},
  };
  for (const auto& [bad, message] : faults) {
    EXPECT_THAT(check(bad), HasSubstr(message)) << bad;
    EXPECT_EQ(check(bad).find("cr3t"), std::string::npos);
  }
}

TEST(FieldRulesTest, TextHasALengthAndNoControlCharacters) {
  const auto check = [](absl::string_view text) {
    return Said([&](FieldViolations& v) { CheckText("login_hint", text, 1, 8, v); });
  };
  EXPECT_EQ(check("\xc3\xbcser"), "");
  EXPECT_THAT(check(""), HasSubstr("must be 1 to 8"));
  EXPECT_THAT(check("123456789"), HasSubstr("must be 1 to 8"));
  for (const char* bad : {"a\x01", "a\x7f", "a\xc2\x85", "a\r\n"}) {
    EXPECT_THAT(check(bad), HasSubstr("control characters")) << bad;
  }
}

TEST(FieldRulesTest, AReturnStateIsShortTextOfTheCallers) {
  const auto check = [](absl::string_view text) {
    return Said([&](FieldViolations& v) { CheckReturnState(text, v); });
  };
  EXPECT_EQ(check("tab=2&\xc3\xbc %"), "");
  EXPECT_EQ(check(std::string(256, 'x')), "");
  EXPECT_THAT(check(""), HasSubstr("return_state: is 0 bytes long"));
  EXPECT_THAT(check(std::string(257, 'x')), HasSubstr("must be 1 to 256"));
  EXPECT_THAT(check("a\nb"), HasSubstr("control characters"));
  EXPECT_THAT(check("\xff"), HasSubstr("must be UTF-8"));
}

TEST(FieldRulesTest, AnAccountToConnectAgainIsNamedByItsId) {
  const auto check = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckReconnectAccountId(id, v); });
  };
  EXPECT_EQ(check("sa_4zjq0v1r8k2m6c3t9xwp"), "");
  for (const char* bad :
       {"", "sa_", "sn_4zjq0v1r8k2m6c3t9xwp", "sa_4zjq0v1r8k2m6c3t9xw", "sa_4zjq0v1r8k2m6c3t9xwpp",
        "sa_4ZJQ0v1r8k2m6c3t9xwp", "4zjq0v1r8k2m6c3t9xwp", "sa_4zjq0v1r8k2m6c3t9xw_"}) {
    EXPECT_THAT(check(bad), HasSubstr("reconnect_account_id: ")) << bad;
  }
}

}  // namespace
}  // namespace authurl
