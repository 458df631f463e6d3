#include "server/serving/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {
namespace {

using std::filesystem::perms;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ServerCredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    paths_.tls_cert_file = dir_.Write("cert.pem", server_.certificate);
    paths_.tls_key_file = dir_.Write("key.pem", server_.key);
    paths_.tls_client_ca_file = dir_.Write("ca.pem", authority_.certificate());
  }

  const TempDir dir_;
  const CertificateAuthority authority_{"test CA"};
  const Certificate server_ = authority_.IssueServer();
  TlsPaths paths_;
};

TEST_F(ServerCredentialsTest, GoodFilesAreTaken) {
  EXPECT_OK(MakeServerCredentials(TlsPaths()));
  EXPECT_OK(MakeServerCredentials(paths_));
  paths_.tls_client_ca_file.clear();
  EXPECT_OK(MakeServerCredentials(paths_));
}

TEST_F(ServerCredentialsTest, MissingFileIsNamed) {
  for (const auto file :
       {&TlsPaths::tls_cert_file, &TlsPaths::tls_key_file, &TlsPaths::tls_client_ca_file}) {
    TlsPaths paths = paths_;
    paths.*file = dir_.File("absent.pem");
    EXPECT_THAT(MakeServerCredentials(paths),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("absent.pem")));
  }
}

TEST_F(ServerCredentialsTest, FileThatIsNoPemIsNamedWithItsFlag) {
  for (const auto& [file, flag] :
       {std::pair{&TlsPaths::tls_cert_file, "--tls_cert_file"},
        std::pair{&TlsPaths::tls_key_file, "--tls_key_file"},
        std::pair{&TlsPaths::tls_client_ca_file, "--tls_client_ca_file"}}) {
    for (const char* content : {"", "hush", "-----BEGIN CERTIFICATE-----\nAAAA\n"}) {
      TlsPaths paths = paths_;
      paths.*file = dir_.Write("bad.pem", content);
      EXPECT_THAT(MakeServerCredentials(paths),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           AllOf(HasSubstr(flag), HasSubstr("bad.pem"))));
    }
  }
}

TEST_F(ServerCredentialsTest, KeyMustBelongToTheCertificate) {
  paths_.tls_key_file = dir_.Write("other.pem", authority_.IssueServer().key);
  EXPECT_THAT(
      MakeServerCredentials(paths_),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("does not hold a private key in PEM that belongs to the certificate")));
}

TEST_F(ServerCredentialsTest, KeyThatOthersCanReadIsRefused) {
  paths_.tls_key_file = dir_.Write("key.pem", server_.key,
                                   perms::owner_read | perms::owner_write | perms::group_read);
  EXPECT_THAT(MakeServerCredentials(paths_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("the private key"), HasSubstr("chmod 600"))));
}

}  // namespace
}  // namespace authurl::testing
