#include "server/serving/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/observe/log.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stderr_pipe.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TlsFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    paths_.tls_cert_file = dir_.Write("cert.pem", old_.certificate);
    paths_.tls_key_file = dir_.Write("key.pem", old_.key);
    paths_.tls_client_ca_file = dir_.Write("ca.pem", authority_.certificate());
  }

  void StartWatch() {
    ASSERT_OK_AND_ASSIGN(auto files, ReadTlsFiles(paths_));
    watch_ = std::make_unique<TlsFilesWatch>(paths_, std::move(files), absl::Milliseconds(2));
  }
  bool BecomesCurrent(const Certificate& certificate) const {
    return Eventually([&] {
      const auto files = watch_->current();
      return files->certificate == certificate.certificate && files->key == certificate.key;
    });
  }
  // As a careful program replaces a file.
  void Replace(const std::string& name, const std::string& content) const {
    std::filesystem::rename(dir_.Write(name + ".new", content), dir_.File(name));
  }
  // Whether the log has the text by then.
  bool Logs(const std::string& text) {
    return Eventually([&] { return absl::StrContains(log_.Text(), text); });
  }
  int CountInLog(absl::string_view text) {
    int count = 0;
    const std::string& log = log_.Text();
    for (size_t at = log.find(text.data()); at != std::string::npos;
         at = log.find(text.data(), at + 1)) {
      ++count;
    }
    return count;
  }

  const TempDir dir_;
  const CertificateAuthority authority_{"test CA"};
  const CertificateAuthority new_authority_{"new CA"};
  const Certificate old_ = authority_.IssueServer();
  const Certificate new_ = authority_.IssueServer();
  TlsPaths paths_;
  StderrPipe log_;
  std::unique_ptr<TlsFilesWatch> watch_;
};

TEST_F(TlsFilesTest, ChainMayHaveManyCertificatesAndEndsWhole) {
  paths_.tls_cert_file =
      dir_.Write("chain.pem", absl::StrCat(old_.certificate, authority_.certificate()));
  ASSERT_OK_AND_ASSIGN(const auto files, ReadTlsFiles(paths_));
  EXPECT_EQ(files->certificate, old_.certificate + authority_.certificate());

  const std::string& more = authority_.certificate();
  for (const size_t cut : {more.size() / 2, more.size() - 10, size_t{30}}) {
    dir_.Write("chain.pem", absl::StrCat(old_.certificate, more.substr(0, cut)));
    EXPECT_THAT(ReadTlsFiles(paths_),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("--tls_cert_file"), HasSubstr("complete certificate"))))
        << cut;
    dir_.Write("ca.pem", absl::StrCat(more, more.substr(0, cut)));
    dir_.Write("chain.pem", old_.certificate);
    EXPECT_THAT(ReadTlsFiles(paths_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls_client_ca_file")))
        << cut;
    dir_.Write("ca.pem", more);
  }
}

TEST_F(TlsFilesTest, ReplacedFilesAreTaken) {
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  Replace("cert.pem", new_.certificate);
  Replace("key.pem", new_.key);
  EXPECT_TRUE(BecomesCurrent(new_));
}

TEST_F(TlsFilesTest, FilesThatAreWrittenInPlaceAreTaken) {
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  for (const Certificate& each : {new_, old_, new_}) {
    dir_.Write("key.pem", each.key);
    dir_.Write("cert.pem", each.certificate);
    EXPECT_TRUE(BecomesCurrent(each));
  }
}

TEST_F(TlsFilesTest, ClientAuthoritiesAreTakenToo) {
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  Replace("ca.pem", new_authority_.certificate());
  EXPECT_TRUE(
      Eventually([&] { return watch_->current()->client_ca == new_authority_.certificate(); }));
}

// As Kubernetes does it: the names are links into a folder, which is a link itself.
TEST_F(TlsFilesTest, SwappedFolderIsTaken) {
  const auto make = [&](const std::string& name, const Certificate& certificate) {
    std::filesystem::create_directory(dir_.File(name));
    dir_.Write(name + "/tls.crt", certificate.certificate);
    dir_.Write(name + "/tls.key", certificate.key);
  };
  make("..2026_1", old_);
  make("..2026_2", new_);
  std::filesystem::create_symlink("..2026_1", dir_.File("..data"));
  std::filesystem::create_symlink("..data/tls.crt", dir_.File("tls.crt"));
  std::filesystem::create_symlink("..data/tls.key", dir_.File("tls.key"));
  paths_.tls_cert_file = dir_.File("tls.crt");
  paths_.tls_key_file = dir_.File("tls.key");
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  std::filesystem::create_symlink("..2026_2", dir_.File("..data_tmp"));
  std::filesystem::rename(dir_.File("..data_tmp"), dir_.File("..data"));
  std::filesystem::remove_all(dir_.File("..2026_1"));
  EXPECT_TRUE(BecomesCurrent(new_));
}

TEST_F(TlsFilesTest, UnusableFilesChangeNothingAndAreToldOnce) {
  StartLog("info");
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  Replace("key.pem", new_.key);
  EXPECT_TRUE(Logs("belongs to the certificate"));
  EXPECT_EQ(watch_->current()->key, old_.key);
  Replace("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
  EXPECT_TRUE(Logs("complete certificate"));
  std::filesystem::remove(dir_.File("cert.pem"));
  EXPECT_TRUE(Logs("No such file"));
  EXPECT_EQ(watch_->current()->certificate, old_.certificate);
  EXPECT_EQ(CountInLog("tls_files_reloaded"), 0);

  Replace("cert.pem", new_.certificate);
  EXPECT_TRUE(BecomesCurrent(new_));
  EXPECT_TRUE(Logs("tls_files_reloaded"));
  EXPECT_EQ(CountInLog("tls_files_unusable"), 3);
  watch_.reset();
  EXPECT_TRUE(StopLog());
  EXPECT_THAT(log_.Text(),
              AllOf(HasSubstr("\"level\":\"warning\",\"event\":\"tls_files_unusable\""),
                    ::testing::Not(HasSubstr("PRIVATE"))));
}

TEST_F(TlsFilesTest, ThatTheOldFilesAreBackIsTold) {
  StartLog("info");
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  Replace("key.pem", new_.key);
  EXPECT_TRUE(Logs("tls_files_unusable"));
  Replace("key.pem", old_.key);
  EXPECT_TRUE(Logs("tls_files_usable"));
  EXPECT_EQ(CountInLog("tls_files_reloaded"), 0);
  watch_.reset();
  EXPECT_TRUE(StopLog());
}

TEST_F(TlsFilesTest, KeyThatOthersMayReadIsNotTakenUntilItsRightsAreMended) {
  StartLog("info");
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  Replace("cert.pem", new_.certificate);
  const std::string key = dir_.Write("key.new", new_.key);
  std::filesystem::permissions(key, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  std::filesystem::rename(key, dir_.File("key.pem"));
  EXPECT_TRUE(Logs("chmod 600"));
  EXPECT_EQ(watch_->current()->key, old_.key);
  std::filesystem::permissions(dir_.File("key.pem"), std::filesystem::perms::others_read,
                               std::filesystem::perm_options::remove);
  EXPECT_TRUE(BecomesCurrent(new_));
  watch_.reset();
  EXPECT_TRUE(StopLog());
}

TEST_F(TlsFilesTest, FilesThatOnlyLookNewAreNotTold) {
  StartLog("info");
  ASSERT_NO_FATAL_FAILURE(StartWatch());
  const auto before = watch_->current();
  Replace("key.pem", old_.key);
  Replace("ca.pem", authority_.certificate());
  Replace("cert.pem", new_.certificate);
  EXPECT_TRUE(Logs("tls_files_unusable"));
  Replace("cert.pem", old_.certificate);
  Replace("ca.pem", new_authority_.certificate());
  EXPECT_TRUE(Logs("tls_files_reloaded"));
  EXPECT_EQ(CountInLog("tls_files_reloaded"), 1);
  EXPECT_EQ(before->certificate, old_.certificate);
  watch_.reset();
  EXPECT_TRUE(StopLog());
}

}  // namespace
}  // namespace authurl::testing
