#include "server/system/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

using std::filesystem::perms;
using ::testing::AllOf;
using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  const TempDir dir_;
};

TEST_F(FilesTest, WholeContentIsReadWhateverItsBytes) {
  for (const size_t size : {0u, 1u, 4095u, 4096u, 4097u, 1024u * 1024u}) {
    std::string content(size, '\0');
    for (size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 7);
    const std::string path = dir_.Write("file", content);
    ASSERT_OK_AND_ASSIGN(const std::string read, ReadSmallFile("the file", path));
    EXPECT_EQ(read, content);
  }
}

TEST_F(FilesTest, FileOfMoreThanAMebibyteIsRefused) {
  const std::string path = dir_.Write("file", std::string(1024 * 1024 + 1, 'x'));
  EXPECT_THAT(ReadSmallFile("the certificate", path),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("cannot read the certificate " + path),
                             HasSubstr("larger than 1 MiB"))));
}

TEST_F(FilesTest, WhatIsNoFileIsRefusedAndNamed) {
  EXPECT_THAT(
      ReadSmallFile("the key ring", dir_.File("absent")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("the key ring " + dir_.File("absent")), HasSubstr("No such file"))));
  EXPECT_THAT(ReadSmallFile("the key ring", dir_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a regular file")));
  const std::string pipe = dir_.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(ReadSmallFile("the key ring", pipe),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a regular file")));
  EXPECT_FALSE(ReadSmallFile("the key ring", "").ok());
}

TEST_F(FilesTest, SecretThatOthersHaveRightsToIsRefused) {
  const perms owner = perms::owner_read | perms::owner_write;
  for (const perms others : {perms::group_read, perms::others_read, perms::group_write,
                             perms::others_write, perms::others_exec}) {
    const std::string path = dir_.Write("secret", "hush", owner | others);
    EXPECT_THAT(ReadSecretFile("the key ring", path),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("chmod 600 " + path)));
    EXPECT_OK(ReadSmallFile("the certificate", path));
  }
  EXPECT_OK(ReadSecretFile("the key ring", dir_.Write("secret", "hush", owner)));
  EXPECT_OK(ReadSecretFile("the key ring", dir_.Write("secret", "hush", perms::owner_read)));
}

TEST_F(FilesTest, UnreadableFileIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const std::string path = dir_.Write("secret", "hush", perms::none);
  EXPECT_THAT(ReadSecretFile("the key ring", path),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Permission denied")));
}

}  // namespace
}  // namespace authurl::testing
