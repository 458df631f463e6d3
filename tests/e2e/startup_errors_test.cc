// A start that cannot work ends with one line on stderr and exit code 1 or 2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/api_key.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using std::filesystem::perms;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Matcher;
using ::testing::Not;

constexpr int kCannotRun = 1;
constexpr int kWrongFlags = 2;

MATCHER(IsOneLineOfTheServer, "is one line that begins with the program's name") {
  return arg.rfind("authurl-server: ", 0) == 0 && arg.find('\n') == arg.size() - 1;
}

MATCHER(ShowsNoInternals, "shows neither a trace nor a file name of the sources") {
  for (const char* sign : {"terminate called", "what():", "#0", "Backtrace", ".cc:", ".h:"}) {
    if (arg.find(sign) != std::string::npos) return false;
  }
  return true;
}

class StartupErrorsTest : public ::testing::Test {
 protected:
  void ExpectRefused(const ServerProcess::Flags& flags, int exit_code,
                     const Matcher<std::string>& message) {
    const FailedStart failed = ServerProcess::StartExpectingFailure(folder_, flags);
    EXPECT_EQ(failed.exit_code, exit_code);
    EXPECT_THAT(failed.output, AllOf(IsOneLineOfTheServer(), ShowsNoInternals(), message));
    EXPECT_THAT(failed.output, Not(HasSubstr(folder_.admin_key())));
    for (const std::string& secret : secrets_) EXPECT_THAT(failed.output, Not(HasSubstr(secret)));
  }

  // Makes the database, so that there is something to lose.
  void RunOnce() {
    ASSERT_OK_AND_ASSIGN(const auto server, ServerProcess::Start(folder_));
    ASSERT_EQ(*server->Stop(), 0);
  }

  void Execute(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(folder_.database().c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  }

  std::string File(absl::string_view flag, absl::string_view name, absl::string_view content,
                   perms mode = perms::owner_read | perms::owner_write) {
    return absl::StrCat("--", flag, "=", folder_.dir().Write(name, content, mode));
  }

  ServerFolder folder_;
  std::vector<std::string> secrets_;
};

TEST_F(StartupErrorsTest, KeyRingFileIsMissing) {
  ExpectRefused({absl::StrCat("--key_ring_file=", folder_.dir().File("absent"))}, kCannotRun,
                AllOf(HasSubstr("absent"), HasSubstr("No such file")));
}

TEST_F(StartupErrorsTest, FileOfAuthoritiesHoldsNone) {
  ExpectRefused({File("outbound_ca_file", "authorities.pem", "nothing")}, kCannotRun,
                AllOf(HasSubstr("--outbound_ca_file"), HasSubstr("authorities.pem")));
  EXPECT_FALSE(std::filesystem::exists(folder_.database())) << "nothing was changed";
}

TEST_F(StartupErrorsTest, KeyRingFileIsNotNamed) {
  ExpectRefused({"--key_ring_file="}, kWrongFlags, HasSubstr("--key_ring_file"));
}

TEST_F(StartupErrorsTest, KeyRingFileIsAFolder) {
  ExpectRefused({absl::StrCat("--key_ring_file=", folder_.dir().path())}, kCannotRun,
                HasSubstr("not a regular file"));
}

TEST_F(StartupErrorsTest, KeyRingFileCannotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything; see KeyRingFileIsAFolder";
  ExpectRefused({File("key_ring_file", "mute", NewKeyRingText(FillRandom), perms::none)},
                kCannotRun, HasSubstr("Permission denied"));
}

TEST_F(StartupErrorsTest, KeyRingFileIsReadableByOthers) {
  const std::string text = NewKeyRingText(FillRandom);
  for (const perms mode : {perms::others_read, perms::group_read, perms::others_write}) {
    ExpectRefused({File("key_ring_file", "open", text, mode | perms::owner_read)}, kCannotRun,
                  HasSubstr("chmod 600"));
    std::filesystem::remove(folder_.dir().File("open"));
  }
}

TEST_F(StartupErrorsTest, KeyRingFileHoldsAKeyOfTheWrongLength) {
  std::string key = Base64UrlEncode(AsChars(NewNonce(FillRandom)));
  secrets_.push_back(key);
  ExpectRefused({File("key_ring_file", "short", absl::StrCat("1 ", key, "\n"))}, kCannotRun,
                HasSubstr("line 1"));
}

TEST_F(StartupErrorsTest, KeyRingFileIsEmptyOrNoText) {
  ExpectRefused({File("key_ring_file", "empty", "")}, kCannotRun, HasSubstr("key"));
  std::string noise(32, '\0');
  FillRandom({reinterpret_cast<uint8_t*>(noise.data()), noise.size()});
  ExpectRefused({File("key_ring_file", "noise", noise)}, kCannotRun, HasSubstr("key"));
}

TEST_F(StartupErrorsTest, KeyRingBelongsToAnotherDatabase) {
  ASSERT_NO_FATAL_FAILURE(RunOnce());
  ExpectRefused({File("key_ring_file", "other", NewKeyRingText(FillRandom))}, kCannotRun,
                HasSubstr("key ring"));
}

TEST_F(StartupErrorsTest, AdminKeyFileIsMissingMalformedOrOpenToOthers) {
  ExpectRefused({absl::StrCat("--admin_key_file=", folder_.dir().File("absent"))}, kCannotRun,
                HasSubstr("absent"));
  std::string typo = folder_.admin_key();
  typo.back() = typo.back() == 'a' ? 'b' : 'a';
  secrets_.push_back(typo);
  ExpectRefused({File("admin_key_file", "typo", typo)}, kCannotRun, HasSubstr("typo"));
  ExpectRefused({File("admin_key_file", "open", NewApiKey(FillRandom),
                      perms::owner_read | perms::others_read)},
                kCannotRun, HasSubstr("chmod 600"));
}

TEST_F(StartupErrorsTest, AdminKeyWasRevokedAndThereIsNoOther) {
  {
    ASSERT_OK_AND_ASSIGN(const auto server, ServerProcess::Start(folder_));
    const TestClient admin(server->address(), folder_.admin_key());
    ASSERT_OK(admin.RevokeApiKey(ParseApiKey(folder_.admin_key())->key_id));
    ASSERT_EQ(*server->Stop(), 0);
  }
  ExpectRefused({}, kCannotRun,
                AllOf(HasSubstr("--admin_key_file"), HasSubstr("revoked"),
                      HasSubstr("authurl-keygen api-key")));
}

TEST_F(StartupErrorsTest, DatabaseWithoutAnyKeyNeedsAnAdminKey) {
  ExpectRefused({"--admin_key_file="}, kCannotRun, HasSubstr("--admin_key_file"));
}

TEST_F(StartupErrorsTest, DatabaseIsNotNamed) {
  ExpectRefused({"--database="}, kWrongFlags, HasSubstr("--database"));
}

TEST_F(StartupErrorsTest, DatabaseIsNewerThanTheServer) {
  ASSERT_NO_FATAL_FAILURE(RunOnce());
  Execute("PRAGMA user_version = 999");
  const std::string before = ReadFile(folder_.database());
  ExpectRefused({}, kCannotRun, HasSubstr("newer"));
  EXPECT_EQ(ReadFile(folder_.database()), before);
}

TEST_F(StartupErrorsTest, DatabaseIsNoSqliteFile) {
  const std::string content(4096, 'x');
  folder_.dir().Write("authurl.sqlite3", content);
  ExpectRefused({}, kCannotRun, HasSubstr("not an SQLite database"));
  EXPECT_EQ(ReadFile(folder_.database()), content);
}

TEST_F(StartupErrorsTest, DatabaseIsAnotherProgramsSqliteFile) {
  Execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  const std::string before = ReadFile(folder_.database());
  ExpectRefused({}, kCannotRun, HasSubstr("not one of authurl"));
  EXPECT_EQ(ReadFile(folder_.database()), before);
}

TEST_F(StartupErrorsTest, DatabaseFolderDoesNotExist) {
  ExpectRefused({absl::StrCat("--database=", folder_.dir().path(), "/absent/authurl.sqlite3")},
                kCannotRun, HasSubstr("folder does not exist"));
}

TEST_F(StartupErrorsTest, DatabaseFolderIsReadOnly) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere; see DatabaseFolderTakesNoFiles";
  const std::string folder = folder_.dir().File("read_only");
  std::filesystem::create_directory(folder);
  std::filesystem::permissions(folder, perms::owner_read | perms::owner_exec);
  ExpectRefused({absl::StrCat("--database=", folder, "/authurl.sqlite3")}, kCannotRun,
                HasSubstr("cannot write to the folder"));
  std::filesystem::permissions(folder, perms::owner_all);
}

// Nobody, not even root, can make a file there.
TEST_F(StartupErrorsTest, DatabaseFolderTakesNoFiles) {
  ExpectRefused({"--database=/proc/authurl.sqlite3"}, kCannotRun,
                HasSubstr("/proc/authurl.sqlite3"));
}

TEST_F(StartupErrorsTest, DatabaseIsAFolder) {
  ExpectRefused({absl::StrCat("--database=", folder_.dir().path())}, kCannotRun,
                HasSubstr("not a regular file"));
}

TEST_F(StartupErrorsTest, NetworksFileIsMissingOrAFolderOrTooBig) {
  ExpectRefused({absl::StrCat("--networks_file=", folder_.dir().File("absent"))}, kCannotRun,
                AllOf(HasSubstr("the networks file"), HasSubstr("No such file")));
  ExpectRefused({absl::StrCat("--networks_file=", folder_.dir().path())}, kCannotRun,
                HasSubstr("not a regular file"));
  ExpectRefused({File("networks_file", "big", std::string(1024 * 1024 + 1, '#'))}, kCannotRun,
                HasSubstr("larger than 1 MiB"));
}

TEST_F(StartupErrorsTest, NetworksFileCannotBeRead) {
  if (geteuid() == 0)
    GTEST_SKIP() << "root may read everything; see NetworksFileIsMissingOrAFolderOrTooBig";
  ExpectRefused({File("networks_file", "mute", "", perms::none)}, kCannotRun,
                HasSubstr("Permission denied"));
}

// The example of deploy/, with a mistake in it.
TEST_F(StartupErrorsTest, NetworksFileHasAMistakeThatIsNamedWithItsPlace) {
  const std::string example = ReadFile(AUTHURL_SOURCE_DIR "/deploy/networks.example.textproto");
  const struct {
    std::string old_text, new_text, message;
  } mistakes[] = {
      {"id: \"acme_sso\"", "id: \"acme_sso", "line 13, column "},
      {"status: STATUS_LIVE", "status: STATUS_ALIVE", "\"STATUS_ALIVE\" for field \"status\""},
      {"display_name:", "displayed_name:", "no field named \"displayed_name\""},
      {"login_hint_param: \"", "login_hint_param: 7 # ", "column "},
      {"\"acme_sso\"", "\"acme sso\"", "network \"acme sso\": id: must be"},
      {"https://sso.acme.example/realms/{realm}/protocol/openid-connect/auth",
       "http://sso.acme.example/auth", "network \"acme_sso\": authorization_endpoint: must begin"},
      {"default_value: \"acme\"", "default_value: \"Acme!\"", "variables \"realm\""},
      {"pattern: \"[a-z0-9-]{1,64}\"", "pattern: \"[a-z\"", "variables \"realm\""},
      {"mode: MODE_REQUIRED", "mode: MODE_UNSPECIFIED", "network \"acme_sso\": pkce.mode: must"},
      {"login_hint_param: \"login_hint\"", "login_hint_param: \"state\"", "login_hint_param: "},
      {"\"Acme SSO\"", "\"Acme \xff\"", "network \"acme_sso\": text: must be UTF-8"},
      {"\"Acme SSO\"", "\"Acme \\377\"", "network \"acme_sso\": text: must be UTF-8"},
      {"\"Acme SSO\"", "\"Acme\\nSSO\"", "network \"acme_sso\": display_name: "},
  };
  for (const auto& [old_text, new_text, message] : mistakes) {
    SCOPED_TRACE(new_text);
    std::string broken = example;
    const size_t place = broken.find(old_text);
    ASSERT_NE(place, std::string::npos);
    broken.replace(place, old_text.size(), new_text);
    ExpectRefused({File("networks_file", "broken", broken)}, kCannotRun,
                  AllOf(HasSubstr("/broken: "), HasSubstr(message)));
  }
}

TEST_F(StartupErrorsTest, NetworksFileIsNoText) {
  std::string noise(4096, '\0');
  FillRandom({reinterpret_cast<uint8_t*>(noise.data()), noise.size()});
  ExpectRefused({File("networks_file", "noise", "\x01" + noise)}, kCannotRun,
                AllOf(HasSubstr("/noise: "), HasSubstr("line 1, column ")));
}

TEST_F(StartupErrorsTest, PortIsInUse) {
  const ServerFolder other_folder;
  ASSERT_OK_AND_ASSIGN(const auto other, ServerProcess::Start(other_folder));
  ExpectRefused({absl::StrCat("--listen=", other->address())}, kCannotRun,
                AllOf(HasSubstr(other->address()), HasSubstr("in use")));
}

// At once: what was not served need not be drained.
TEST_F(StartupErrorsTest, MetricsPortIsInUse) {
  const ServerFolder other_folder;
  ASSERT_OK_AND_ASSIGN(const auto other, ServerProcess::Start(other_folder));
  ExpectRefused(
      {absl::StrCat("--metrics_listen=", other->address()), "--drain_delay=10m"}, kCannotRun,
      AllOf(HasSubstr(other->address()), HasSubstr("in use"), HasSubstr("--metrics_listen")));
  // Nor was a database made, or brought to a version that the one before can't open.
  EXPECT_FALSE(std::filesystem::exists(folder_.database()));
}

TEST_F(StartupErrorsTest, ListenAddressIsWrong) {
  ExpectRefused({"--listen=somewhere"}, kWrongFlags, HasSubstr("--listen"));
  ExpectRefused({"--listen=127.0.0.1:70000"}, kWrongFlags, HasSubstr("--listen"));
  ExpectRefused({"--listen=unix:relative.sock"}, kWrongFlags, HasSubstr("--listen"));
}

TEST_F(StartupErrorsTest, PlaintextToOtherMachinesIsRefused) {
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"}) {
    ExpectRefused({absl::StrCat("--listen=", listen)}, kWrongFlags,
                  AllOf(HasSubstr(listen), HasSubstr("--tls_client_ca_file")));
  }
}

TEST_F(StartupErrorsTest, TlsToOtherMachinesWithoutClientCertificatesIsRefused) {
  const Certificate certificate = CertificateAuthority("test CA").IssueServer();
  ExpectRefused({"--listen=0.0.0.0:0", File("tls_cert_file", "cert.pem", certificate.certificate),
                 File("tls_key_file", "key.pem", certificate.key)},
                kWrongFlags, HasSubstr("--tls_client_ca_file"));
}

TEST_F(StartupErrorsTest, CertificateAndKeyGoTogether) {
  const Certificate certificate = CertificateAuthority("test CA").IssueServer();
  ExpectRefused({File("tls_cert_file", "cert.pem", certificate.certificate)}, kWrongFlags,
                HasSubstr("--tls_key_file"));
  ExpectRefused({File("tls_key_file", "key.pem", certificate.key)}, kWrongFlags,
                HasSubstr("--tls_cert_file"));
  ExpectRefused({File("tls_client_ca_file", "ca.pem", certificate.certificate)}, kWrongFlags,
                HasSubstr("--tls_cert_file"));
}

TEST_F(StartupErrorsTest, TlsFilesAreUnusable) {
  const CertificateAuthority authority("test CA");
  const Certificate certificate = authority.IssueServer();
  const std::string cert = File("tls_cert_file", "cert.pem", certificate.certificate);
  const std::string key = File("tls_key_file", "key.pem", certificate.key);

  ExpectRefused({cert, File("tls_key_file", "other.pem", authority.IssueServer().key)}, kCannotRun,
                HasSubstr("belongs to the certificate"));
  ExpectRefused({cert, File("tls_key_file", "noise.pem", "noise")}, kCannotRun,
                HasSubstr("noise.pem"));
  ExpectRefused({File("tls_cert_file", "noise.pem", "noise"), key}, kCannotRun,
                HasSubstr("noise.pem"));
  ExpectRefused({cert, key, File("tls_client_ca_file", "noise.pem", "noise")}, kCannotRun,
                HasSubstr("noise.pem"));
  ExpectRefused({cert, absl::StrCat("--tls_key_file=", folder_.dir().File("absent"))}, kCannotRun,
                HasSubstr("No such file"));
  ExpectRefused({cert, File("tls_key_file", "open.pem", certificate.key,
                            perms::owner_read | perms::others_read)},
                kCannotRun, HasSubstr("chmod 600"));
}

TEST_F(StartupErrorsTest, ValueIsOutOfRange) {
  ExpectRefused({"--state_ttl=2h"}, kWrongFlags, HasSubstr("--state_ttl"));
  ExpectRefused({"--write_workers=0"}, kWrongFlags, HasSubstr("--write_workers"));
  ExpectRefused({"--log_level=loud"}, kWrongFlags, HasSubstr("--log_level"));
  ExpectRefused({"--public_base_url=http://app.example.com"}, kWrongFlags,
                HasSubstr("--public_base_url"));
}

TEST_F(StartupErrorsTest, WordOnTheCommandLineIsNoFlag) {
  ExpectRefused({"serve"}, kWrongFlags, HasSubstr("serve"));
}

// These lines are Abseil's.
TEST_F(StartupErrorsTest, FlagIsUnknownOrItsValueNoValue) {
  for (const char* flag : {"--no_such_flag=1", "--write_workers=many", "--state_ttl=soon"}) {
    const FailedStart failed = ServerProcess::StartExpectingFailure(folder_, {flag});
    EXPECT_EQ(failed.exit_code, 1) << flag;
    EXPECT_THAT(failed.output, AllOf(HasSubstr("ERROR"), ShowsNoInternals()));
    EXPECT_EQ(failed.output.find('\n'), failed.output.size() - 1) << failed.output;
  }
}

}  // namespace
}  // namespace authurl::testing
