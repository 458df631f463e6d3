// OAuth states that their network can't carry, as the credential store keeps them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/crypto/crypto.h"
#include "core/flow/auth_state.h"
#include "storage/credential_store.h"
#include "tests/storage/child_process.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/purge.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kLifetime = absl::Minutes(10);

// 20 bytes that are the same in every run.
std::string ReferenceBytes(absl::string_view name) {
  return std::string(AsChars(Sha256(name)).substr(0, 20));
}

StoredAuthState TestState(absl::string_view name, const std::string& org_id,
                          absl::Time expires_at = kNow + kLifetime) {
  return {.reference = HexEncode(ReferenceBytes(name)),
          .org_id = org_id,
          .expires_at = expires_at,
          .sealed = absl::StrCat("sealed-bytes-of-", name)};
}

class AuthStatesTest : public StoreTest {
 protected:
  void SetUp() override {
    Reopen();
    for (const char* org : {"acme", "other"}) {
      ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization(org)));
    }
  }

  void Reopen() {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(keys_));
  }

  absl::StatusOr<std::string> Get(absl::string_view name) {
    return store_->GetAuthState(kNoLimit, TestState(name, "").reference);
  }

  int Purge(absl::Time now, int limit) {
    const absl::StatusOr<int> purged = store_->PurgeAuthStates(now, limit);
    EXPECT_OK(purged);
    return purged.value_or(-1);
  }

  std::unique_ptr<CredentialStore> store_;
};

TEST_F(AuthStatesTest, AStateComesBackAfterReopeningEvenOneThatHasExpired) {
  const std::string any_bytes("\0\xFF\n'", 4);
  StoredAuthState state = TestState("a", "acme");
  state.sealed = any_bytes;
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {state}));
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("b", "other", kNow - absl::Hours(24))}));
  ASSERT_OK_AND_ASSIGN(std::string sealed, Get("a"));
  EXPECT_EQ(sealed, any_bytes);
  Reopen();
  ASSERT_OK_AND_ASSIGN(sealed, Get("a"));
  EXPECT_EQ(sealed, any_bytes);
  ASSERT_OK_AND_ASSIGN(sealed, Get("b"));
  EXPECT_EQ(sealed, "sealed-bytes-of-b");
}

TEST_F(AuthStatesTest, AnUnknownReferenceHasAReasonAndIsNotQuoted) {
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("a", "acme")}));
  const std::string unknown = TestState("b", "acme").reference;
  EXPECT_THAT(
      store_->GetAuthState(kNoLimit, unknown),
      AllOf(StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("start the authorization again"),
                                                        Not(HasSubstr(unknown.substr(0, 4))))),
            HasReason("AUTH_STATE_NOT_FOUND")));
  const std::string known = TestState("a", "acme").reference;
  for (const std::string& near : {std::string(), known.substr(1), known + " ",
                                  absl::AsciiStrToUpper(known), ReferenceBytes("a")}) {
    EXPECT_THAT(store_->GetAuthState(kNoLimit, near), HasReason("AUTH_STATE_NOT_FOUND")) << near;
  }
}

TEST_F(AuthStatesTest, WhoHasTheDigestHasNoReference) {
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("a", "acme")}));
  const auto digest = Sha256(TestState("a", "acme").reference);
  EXPECT_THAT(store_->GetAuthState(kNoLimit, AsChars(digest)), HasReason("AUTH_STATE_NOT_FOUND"));
  EXPECT_THAT(store_->GetAuthState(kNoLimit, HexEncode(AsChars(digest))),
              HasReason("AUTH_STATE_NOT_FOUND"));
}

TEST_F(AuthStatesTest, AStateOfAnOrganizationThatIsGoneIsRefused) {
  EXPECT_THAT(store_->PutAuthStates(kNoLimit, {TestState("a", "gone")}),
              AllOf(StatusIs(absl::StatusCode::kNotFound, HasSubstr("gone")),
                    HasReason("ORGANIZATION_NOT_FOUND")));
  EXPECT_THAT(Get("a"), HasReason("AUTH_STATE_NOT_FOUND"));
}

TEST_F(AuthStatesTest, AReferenceThatIsMadeTwiceIsAFaultOfOursAndTheFirstStateStays) {
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("a", "acme")}));
  StoredAuthState second = TestState("a", "other");
  second.sealed = "second";
  EXPECT_THAT(store_->PutAuthStates(kNoLimit, {second}),
              AllOf(StatusIs(absl::StatusCode::kInternal, Not(HasSubstr(second.reference))),
                    HasReason("")));
  ASSERT_OK_AND_ASSIGN(const std::string sealed, Get("a"));
  EXPECT_EQ(sealed, "sealed-bytes-of-a");
}

TEST_F(AuthStatesTest, StatesGoWithTheirOrganizationAndDoNotComeBackWithItsName) {
  for (const char* name : {"a", "b"})
    ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState(name, "acme")}));
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("c", "other")}));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  EXPECT_THAT(Get("a"), HasReason("AUTH_STATE_NOT_FOUND"));
  EXPECT_EQ(PurgeOrganizations(*store_, 2).value_or(-1), 2);
  EXPECT_EQ(PurgeOrganizations(*store_, 2).value_or(-1), 1);
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  EXPECT_THAT(Get("a"), HasReason("AUTH_STATE_NOT_FOUND"));
  EXPECT_THAT(Get("b"), HasReason("AUTH_STATE_NOT_FOUND"));
  EXPECT_OK(Get("c"));
}

TEST_F(AuthStatesTest, APurgeRemovesWhatHasExpiredInStepsAndNothingElse) {
  for (int i = 0; i < 7; ++i) {
    ASSERT_OK(store_->PutAuthStates(
        kNoLimit, {TestState(absl::StrCat("expired-", i), "acme", kNow - absl::Seconds(7 - i))}));
  }
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("now", "acme", kNow)}));
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("living", "acme")}));
  EXPECT_EQ(Purge(kNow, 3), 3);
  EXPECT_THAT(Get("expired-2"), HasReason("AUTH_STATE_NOT_FOUND"));
  EXPECT_OK(Get("expired-3"));
  EXPECT_EQ(Purge(kNow, 3), 3);
  EXPECT_EQ(Purge(kNow, 3), 1);
  EXPECT_EQ(Purge(kNow, 3), 0);
  EXPECT_OK(Get("now"));
  EXPECT_OK(Get("living"));
}

TEST_F(AuthStatesTest, AFractionOfAMillisecondNeverMakesAPurgeEarly) {
  ASSERT_OK(
      store_->PutAuthStates(kNoLimit, {TestState("a", "acme", kNow + absl::Microseconds(900))}));
  EXPECT_EQ(Purge(kNow + absl::Microseconds(899), 10), 0);
  EXPECT_EQ(Purge(kNow + absl::Milliseconds(1), 10), 1);
}

TEST_F(AuthStatesTest, APurgeIsInNobodysWay) {
  constexpr int kThreads = 4;
  constexpr int kStates = 50;
  std::atomic<int> wrong = 0;
  std::atomic<int> writing = kThreads;
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < kStates; ++i) {
        const std::string living = absl::StrCat("living-", t, "-", i);
        const std::string expired = absl::StrCat("expired-", t, "-", i);
        const absl::Time past = kNow - absl::Milliseconds(i + 1);
        if (!store_->PutAuthStates(kNoLimit, {TestState(living, "acme")}).ok()) ++wrong;
        if (!store_->PutAuthStates(kNoLimit, {TestState(expired, "other", past)}).ok()) ++wrong;
        if (Get(living).value_or("") != "sealed-bytes-of-" + living) ++wrong;
      }
      --writing;
    });
  }
  int purged = 0;
  while (true) {
    const bool last = writing == 0;
    const absl::StatusOr<int> step = store_->PurgeAuthStates(kNow, 5);
    if (!step.ok() || *step > 5) ++wrong;
    if (step.ok()) purged += *step;
    if (!step.ok() || (last && *step == 0)) break;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(purged, kThreads * kStates);
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kStates; ++i) EXPECT_OK(Get(absl::StrCat("living-", t, "-", i)));
  }
}

TEST_F(AuthStatesTest, NoReferenceIsInTheFilesAndNothingOfAStateThatWasPurged) {
  const StoredAuthState state = TestState("a", "acme");
  store_.reset();
  ASSERT_EQ(RunInChild([&] {
              Reopen();
              const absl::Status status = store_->PutAuthStates(kNoLimit, {state});
              _exit(status.ok() && !HasFailure() ? 0 : 1);  // The write-ahead log stays.
              return 1;
            }),
            0);
  const std::string log = ReadFile(path_ + "-wal");
  Reopen();
  store_.reset();
  const std::string digest = HexEncode(AsChars(Sha256(state.reference)));
  for (const std::string& bytes : {log, ReadFile(path_)}) {
    EXPECT_NE(bytes.find(state.sealed), std::string::npos);
    EXPECT_NE(bytes.find(digest), std::string::npos);
    EXPECT_EQ(bytes.find(state.reference), std::string::npos);
    EXPECT_EQ(bytes.find(absl::AsciiStrToUpper(state.reference)), std::string::npos);
    EXPECT_EQ(bytes.find(ReferenceBytes("a")), std::string::npos);
  }
  Reopen();
  EXPECT_EQ(Purge(kNow + kMaxStateLifetime, 1), 1);
  store_.reset();
  const std::string file = ReadFile(path_);
  EXPECT_EQ(file.find(state.sealed), std::string::npos);
  EXPECT_EQ(file.find(digest), std::string::npos);
}

TEST_F(AuthStatesTest, WhatADamagedIndexLeadsToDoesNotOpen) {
  const auto reference = [](absl::string_view name) { return TestState(name, "").reference; };
  for (const char* name : {"a", "b", "c", "d"}) {
    const StoredAuthState state = SealStoredAuthState(
        keys_.sealer, NewNonce(random_), reference(name), TestAuthState("acme", "wechat", kNow));
    ASSERT_OK(store_->PutAuthStates(kNoLimit, {state}));
  }
  const auto open = [&](absl::string_view name) -> absl::StatusOr<OpenedState> {
    const absl::StatusOr<std::string> sealed = store_->GetAuthState(kNoLimit, reference(name));
    if (!sealed.ok()) return sealed.status();
    return OpenStoredAuthState(keys_.sealer, reference(name), *sealed, kNow, "acme", "wechat");
  };
  EXPECT_OK(open("d"));
  store_.reset();
  // The index entry of the fourth state: its digest and, last, the row's number. Now it leads to
  // the third.
  std::string bytes = ReadFile(path_);
  const std::string entry = absl::StrCat(HexEncode(AsChars(Sha256(reference("d")))), "\x04");
  size_t found = bytes.find(entry);
  // In the index by organisation, that stands before it.
  while (found != std::string::npos && bytes.substr(found - 4, 4) == "acme") {
    found = bytes.find(entry, found + 1);
  }
  ASSERT_NE(found, std::string::npos);
  bytes[found + entry.size() - 1] = 3;
  folder_.Write("test.db", bytes);
  Reopen();
  EXPECT_THAT(open("d"), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_OK(open("c"));
}

TEST_F(AuthStatesTest, WhenTheDatabaseIsGoneAllOfThemSaySo) {
  ASSERT_OK(store_->PutAuthStates(kNoLimit, {TestState("a", "acme")}));
  EXPECT_OK(store_->Probe());
  EXPECT_OK(store_->ProbeReads());
  std::filesystem::rename(path_, folder_.File("away.db"));
  for (const absl::Status& status :
       {store_->PutAuthStates(kNoLimit, {TestState("b", "acme")}), Get("a").status(),
        store_->PurgeAuthStates(kNow, 1).status(), store_->Probe(), store_->ProbeReads()}) {
    EXPECT_THAT(status, HasReason("STORAGE_UNAVAILABLE"));
  }
}

}  // namespace
}  // namespace authurl::testing
