#include "core/catalog/completion_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/catalog/network_catalog.h"
#include "tests/support/catalog_text.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using catalog::v1::Network;
using catalog::v1::Request;

TEST(CompletionRulesTest, WhatIsLeftUnsaidIsWrittenOut) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network& full = *catalog.Find("full");
  const auto& exchange = full.exchange();
  EXPECT_EQ(exchange.request().method(), Request::METHOD_POST);
  EXPECT_EQ(exchange.request().encoding(), Request::ENCODING_FORM);
  EXPECT_EQ(exchange.request().token_auth(), Request::TOKEN_AUTH_ABSENT);
  EXPECT_THAT(exchange.answer().access_token(), ElementsAre("/access_token"));
  EXPECT_THAT(exchange.answer().scopes(), ElementsAre("/scope"));
  EXPECT_EQ(exchange.answer().scope_separators(), " ");
  EXPECT_THAT(exchange.errors().code(), ElementsAre("/error"));
  EXPECT_EQ(full.profile().source(), catalog::v1::Profile::SOURCE_REQUEST);
  EXPECT_EQ(full.profile().request().method(), Request::METHOD_GET);
  EXPECT_EQ(full.profile().request().token_auth(), Request::TOKEN_AUTH_BEARER);
  EXPECT_EQ(full.profile().request().client_auth(), Request::CLIENT_AUTH_ABSENT);
}

TEST(CompletionRulesTest, StepsTakeFromTheExchangeWhatTheyDoNotSay) {
  ASSERT_OK_AND_ASSIGN(const NetworkCatalog catalog, NetworkCatalog::Parse(kFullEntry));
  const Network& full = *catalog.Find("full");
  EXPECT_EQ(full.refresh().request().url(), full.exchange().request().url());
  EXPECT_EQ(full.refresh().request().client_auth(), Request::CLIENT_AUTH_SECRET_BASIC);
  EXPECT_EQ(full.refresh().errors().rules_size(), 1);
  EXPECT_THAT(full.refresh().answer().subject(), ElementsAre("/user/id"));
  // Not what only the exchange sends.
  EXPECT_EQ(full.refresh().request().params_size(), 0);
  EXPECT_EQ(full.revocation().request().client_auth(), Request::CLIENT_AUTH_SECRET_BASIC);
  EXPECT_EQ(full.revocation().request().token_auth(), Request::TOKEN_AUTH_ABSENT);
  // A variant's exchange is what its other steps take from.
  const Network& desktop = *catalog.FindVariant("full", "desktop");
  EXPECT_EQ(desktop.refresh().request().url(), "https://api.full.example/token");
  EXPECT_EQ(desktop.refresh().request().client_auth(), Request::CLIENT_AUTH_NONE);
}

struct Fault {
  const char* from;
  const char* to;
  const char* field;
  const char* message;
};

TEST(CompletionRulesTest, EveryFaultIsNamed) {
  const std::vector<Fault> faults = {
      {"CLIENT_AUTH_SECRET_BASIC", "CLIENT_AUTH_UNSPECIFIED", "exchange.request.client_auth",
       "must be set"},
      {"CLIENT_AUTH_SECRET_BASIC", "77", "exchange.request.client_auth", "schema's values"},
      {"value: \"all\"", "value: \"{access_token}\"", "exchange.request.params audience",
       "has {access_token}, which there is not in this step"},
      {"value: \"all\"", "value: \"{setting.nothing}\"", "exchange.request.params audience",
       "has {setting.nothing}"},
      {"value: \"all\"", "value: \"{\"", "exchange.request.params audience", "without \"}\""},
      {"value: \"all\"", "value: \"\"", "exchange.request.params value", "is 0 bytes long"},
      {"name: \"audience\"", "name: \"a b\"", "exchange.request.params", "is not a valid name"},
      {"https://api.full.example/me", "https://{subject}.example/me", "profile.request.url",
       "must have no names in its host"},
      {"https://api.full.example/me", "https://api.full.example/{code}", "profile.request.url",
       "has {code}"},
      {"subject: \"/user/id\"", "subject: \"user.id\"", "exchange.answer.subject", "JSON pointer"},
      {"answer { subject: \"/user/id\" }", "", "profile.id", "Required"},
      {"codes: \"wrong_code\"", "", "exchange.errors.rules", "must have a condition"},
      {"codes: \"wrong_code\"", "text: \"(\"", "exchange.errors.rules text", "RE2"},
      {"meaning: MEANING_GRANT_REJECTED", "", "exchange.errors.rules", "must have a meaning"},
      {"rotation: ROTATION_ALWAYS", "", "refresh.rotation", "must be set"},
      {"when: WHEN_CONNECTING", "", "accounts.when", "must be set"},
      {"what: \"pages\"", "", "accounts.what", "is 0 bytes long"},
      {"id: \"/id\"", "", "accounts.id", "Required"},
      {"list: \"/data\"", "list: \"{/data}x\"", "accounts.list", "must be a pointer"},
      {"list: \"/data\"", "list: \"token:/data\"", "accounts.list", "into the answer"},
      {"list: \"/data\"", "list: \"/data|html\"", "accounts.list", "without a filter"},
      {"list: \"/data\"", "list: \"/data\" only { where: \"{/a}x\" }", "accounts.only.where",
       "must be a pointer"},
      {"list: \"/data\"",
       "parents { request { url: \"https://api.full.example/p\" } value: \"/u|last_segment\" "
       "only { where: \"token:/a\" } }",
       "accounts.parents.value", "without a filter"},
      {"list: \"/data\"",
       "parents { request { url: \"https://api.full.example/p\" } value: \"/u\" "
       "only { where: \"token:/a\" } }",
       "accounts.parents.only.where", "into the answer"},
      {"answer { subject: \"/user/id\" }",
       "answer { subject: \"/user/id\" kept { name: \"A-1\" from: \"/a\" } }",
       "exchange.answer.kept", "\"A-1\" is not a valid name"},
      {"cursor_param: \"after\"", "", "accounts.paging", "together"},
      {"cursor_param: \"after\"", "cursor_param: \"after\" offset_param: \"start\"",
       "accounts.paging", "one way at most"},
      {"ends: ENDS_GRANT", "", "revocation.ends", "must be set"},
      {"open_id { issuer: \"https://full.example\" }", "open_id {}", "open_id.issuer",
       "is 0 bytes long"},
      {"issuer: \"https://full.example\"", "issuer: \"https://{tenant}.example\"", "open_id.issuer",
       "has {tenant}, which there is not in an issuer"},
      {"open_id {", "callback { issuer: \"https://{setting.domain}\" } open_id {",
       "callback.issuer", "has {setting.domain}"},
      {"open_id { issuer: \"https://full.example\" }",
       "signed_secret { audience: \"a\" issuer_param: \"team\" key_id_param: \"key\" }",
       "signed_secret", "must be one of the configuration_params"},
      {"request { url: \"https://api.full.example/me\" }",
       "source: SOURCE_ID_TOKEN request { url: \"https://api.full.example/me\" }",
       "profile.request", "must be left out"},
  };
  for (const Fault& fault : faults) {
    EXPECT_THAT(NetworkCatalog::Parse(FullEntryWith(fault.from, fault.to)).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(fault.field), HasSubstr(fault.message))))
        << fault.from << " → " << fault.to;
  }
}

TEST(CompletionRulesTest, StepsNeedAnExchange) {
  const char entry[] = R"pb(networks {
                              id: "n"
                              display_name: "N"
                              status: STATUS_LIVE
                              authorization_endpoint: "https://n.example/a"
                              pkce { mode: MODE_NONE }
                              refresh { rotation: ROTATION_NEVER }
                            })pb";
  EXPECT_THAT(NetworkCatalog::Parse(entry).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("exchange: Required")));
}

}  // namespace
}  // namespace authurl::testing
