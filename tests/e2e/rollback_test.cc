// A database that somebody puts back is noticed, and the operator is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOlder[] = "\"event\":\"database_is_an_older_copy\"";

class RollbackTest : public ::testing::Test {
 protected:
  void Start(const ServerProcess::Flags& flags = {}) {
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, flags));
  }
  TestClient Admin() const { return TestClient(server_->address(), folder_.admin_key()); }

  ServerFolder folder_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(RollbackTest, AKeyThatARestoreBringsBackIsToldOfAtTheStart) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_OK_AND_ASSIGN(const DemoOrganization demo, CreateDemoOrganization(Admin(), "demo"));
  EXPECT_EQ(*server_->Stop(), 0);
  const std::string kept = folder_.database() + ".kept";
  std::filesystem::copy_file(folder_.database(), kept);

  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(server_->Log(), Not(HasSubstr(kOlder)));
  ASSERT_OK(Admin().RevokeApiKey(demo.org_key.substr(4, 12)));
  EXPECT_EQ(*server_->Stop(), 0);

  std::filesystem::copy_file(kept, folder_.database(),
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(server_->Log(), HasSubstr(kOlder));
  EXPECT_OK(TestClient(server_->address(), demo.org_key).GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_EQ(*server_->Stop(), 0);

  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_THAT(server_->Log(), Not(HasSubstr(kOlder)));
}

TEST_F(RollbackTest, WhereItCannotBeNoticedTheLogSaysSoAndTheServerServes) {
  ASSERT_NO_FATAL_FAILURE(Start({"--rollback_file=" + folder_.dir().File("none/file")}));
  EXPECT_THAT(server_->Log(), HasSubstr("\"event\":\"rollback_is_not_noticed\""));
  EXPECT_OK(CreateDemoOrganization(Admin(), "demo"));
}

}  // namespace
}  // namespace authurl::testing
