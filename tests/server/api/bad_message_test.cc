// Requests that are odd as a whole: many faults at once, bytes that are no message, too much of it.
#include <string>

#include "tests/server/api/service_fixture.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class BadMessageTest : public ServiceTest {};

TEST_F(BadMessageTest, AllFaultsOfACreateAreReportedAtOnce) {
  const auto reply = Call<v1::CreateSocialNetworkResponse>(
      "CreateSocialNetwork",
      "network: 'tiktok' instance: 'a' client_key: '' client_secret: ' ' "
      "default_redirect_uri: 'http://a.io/' allowed_redirect_uris: 'https://a.io/?q' "
      "scopes: 'a,b' extra_params { key: 'state' value: 'v' } variables { key: 'v' value: 'v' }");
  for (const char* field :
       {"instance", "client_key", "client_secret", "default_redirect_uri",
        "allowed_redirect_uris[0]", "scopes[0]", "extra_params.state", "variables"}) {
    EXPECT_THAT(reply, HasViolation(field, Not(""))) << field;
  }
}

TEST_F(BadMessageTest, AllFaultsOfAnUpdateAreReportedAtOnce) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork tiktok, Configure("tiktok"));
  const auto reply = Call<v1::UpdateSocialNetworkResponse>(
      "UpdateSocialNetwork",
      absl::StrCat("id: '", tiktok.id(),
                   "' update_mask { paths: ['nonsense', 'client_key', 'client_secret', 'scopes'] } "
                   "scopes: 'a,b'"));
  for (const char* field : {"update_mask", "client_key", "client_secret", "scopes[0]"}) {
    EXPECT_THAT(reply, HasViolation(field, Not(""))) << field;
  }
}

TEST_F(BadMessageTest, AllFaultsOfAMintAreReportedAtOnce) {
  const auto reply = GetAuthUrl(
      "network: 'nonsense' redirect_uri: 'x' tenant_id: '' scopes: '' login_hint: '' "
      "session_binding: ''");
  for (const char* field :
       {"network", "redirect_uri", "tenant_id", "scopes[0]", "login_hint", "session_binding"}) {
    EXPECT_THAT(reply, HasViolation(field, Not(""))) << field;
  }
}

TEST_F(BadMessageTest, AllFaultsOfABatchThatConcernEveryNetworkAreReportedAtOnce) {
  const auto batch = [this](const std::string& request) {
    return Call<v1::BatchGetAuthUrlsResponse>("BatchGetAuthUrls", request);
  };
  const std::string faults =
      "redirect_uri: 'x' tenant_id: '' scopes: '' login_hint: '' session_binding: '' instance: '' ";
  const auto named = batch(faults + "networks: ['x', 'x']");
  const auto every = batch(faults);
  for (const char* field :
       {"redirect_uri", "tenant_id", "scopes[0]", "login_hint", "session_binding", "instance"}) {
    EXPECT_THAT(named, HasViolation(field, Not(""))) << field;
    EXPECT_THAT(every, HasViolation(field, Not(""))) << field;
  }
  EXPECT_THAT(named, HasViolation("networks[1]", "repeats \"x\""));
}

// A client that is not told otherwise takes 8 KiB of metadata, and errors travel as metadata.
TEST_F(BadMessageTest, HoweverManyFaultsAnUsualClientGetsThem) {
  std::string scopes = "network: 'facebook' ";
  std::string uris = "network: 'reddit' client_key: 'k' client_secret: 's' ";
  std::string variables = uris;
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork facebook, Configure("facebook"));
  std::string mask = absl::StrCat("id: '", facebook.id(), "' update_mask { ");
  for (int i = 0; i < 64; ++i) {
    absl::StrAppend(&scopes, "scopes: 'a b' ");
    absl::StrAppend(&uris, "allowed_redirect_uris: 'https://", std::string(300, '.'), "/%20' ");
    absl::StrAppend(&variables, "variables { key: '", std::string(100, '%'), i, "' value: '' } ");
    absl::StrAppend(&mask, "paths: '", std::string(100, '\x01'), "' ");
  }
  const std::string authority = absl::StrCat(
      "network: 'reddit' client_key: 'k' client_secret: 's' default_redirect_uri: "
      "'https://a.io:",
      std::string(1900, 'a'), "'");
  mask.push_back('}');
  const std::pair<const char*, std::string> requests[] = {
      {"GetAuthUrl", scopes},
      {"CreateSocialNetwork", uris},
      {"CreateSocialNetwork", variables},
      {"CreateSocialNetwork", authority},
      {"UpdateSocialNetwork", mask},
  };
  for (const auto& [rpc, request] : requests) {
    const RawReply reply = server_->Call(rpc, request, AsOrg());
    const absl::Status status = ToAbslStatus(reply.status);
    EXPECT_THAT(status, HasReason("INVALID_PAYLOAD")) << rpc << reply.status.error_message();
    EXPECT_FALSE(ViolationsOf(status).empty());
    EXPECT_LT(reply.status.error_message().size() + reply.status.error_details().size() * 4 / 3,
              8000u);
  }
  const absl::Status many = GetAuthUrl(scopes).status();
  EXPECT_THAT(many, HasViolation("scopes[0]", HasSubstr("without space")));
  EXPECT_THAT(many, HasViolation("", HasSubstr("more faults are not shown")));
  EXPECT_THAT(std::string(many.message()), ::testing::MatchesRegex(".*; and [0-9]+ more"));
}

TEST_F(BadMessageTest, BytesThatAreNoMessageAreRefusedByEveryRpc) {
  for (const Rpc* rpc : EveryRpc(Admin())) {
    const bool admin = rpc->service()->name() == "OrganizationService";
    // A length that goes beyond the end, and no tag at all.
    for (const std::string bytes : {"\x0a\x7fshort", "\xff\xff\xff"}) {
      const RawReply reply =
          CallRaw(server_->channel(), PathOf(*rpc), bytes, admin ? AsAdmin() : AsReader());
      EXPECT_THAT(ToAbslStatus(reply.status), HasReason("INVALID_PAYLOAD")) << rpc->name();
    }
    const std::string text_field = [&] {
      for (int i = 0; i < rpc->input_type()->field_count(); ++i) {
        const auto* field = rpc->input_type()->field(i);
        if (field->type() == google::protobuf::FieldDescriptor::TYPE_STRING) {
          return std::string(1, static_cast<char>(field->number() << 3 | 2));
        }
      }
      return std::string();
    }();
    if (text_field.empty()) {
      // The texts of imports are further in: account_transfer_test.cc.
      EXPECT_THAT(rpc->name(),
                  ::testing::AnyOf("ListNetworks", "ListWebhooks", "ImportSocialAccounts"));
      continue;
    }
    const RawReply reply = CallRaw(server_->channel(), PathOf(*rpc), text_field + "\x02\xc3\x28",
                                   admin ? AsAdmin() : AsReader());
    EXPECT_THAT(ToAbslStatus(reply.status), HasViolation("", HasSubstr("UTF-8"))) << rpc->name();
  }
}

TEST_F(BadMessageTest, MessageOfAMebibyteIsRefusedUnread) {
  const RawReply reply = CallRaw(server_->channel(), PathOf(FindRpc("GetAuthUrl")),
                                 std::string(1 << 20, 'x'), AsOrg());
  EXPECT_EQ(reply.status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_OK(Org().ListSocialNetworks());
}

TEST_F(BadMessageTest, UnknownMethodsAreUnimplemented) {
  for (const char* path : {"/authurl.v1.AuthUrlService/Nonsense", "/nonsense/GetAuthUrl", "/"}) {
    EXPECT_EQ(CallRaw(server_->channel(), path, "", AsOrg()).status.error_code(),
              grpc::UNIMPLEMENTED)
        << path;
  }
}

TEST_F(BadMessageTest, SecondConfigurationOfANetworkIsRefusedAndTheFirstKept) {
  ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork first, Configure("instagram"));
  const auto second = Configure("instagram", "scopes: 'other'");
  EXPECT_THAT(second, HasReason("SOCIAL_NETWORK_EXISTS"));
  EXPECT_THAT(second,
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("give this one a name")));
  ASSERT_OK_AND_ASSIGN(const auto kept, Org().GetSocialNetwork(first.id()));
  EXPECT_EQ(kept.social_network().SerializeAsString(), first.SerializeAsString());
}

}  // namespace
}  // namespace authurl::testing
