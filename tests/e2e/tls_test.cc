// TLS and mTLS handshakes of the real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::HasSubstr;
using ::testing::Not;

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

// The server's files are replaced while it runs.
class TlsReloadTest : public TlsTest {
 protected:
  // As a careful program does it.
  void Replace(const std::string& name, const std::string& content) const {
    std::filesystem::rename(folder_.dir().Write(name + ".new", content), folder_.dir().File(name));
  }
  // Whether the server has read new files since it was asked last.
  bool Reloads() {
    ++reloads_;
    return Eventually([&] {
      const std::vector<std::string> parts =
          absl::StrSplit(process_->Log(), "\"level\":\"info\",\"event\":\"tls_files_reloaded\"");
      return parts.size() > reloads_;
    });
  }
  bool Logs(const std::string& text) const {
    return Eventually([&] { return absl::StrContains(process_->Log(), text); });
  }
  // A channel that is connected and can't connect again.
  void ExpectToGoOn(const std::shared_ptr<grpc::Channel>& channel) const {
    EXPECT_EQ(channel->GetState(false), GRPC_CHANNEL_READY);
    EXPECT_OK(CallOver(channel));
  }

  const CertificateAuthority new_authority_{"new server CA"};
  const Certificate new_server_ = new_authority_.IssueServer();
  size_t reloads_ = 0;
};

TEST_F(TlsReloadTest, NewConnectionsGetTheNewCertificateAndOldOnesGoOn) {
  ASSERT_NO_FATAL_FAILURE(Start(ServerTls()));
  const auto old = TlsChannel(server_authority_);
  EXPECT_OK(CallOver(old));
  Replace("cert.pem", new_server_.certificate);
  Replace("key.pem", new_server_.key);
  EXPECT_TRUE(Reloads());
  EXPECT_OK(CallOver(TlsChannel(new_authority_)));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_)), StatusIs(absl::StatusCode::kUnavailable, _));
  ExpectToGoOn(old);

  // Once more, and written in place.
  folder_.dir().Write("key.pem", server_.key);
  folder_.dir().Write("cert.pem", server_.certificate);
  EXPECT_TRUE(Reloads());
  EXPECT_OK(CallOver(TlsChannel(server_authority_)));
  EXPECT_THAT(CallOver(TlsChannel(new_authority_)), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsReloadTest, FilesThatDoNotBelongTogetherAreNotServed) {
  ASSERT_NO_FATAL_FAILURE(Start(ServerTls()));
  Replace("key.pem", new_server_.key);
  EXPECT_TRUE(Logs("\"level\":\"warning\",\"event\":\"tls_files_unusable\""));
  EXPECT_OK(CallOver(TlsChannel(server_authority_)));
  Replace("cert.pem", new_server_.certificate.substr(0, 100));
  EXPECT_TRUE(Logs("complete certificate"));
  EXPECT_OK(CallOver(TlsChannel(server_authority_)));
  Replace("cert.pem", new_server_.certificate);
  EXPECT_TRUE(Reloads());
  EXPECT_OK(CallOver(TlsChannel(new_authority_)));
  EXPECT_THAT(process_->Log(), Not(HasSubstr("PRIVATE KEY")));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsReloadTest, SwappedFolderOfKubernetesIsServed) {
  const auto make = [&](const std::string& name, const Certificate& certificate) {
    std::filesystem::create_directory(folder_.dir().File(name));
    folder_.dir().Write(name + "/tls.crt", certificate.certificate);
    folder_.dir().Write(name + "/tls.key", certificate.key);
  };
  const auto link = [&](const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, folder_.dir().File(name));
  };
  make("..2026_1", server_);
  link("..2026_1", "..data");
  link("..data/tls.crt", "tls.crt");
  link("..data/tls.key", "tls.key");
  ASSERT_NO_FATAL_FAILURE(Start({absl::StrCat("--tls_cert_file=", folder_.dir().File("tls.crt")),
                                 absl::StrCat("--tls_key_file=", folder_.dir().File("tls.key"))}));
  EXPECT_OK(CallOver(TlsChannel(server_authority_)));
  make("..2026_2", new_server_);
  link("..2026_2", "..data_tmp");
  std::filesystem::rename(folder_.dir().File("..data_tmp"), folder_.dir().File("..data"));
  EXPECT_TRUE(Reloads());
  EXPECT_OK(CallOver(TlsChannel(new_authority_)));
  EXPECT_EQ(*process_->Stop(), 0);
}

TEST_F(TlsReloadTest, ClientsOfTheNewAuthorityAreServedAndNoLongerThoseOfTheOld) {
  ASSERT_NO_FATAL_FAILURE(Start(MutualTls()));
  const auto old = TlsChannel(server_authority_, &client_);
  EXPECT_OK(CallOver(old));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_, &other_client_)),
              StatusIs(absl::StatusCode::kUnavailable, _));
  Replace("ca.pem", other_authority_.certificate());
  EXPECT_TRUE(Reloads());
  EXPECT_OK(CallOver(TlsChannel(server_authority_, &other_client_)));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_, &client_)),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(CallOver(TlsChannel(server_authority_)), StatusIs(absl::StatusCode::kUnavailable, _));
  ExpectToGoOn(old);
  // Both, as while clients change over.
  Replace("ca.pem", absl::StrCat(other_authority_.certificate(), client_authority_.certificate()));
  EXPECT_TRUE(Reloads());
  EXPECT_OK(CallOver(TlsChannel(server_authority_, &client_)));
  EXPECT_OK(CallOver(TlsChannel(server_authority_, &other_client_)));
  EXPECT_EQ(*process_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
