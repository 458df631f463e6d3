// bad_input.h: tables of requests that must be refused, each with the field and the text that say
// why, and a check that none of them changed anything.
#pragma once

#include <string>
#include <vector>

#include "tests/server/api/service_fixture.h"

namespace authurl::testing {

struct BadRequest {
  std::string rpc;
  std::string request;
  std::string field;
  std::string text;
};

inline void PrintTo(const BadRequest& bad, std::ostream* out) {
  *out << bad.rpc << " {" << bad.request.substr(0, 300) << "}";
}

inline std::string Times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) absl::StrAppend(&all, text, " ");
  return all;
}

class BadInputTest : public ServiceTest {
 protected:
  BadInputTest()
      : ServiceTest([](Config& config) { config.max_request_bytes = 16 * 1024 * 1024; }) {}

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ServiceTest::SetUp());
    ASSERT_OK(Configure("instagram", "allowed_redirect_uris: 'https://app.example.com/cb'"));
    ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork tiktok, Configure("tiktok"));
    tiktok_ = absl::StrCat("id: '", tiktok.id(), "' ");
    ASSERT_OK_AND_ASSIGN(const v1::SocialNetwork facebook, Configure("facebook"));
    facebook_ = absl::StrCat("id: '", facebook.id(), "' ");
  }

  // All that the store holds and shows.
  std::string Everything() const {
    std::string everything;
    for (const auto& [rpc, metadata] :
         {std::pair{"ListOrganizations", AsAdmin()}, std::pair{"ListApiKeys", AsAdmin()},
          std::pair{"ListSocialNetworks", AsOrg()}}) {
      const RawReply reply = server_->Call(rpc, "page_size: 1000", metadata);
      EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
      absl::StrAppend(&everything, reply.response, "|");
    }
    return everything;
  }

  void ExpectAllRefused(const std::vector<BadRequest>& table) const {
    const std::string before = Everything();
    for (const BadRequest& bad : table) {
      const bool admin = FindRpc(bad.rpc).service()->name() == "OrganizationService";
      const RawReply reply = server_->Call(bad.rpc, bad.request, admin ? AsAdmin() : AsOrg());
      const absl::Status status = ToAbslStatus(reply.status);
      EXPECT_THAT(status, HasReason("INVALID_PAYLOAD")) << ::testing::PrintToString(bad);
      EXPECT_THAT(status,
                  StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr(bad.field)))
          << ::testing::PrintToString(bad);
      EXPECT_THAT(status, HasViolation(bad.field, ::testing::HasSubstr(bad.text)))
          << ::testing::PrintToString(bad);
    }
    EXPECT_EQ(Everything(), before);
  }

  std::string tiktok_;
  std::string facebook_;
};

}  // namespace authurl::testing
