#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/crypto/crypto.h"
#include "core/flow/auth_state.h"
#include "storage/credential_store.h"
#include "tests/storage/child_process.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/build_kind.h"

namespace authurl::testing {
namespace {

using ::google::protobuf::util::MessageDifferencer;

constexpr int kFlips = kSanitized ? 2'000 : 10'000;
constexpr int kLogFlips = 300;
// Writes wait for the disk, so not every flip gets them.
constexpr int kFlipsPerWrite = 20;
constexpr std::array<const char*, 2> kOrgIds = {"acme", "other"};
constexpr std::array<const char*, 3> kNetworks = {"google", "github", "tiktok"};

std::string IdOf(const char* org, const char* network) { return absl::StrCat(org, "-", network); }

std::string ReferenceOf(absl::string_view org) {
  return HexEncode(AsChars(Sha256(org))).substr(0, kStateReferenceChars);
}

class BitFlipTest : public StoreTest {
 protected:
  void FillStore(CredentialStore& store) {
    for (const char* org : kOrgIds) {
      ASSERT_OK(store.CreateOrganization(kNoLimit, TestOrganization(org)));
      ASSERT_OK(store.CreateApiKey(kNoLimit, TestApiKey(org, org)));
      for (const char* network : kNetworks) {
        const std::string id = IdOf(org, network);
        ASSERT_OK(store.social_networks().Create(kNoLimit, TestSettings(org, id, network),
                                                 TestSecret(id)));
      }
      const StoredAuthState state = SealStoredAuthState(
          keys_.sealer, NewNonce(random_), ReferenceOf(org), TestAuthState(org, "wechat", kNow));
      ASSERT_OK(store.PutAuthStates(kNoLimit, {state}));
    }
  }

  void Restore(const std::string& bytes) const {
    for (const char* suffix : {"-wal", "-shm", "-journal"}) {
      std::filesystem::remove(path_ + suffix);
    }
    folder_.Write("test.db", bytes);
  }

  // Counts an answer that is neither an error nor the right one.
  template <typename Record>
  void Judge(const absl::StatusOr<Record>& answer, const Record& right) {
    ++(answer.ok() ? right_ : errors_);
    if (!answer.ok()) return;
    EXPECT_TRUE(MessageDifferencer::Equals(*answer, right))
        << answer->ShortDebugString() << " is not " << right.ShortDebugString();
  }

  template <typename Record>
  void Judge(const absl::StatusOr<std::shared_ptr<const Record>>& answer, const Record& right) {
    if (!answer.ok()) return Judge(absl::StatusOr<Record>(answer.status()), right);
    Judge(absl::StatusOr<Record>(**answer), right);
  }

  absl::StatusOr<state::v1::AuthState> OpenState(CredentialStore& store, const char* org) const {
    const absl::StatusOr<std::string> sealed = store.GetAuthState(kNoLimit, ReferenceOf(org));
    if (!sealed.ok()) return sealed.status();
    const absl::StatusOr<OpenedState> opened =
        OpenStoredAuthState(keys_.sealer, ReferenceOf(org), *sealed, kNow, org, "wechat");
    if (!opened.ok()) return opened.status();
    return opened->state;
  }

  void ReadEverything(CredentialStore& store) {
    for (const char* org : kOrgIds) {
      Judge(store.GetOrganization(kNoLimit, org), TestOrganization(org));
      Judge(store.GetApiKey(kNoLimit, org), TestApiKey(org, org));
      Judge(OpenState(store, org), TestAuthState(org, "wechat", kNow));
      for (const char* network : kNetworks) {
        const std::string id = IdOf(org, network);
        const auto right = TestSettings(org, id, network);
        Judge(store.social_networks().Find(kNoLimit, org, network, "", ""), right);
        Judge(store.social_networks().Get(kNoLimit, org, id), right);
        const auto secret = store.social_networks().GetClientSecret(kNoLimit, org, id, 1);
        if (secret.ok()) {
          EXPECT_EQ(*secret, TestSecret(id));
        }
      }
      const auto list = store.social_networks().List(kNoLimit, org, "", {.rows = 10});
      if (!list.ok()) continue;
      for (const auto& settings : list->records) {
        EXPECT_TRUE(MessageDifferencer::Equals(
            settings, TestSettings(org, settings.id(), settings.network())))
            << settings.ShortDebugString();
      }
    }
  }

  // A write may succeed or fail, but what is read then is the old or the new.
  static void Write(CredentialStore& store) {
    const auto updated = store.social_networks().Update(
        kNoLimit, "acme", "acme-google", kNow,
        [](record::v1::SocialNetworkSettings& settings, absl::string_view) {
          settings.set_client_key("changed");
          return absl::OkStatus();
        },
        std::nullopt);
    const auto read = store.social_networks().Find(kNoLimit, "acme", "google", "", "");
    if (!updated.ok() || !read.ok()) return;
    EXPECT_EQ((*read)->client_key(), "changed");
    EXPECT_EQ((*read)->id(), "acme-google");
  }

  int right_ = 0;
  int errors_ = 0;
};

TEST_F(BitFlipTest, ADamagedFileYieldsErrorsOrTheTruthAndNeverWrongSettings) {
  {
    ASSERT_OK_AND_ASSIGN(const auto store, OpenStore(keys_));
    FillStore(*store);
  }
  const std::string sound = ReadFile(path_);
  std::mt19937_64 random(20260103);
  std::uniform_int_distribution<size_t> any_bit(0, sound.size() * 8 - 1);
  int refused = 0;
  for (int i = 0; i < kFlips && !HasFailure(); ++i) {
    const size_t bit = any_bit(random);
    SCOPED_TRACE(absl::StrCat("flip ", i, ": bit ", bit % 8, " of byte ", bit / 8));
    std::string damaged = sound;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    Restore(damaged);
    const auto store = OpenStore(keys_);
    if (!store.ok()) {
      ++refused;
      continue;
    }
    ReadEverything(**store);
    if (i % kFlipsPerWrite == 0) Write(**store);
  }
  // The flips did hit something.
  EXPECT_GT(refused, 0);
  EXPECT_GT(errors_, 0);
  EXPECT_GT(right_, kFlips);
  RecordProperty("refused", refused);
  RecordProperty("errors", errors_);
  RecordProperty("right", right_);
}

TEST_F(BitFlipTest, ADamagedWriteAheadLogYieldsErrorsOrTheTruth) {
  const int code = RunInChild([&] {
    // Never closed, so that everything stays in the log.
    const auto store = OpenStore(keys_);
    if (!store.ok()) return 1;
    FillStore(**store);
    _exit(HasFailure() ? 1 : 0);
    return 1;
  });
  ASSERT_EQ(code, 0);
  const std::string sound = ReadFile(path_);
  const std::string sound_log = ReadFile(path_ + "-wal");
  std::mt19937_64 random(20260104);
  std::uniform_int_distribution<size_t> any_bit(0, sound_log.size() * 8 - 1);
  for (int i = 0; i < kLogFlips && !HasFailure(); ++i) {
    const size_t bit = any_bit(random);
    SCOPED_TRACE(absl::StrCat("flip ", i, ": bit ", bit % 8, " of byte ", bit / 8));
    std::string damaged = sound_log;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    Restore(sound);
    folder_.Write("test.db-wal", damaged);
    const auto store = OpenStore(keys_);
    if (store.ok()) ReadEverything(**store);
  }
  EXPECT_GT(right_, 0);
  EXPECT_GT(errors_, 0);
}

}  // namespace
}  // namespace authurl::testing
