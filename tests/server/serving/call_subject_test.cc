#include "server/serving/call_subject.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "authurl/v1/organization_service.pb.h"
#include "authurl/v1/social_network_service.pb.h"
#include "authurl/v1/webhook_service.pb.h"

namespace authurl::testing {
namespace {

TEST(CallSubjectTest, IsWhatTheFieldsName) {
  v1::GetAuthUrlRequest mint;
  mint.set_network("instagram");
  mint.set_tenant_id("customer_42");
  EXPECT_EQ(SubjectOf(mint).network, "instagram");
  EXPECT_EQ(SubjectOf(mint).target, "");

  v1::UpdateSocialNetworkRequest update;
  update.set_id("sn_0123456789abcdefghjk");
  update.set_client_secret("s3cr3t");
  CallSubject subject = SubjectOf(update);
  EXPECT_EQ(subject.target, "sn_0123456789abcdefghjk");
  v1::UpdateSocialNetworkResponse updated;
  updated.mutable_social_network()->set_id("sn_0123456789abcdefghjk");
  updated.mutable_social_network()->set_network("instagram");
  AddResponse(updated, subject);
  EXPECT_EQ(subject.network, "instagram");

  v1::CreateApiKeyRequest create;
  create.set_org_id("acme");
  subject = SubjectOf(create);
  v1::CreateApiKeyResponse created;
  created.mutable_api_key()->set_key_id("0123456789ab");
  created.mutable_api_key()->set_org_id("acme");
  created.set_key("auk_0123456789ab_secret");
  AddResponse(created, subject);
  EXPECT_EQ(subject.target, "0123456789ab");
  EXPECT_EQ(subject.target_org_id, "acme");

  subject = SubjectOf(v1::CreateWebhookRequest());
  v1::CreateWebhookResponse hooked;
  hooked.mutable_webhook()->set_id("wh_0123456789abcdefghjk");
  hooked.set_secret("whsec_secret");
  AddResponse(hooked, subject);
  EXPECT_EQ(subject.target, "wh_0123456789abcdefghjk");
}

TEST(CallSubjectTest, TellsWhichFieldsAnUpdateChangesAndNotWhatIsInThem) {
  v1::UpdateSocialNetworkRequest update;
  EXPECT_EQ(SubjectOf(update).changed_fields, "");
  update.set_id("sn_0123456789abcdefghjk");
  update.set_client_secret("s3cr3t");
  update.add_scopes("read");
  // Named and left out: emptied.
  update.mutable_update_mask()->add_paths("default_redirect_uri");
  update.mutable_update_mask()->add_paths("client_secret");
  update.mutable_update_mask()->add_paths("auk_0123456789ab");
  EXPECT_EQ(SubjectOf(update).changed_fields, "client_secret,scopes,default_redirect_uri");

  EXPECT_EQ(SubjectOf(v1::GetAuthUrlRequest()).changed_fields, "");
}

TEST(CallSubjectTest, CountsTheResultsOfABatch) {
  v1::BatchGetAuthUrlsResponse response;
  response.add_results()->mutable_auth_url();
  response.add_results()->mutable_error();
  response.add_results()->mutable_error();
  CallSubject subject = SubjectOf(v1::BatchGetAuthUrlsRequest());
  AddResponse(response, subject);
  EXPECT_EQ(subject.results, 3);
  EXPECT_EQ(subject.failed_results, 2);
}

// Whatever stands in a field: an API key, a secret, a line of its own for the log.
TEST(CallSubjectTest, TakesOverNothingThatIsNotAnId) {
  for (const std::string& odd :
       {std::string(), std::string(33, 'a'), std::string("auk_0123456789ab"),
        std::string("aut_0123456789ab"), std::string("aus_0123456789ab"), std::string("a\"b"),
        std::string("a\nb"), std::string("caf\xc3\xa9"), std::string("\xff")}) {
    v1::RevokeApiKeyRequest request;
    request.set_key_id(odd);
    request.set_org_id(odd.size() == 33 ? std::string(65, 'a') : odd);
    EXPECT_EQ(SubjectOf(request).target, "") << odd;
    EXPECT_EQ(SubjectOf(request).target_org_id, "") << odd;
  }
}

TEST(CallSubjectTest, WhatStandsInAFaultyFieldIsForgotten) {
  CallSubject subject = {
      .network = "facebok", .target = "sn_1", .target_org_id = "acme", .changed_fields = {}};
  ForgetFaulty({{"tenant_id", ""}, {"network", ""}}, subject);
  EXPECT_EQ(subject.network, "");
  EXPECT_EQ(subject.target, "sn_1");
  ForgetFaulty({{"org_id", ""}, {"key_id", ""}}, subject);
  EXPECT_EQ(subject.target, "");
  EXPECT_EQ(subject.target_org_id, "");
}

TEST(FaultyFieldsTest, AreNamesOnceAndFew) {
  EXPECT_EQ(FaultyFields({}), "");
  EXPECT_EQ(FaultyFields({{"redirect_uri", "http://secret"},
                          {"redirect_uri", "twice"},
                          {"scopes[3]", "s"},
                          {"extra_params.s3cr3t", "x"},
                          {"", "7 more faults are not shown"},
                          {"odd\",name", "x"}}),
            "redirect_uri,scopes[3],extra_params");
  std::vector<FieldViolation> many;
  for (int i = 0; i < 20; ++i) many.push_back({absl::StrCat("scopes[", i, "]"), ""});
  EXPECT_EQ(FaultyFields(many),
            "scopes[0],scopes[1],scopes[2],scopes[3],scopes[4],scopes[5],scopes[6],scopes[7]");
}

}  // namespace
}  // namespace authurl::testing
