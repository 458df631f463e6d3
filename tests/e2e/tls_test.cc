// TLS and mTLS handshakes of the real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::_;

class TlsTest : public ::testing::Test {
 protected:
  ServerProcess::Flags ServerTls() const {
    return {absl::StrCat("--tls_cert_file=", folder_.dir().Write("cert.pem", server_.certificate)),
            absl::StrCat("--tls_key_file=", folder_.dir().Write("key.pem", server_.key))};
  }
  ServerProcess::Flags MutualTls() const {
    ServerProcess::Flags flags = ServerTls();
    flags.push_back(absl::StrCat("--tls_client_ca_file=",
                                 folder_.dir().Write("ca.pem", client_authority_.certificate())));
    return flags;
  }

  void Start(const ServerProcess::Flags& flags) {
    ASSERT_OK_AND_ASSIGN(process_, ServerProcess::Start(folder_, flags));
  }
  absl::Status CallOver(std::shared_ptr<grpc::Channel> channel) const {
    return TestClient(std::move(channel), folder_.admin_key()).ListOrganizations().status();
  }
  std::shared_ptr<grpc::Channel> TlsChannel(const CertificateAuthority& authority,
                                            const Certificate* client = nullptr) const {
    return NewTlsChannel(process_->address(), authority.certificate(), client);
  }

  const ServerFolder folder_;
  const CertificateAuthority server_authority_{"server CA"};
  const CertificateAuthority client_authority_{"client CA"};
  const CertificateAuthority other_authority_{"other CA"};
  const Certificate server_ = server_authority_.IssueServer();
  const Certificate client_ = client_authority_.IssueClient();
  const Certificate other_client_ = other_authority_.IssueClient();
  std::unique_ptr<ServerProcess> process_;
};

TEST_F(TlsTest, ClientThatTrustsTheAuthorityIsServed) {
  ASSERT_NO_FATAL_FAILURE(Start(ServerTls()));
  EXPECT_OK(CallOver(TlsChannel(server_authority_)));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsTest, ClientThatTrustsAnotherAuthorityTurnsAway) {
  ASSERT_NO_FATAL_FAILURE(Start(ServerTls()));
  const auto good = TlsChannel(server_authority_);
  EXPECT_OK(CallOver(good));
  EXPECT_THAT(CallOver(TlsChannel(other_authority_)), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_OK(CallOver(good));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsTest, PlaintextClientIsNotServed) {
  ASSERT_NO_FATAL_FAILURE(Start(ServerTls()));
  const auto good = TlsChannel(server_authority_);
  EXPECT_OK(CallOver(good));
  EXPECT_THAT(CallOver(NewChannel(process_->address())),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_OK(CallOver(good));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsTest, TlsClientIsNotServedByAPlaintextServer) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_)), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_OK(CallOver(NewChannel(process_->address())));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsTest, ClientWithACertificateIsServedUnderMutualTls) {
  ASSERT_NO_FATAL_FAILURE(Start(MutualTls()));
  EXPECT_OK(CallOver(TlsChannel(server_authority_, &client_)));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsTest, StrangersAreNotServedUnderMutualTls) {
  ASSERT_NO_FATAL_FAILURE(Start(MutualTls()));
  const auto good = TlsChannel(server_authority_, &client_);
  EXPECT_OK(CallOver(good));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_)), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_, &other_client_)),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(CallOver(NewChannel(process_->address())),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_OK(CallOver(good));
  EXPECT_OK(CallOver(TlsChannel(server_authority_, &client_)));
  EXPECT_EQ(*process_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
