#include "core/field_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

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
  const auto org = [](absl::string_view id) {
    return Said([&](FieldViolations& v) { CheckOrgId("org_id", id, v); });
  };
  EXPECT_EQ(org(std::string(64, 'x')), "");
  EXPECT_THAT(org(std::string(65, 'x')), HasSubstr("org_id: must be 1 to 64 characters"));
}

TEST(FieldRulesTest, CredentialsArePrintableAndNeverQuoted) {
  const auto check = [](absl::string_view value) {
    return Said([&](FieldViolations& v) { CheckCredential("client_secret", value, v); });
  };
  EXPECT_EQ(check("s3cr3t with space"), "");
  EXPECT_EQ(check(std::string(4096, 'x')), "");
  EXPECT_EQ(check(""), "client_secret: Required");
  EXPECT_THAT(check(std::string(4097, 'x')), HasSubstr("4097 bytes long"));
  for (const char* bad : {" s3cr3t", "s3cr3t ", "s3cr3t\n", "s3\tcr3t", "s3cr3t\xc3\xa9"}) {
    EXPECT_THAT(check(bad), HasSubstr("client_secret: must"));
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

}  // namespace
}  // namespace authurl
