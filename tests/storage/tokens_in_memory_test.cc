// Accounts and grants whose tokens are read from memory: what memory has is never older than what a
// commit has made of it, and the tokens are sealed there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/errors.h"
#include "storage/sealed_tokens.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/purge.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TokensInMemoryTest : public ConnectionsTest {
 protected:
  void SetUp() override {
    ConnectionsTest::SetUp();
    backend_ = &ReopenOverDeafBackend();
    ASSERT_OK_AND_ASSIGN(connected_, Connect("a", "person", {"page-1", "page-2"}));
    account_id_ = connected_.accounts[0].id();
    grant_id_ = connected_.grant_id;
  }

  AccountStore& accounts() { return store_->accounts(); }
  GrantStore& grants() { return store_->grants(); }
  uint64_t Reads() const { return store_->Snapshot().backend.reads; }

  // Reads through memory, and so fills it. The token, or the reason of the error.
  std::string Read(absl::string_view org = "acme") {
    const auto account = accounts().ReadWithToken(kNoLimit, org, account_id_);
    if (!account.ok()) return ReasonOf(account.status());
    const auto opened = grants().ReadWithTokens(kNoLimit, org, account->account.grant_id());
    if (!account->access_token.empty()) return account->access_token;
    return opened.ok() ? opened->tokens.access_token : ReasonOf(opened.status());
  }
  // The same from memory alone: nothing where that has not both.
  std::optional<std::string> ReadInMemory(absl::string_view org = "acme") {
    const auto account = accounts().FindInMemory(org, account_id_);
    if (!account) return std::nullopt;
    if (!account->ok()) return ReasonOf(account->status());
    const auto grant = grants().FindInMemory(***account);
    if (grant == nullptr) return std::nullopt;
    const absl::StatusOr<OpenedAccessToken> token = (**account)->record.has_own_token()
                                                        ? accounts().OpenAccessToken(***account)
                                                        : grants().OpenAccessToken(*grant);
    return token.ok() ? std::string(token->token()) : std::string(token.status().message());
  }

  // Whatever changes the account, its grant or both.
  struct Change {
    std::string name;
    std::function<absl::Status()> make;
  };
  std::vector<Change> Changes() {
    const auto of_account = [](record::v1::SocialAccount& account) {
      account.set_username("another");
      return absl::OkStatus();
    };
    const auto refresh = [this] {
      const TokenSet tokens = TestTokens("refreshed");
      return grants()
          .StoreRefreshed(kNoLimit, "acme", grant_id_, "h", tokens, std::nullopt, kNow)
          .status();
    };
    return {
        {"lease",
         [=, this] { return grants().TakeLease(kNoLimit, "acme", grant_id_, "h", kNow).status(); }},
        {"refresh", refresh},
        {"own token",
         [this] {
           return grants().RenewOwnTokens(kNoLimit, "acme", grant_id_, 2,
                                          {{TestAccount("page-1"), "own-canary"}}, kNow);
         }},
        {"another own token",
         [this] {
           return grants().RenewOwnTokens(kNoLimit, "acme", grant_id_, 2,
                                          {{TestAccount("page-1"), "own-canary-2"}}, kNow);
         }},
        {"update",
         [=, this] {
           return accounts().Update(kNoLimit, "acme", account_id_, of_account, kNow).status();
         }},
        {"mark",
         [this] {
           return accounts().MarkNeedsReconnect(kNoLimit, "acme", account_id_, "R", kNow).status();
         }},
        {"dead",
         [this] { return grants().MarkDead(kNoLimit, "acme", grant_id_, 2, "R", kNow).status(); }},
        {"reconnect", [this] { return Connect("b", "person", {"page-1"}).status(); }},
        {"another person", [this] { return Connect("c", "somebody", {"page-1"}).status(); }},
        {"delete",
         [this] { return accounts().Delete(kNoLimit, "acme", account_id_, kNow).status(); }},
    };
  }

  DeafBackend* backend_ = nullptr;  // The store's.
  Connected connected_;
  std::string account_id_;
  std::string grant_id_;
};

TEST_F(TokensInMemoryTest, WhatWasReadOnceIsReadWithoutTheDatabase) {
  EXPECT_EQ(ReadInMemory(), std::nullopt);
  // Whoever goes through all of them, an export for one, leaves memory as it is.
  EXPECT_OK(accounts().GetWithToken(kNoLimit, "acme", account_id_).status());
  EXPECT_OK(grants().GetWithTokens(kNoLimit, "acme", grant_id_).status());
  EXPECT_EQ(accounts().FindInMemory("acme", account_id_), std::nullopt);
  EXPECT_EQ(Read(), "access-canary-a");
  const uint64_t reads = Reads();
  EXPECT_EQ(ReadInMemory(), "access-canary-a");
  EXPECT_EQ(Read(), "access-canary-a");
  EXPECT_EQ(Reads(), reads);
  // That there is none is known as well.
  account_id_ = "sa_none";
  EXPECT_EQ(ReadInMemory(), std::nullopt);
  EXPECT_EQ(Read(), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(ReadInMemory(), "SOCIAL_ACCOUNT_NOT_FOUND");
}

TEST_F(TokensInMemoryTest, TokensAreSealedThereAndWipedWhereTheyWereOpened) {
  ASSERT_EQ(Read(), "access-canary-a");
  const auto account = accounts().FindInMemory("acme", account_id_);
  ASSERT_TRUE(account && account->ok());
  const auto grant = grants().FindInMemory(***account);
  ASSERT_NE(grant, nullptr);
  EXPECT_THAT(grant->sealed, Not(HasSubstr("canary")));
  EXPECT_THAT(grant->record.SerializeAsString(), Not(HasSubstr("canary")));
  const char* begin = nullptr;
  size_t size = 0;
  {
    ASSERT_OK_AND_ASSIGN(const OpenedAccessToken token, grants().OpenAccessToken(*grant));
    ASSERT_EQ(token.token(), "access-canary-a");
    begin = token.token().data();
    size = token.token().size();
  }
  // Their memory is kept for the next one.
  EXPECT_EQ(absl::string_view(begin, size), std::string(size, '\0'));
}

TEST_F(TokensInMemoryTest, WhatACommitMayChangeIsOutOfMemoryFromBeforeItBeginsUntilItHasEnded) {
  for (const Change& change : Changes()) {
    Read();
    ASSERT_TRUE(ReadInMemory().has_value()) << change.name;
    const auto before = accounts().Get(kNoLimit, "acme", account_id_);
    const auto grant_before = grants().Get(kNoLimit, "acme", grant_id_);
    ASSERT_OK(before);
    ASSERT_OK(grant_before);
    std::vector<bool> in_memory;
    const auto look = [&] {
      Read();  // What is read meanwhile is not kept.
      in_memory.push_back(ReadInMemory().has_value());
    };
    backend_->before_next = look;
    // Of those that connect, the second commit.
    if (absl::StartsWith(change.name, "reconnect") || change.name == "another person") {
      backend_->before_next = [&] { backend_->before_next = look; };
    }
    ASSERT_OK(change.make()) << change.name;
    ASSERT_EQ(in_memory.size(), 1u) << change.name;
    EXPECT_FALSE(in_memory[0]) << change.name;
    // And now it is as the database has it.
    const auto account = accounts().Get(kNoLimit, "acme", account_id_);
    const std::string now = Read();
    EXPECT_EQ(ReadInMemory(), now) << change.name;
    if (!account.ok()) {
      EXPECT_EQ(now, "SOCIAL_ACCOUNT_NOT_FOUND") << change.name;
      continue;
    }
    const auto found = accounts().FindInMemory("acme", account_id_);
    ASSERT_TRUE(found && found->ok()) << change.name;
    EXPECT_THAT((**found)->record, EqualsProto(*account)) << change.name;
    const auto grant = grants().FindInMemory(***found);
    ASSERT_NE(grant, nullptr) << change.name;
    ASSERT_OK_AND_ASSIGN(const auto stored, grants().Get(kNoLimit, "acme", account->grant_id()));
    EXPECT_THAT(grant->record, EqualsProto(stored)) << change.name;
  }
  EXPECT_EQ(Read(), "SOCIAL_ACCOUNT_NOT_FOUND");
}

TEST_F(TokensInMemoryTest, ACommitWhoseEndWasNotHeardIsSeenAllTheSame) {
  ASSERT_OK(grants().TakeLease(kNoLimit, "acme", grant_id_, "h", kNow));
  ASSERT_EQ(Read(), "access-canary-a");
  const TokenSet tokens = TestTokens("b");
  const auto store = [&] {
    return grants().StoreRefreshed(kNoLimit, "acme", grant_id_, "h", tokens, std::nullopt, kNow);
  };
  backend_->refused_commits = 1;
  EXPECT_THAT(store(), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_EQ(Read(), "access-canary-a");
  backend_->deaf_commits = 1;
  EXPECT_THAT(store(), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_EQ(ReadInMemory(), std::nullopt);
  EXPECT_EQ(Read(), "access-canary-b");
}

TEST_F(TokensInMemoryTest, ADeletedConfigurationTenantOrOrganizationLeavesNothing) {
  ASSERT_EQ(Read(), "access-canary-a");
  ASSERT_OK(accounts().DeleteOfTenant(kNoLimit, "acme", "tenant", kNow, 10));
  EXPECT_EQ(Read(), "SOCIAL_ACCOUNT_NOT_FOUND");

  ASSERT_OK_AND_ASSIGN(Connected again, Connect("b", "person", {"page-1"}));
  account_id_ = again.accounts[0].id();
  ASSERT_EQ(Read(), "access-canary-b");
  ASSERT_OK(accounts().DeleteOfConfiguration(kNoLimit, "acme", "acme-google", kNow, 10));
  EXPECT_EQ(Read(), "SOCIAL_ACCOUNT_NOT_FOUND");

  ASSERT_OK_AND_ASSIGN(again, Connect("c", "person", {"page-1"}));
  account_id_ = again.accounts[0].id();
  ASSERT_EQ(Read(), "access-canary-c");
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "acme", kNow));
  // The organisation has to be asked for, or is known to be gone.
  EXPECT_THAT(ReadInMemory().value_or("SOCIAL_ACCOUNT_NOT_FOUND"), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(Read(), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(ReadInMemory(), "SOCIAL_ACCOUNT_NOT_FOUND");
  const uint64_t entries = store_->Snapshot().cache.entries;
  while (true) {
    ASSERT_OK_AND_ASSIGN(const int purged, PurgeOrganizations(*store_, 100));
    if (purged == 0) break;
  }
  EXPECT_LT(store_->Snapshot().cache.entries, entries);
  ASSERT_OK(store_->CreateOrganization(kNoLimit, TestOrganization("acme")));
  EXPECT_EQ(Read(), "SOCIAL_ACCOUNT_NOT_FOUND");
}

TEST_F(TokensInMemoryTest, AnotherOrganizationFindsNothing) {
  ASSERT_EQ(Read(), "access-canary-a");
  EXPECT_EQ(ReadInMemory("other"), std::nullopt);
  EXPECT_EQ(Read("other"), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(ReadInMemory("other"), "SOCIAL_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(ReadInMemory(), "access-canary-a");
}

TEST_F(TokensInMemoryTest, WhatDoesNotOpenIsInternalAndNotKept) {
  for (const char* edit : {"grants SET tokens = whole", "social_accounts SET token = whole"}) {
    store_.reset();
    const std::string saved = ReadFile(path_);
    Edit(absl::StrCat("UPDATE ", edit));
    for (int i = 0; i < 2; ++i) {
      const auto account = accounts().ReadWithToken(kNoLimit, "acme", account_id_);
      const auto opened = grants().ReadWithTokens(kNoLimit, "acme", grant_id_);
      EXPECT_NE(account.ok(), opened.ok());
      EXPECT_THAT(account.ok() ? opened.status() : account.status(),
                  StatusIs(absl::StatusCode::kInternal,
                           AllOf(HasSubstr("does not open"), Not(HasSubstr("canary")))));
      EXPECT_EQ(ReadInMemory(), std::nullopt) << edit;
    }
    store_.reset();
    folder_.Write("test.db", saved);
    Reopen();
  }
  // Nor does memory that was damaged hand anything out.
  ASSERT_EQ(Read(), "access-canary-a");
  const auto account = accounts().FindInMemory("acme", account_id_);
  ASSERT_TRUE(account && account->ok());
  auto damaged = *grants().FindInMemory(***account);
  damaged.sealed.back() = static_cast<char>(damaged.sealed.back() ^ 1);
  EXPECT_THAT(grants().OpenAccessToken(damaged).status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("does not open")));
}

TEST_F(TokensInMemoryTest, NothingStaysThatIsSealedUnderAKeyWhichMayGo) {
  ASSERT_OK_AND_ASSIGN(const std::string rotated, RotatedKeyRingText(key_text_, random_));
  const Keys both(rotated);
  store_.reset();
  ASSERT_OK_AND_ASSIGN(store_, OpenStore(both));
  const auto key_ids = [this] {
    const auto account = accounts().FindInMemory("acme", account_id_);
    const auto grant = grants().FindInMemory(***account);
    return std::vector<int>{ReadSealedHeader((**account)->sealed)->key_id,
                            ReadSealedHeader(grant->sealed)->key_id};
  };
  const int old_id = keys_.ring.primary_id();
  const int new_id = both.ring.primary_id();
  ASSERT_NE(old_id, new_id);
  ASSERT_EQ(Read(), "access-canary-a");
  ASSERT_EQ(key_ids(), (std::vector<int>{old_id, old_id}));
  for (bool done = false; !done;) {
    ASSERT_OK_AND_ASSIGN(const ResealStep step, store_->ResealNext(5));
    done = step.done;
  }
  EXPECT_EQ(ReadInMemory(), std::nullopt);
  EXPECT_EQ(Read(), "access-canary-a");
  EXPECT_EQ(key_ids(), (std::vector<int>{new_id, new_id}));
  store_.reset();  // Before the keys.
}

TEST_F(TokensInMemoryTest, ManyAccountsTakeNoMoreMemoryThanThereIs) {
  constexpr size_t kBudget = 64 << 10;
  std::vector<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(absl::StrCat("many-", i));
  ASSERT_OK_AND_ASSIGN(const Connected many, Connect("many", "company", ids));
  store_.reset();
  ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(OpenSqliteBackend(path_).value(), keys_.sealer,
                                                     random_, kBudget));
  for (int round = 0; round < 2; ++round) {
    for (const record::v1::SocialAccount& account : many.accounts) {
      account_id_ = account.id();
      ASSERT_EQ(Read(), "access-canary-many");
      ASSERT_EQ(ReadInMemory(), "access-canary-many");
      ASSERT_LE(store_->Snapshot().cache.bytes, kBudget);
    }
  }
  EXPECT_GT(store_->Snapshot().cache.evictions, 50u);
}

TEST(OpenedAccessTokenTest, IsTheTokenAloneOrAnErrorWithoutIt) {
  const auto open = [](const std::string& bytes) {
    return OpenedAccessToken::From([&](std::string& text) {
      text = bytes;
      return absl::OkStatus();
    });
  };
  const TokenSet tokens = TestTokens("a");
  ASSERT_OK_AND_ASSIGN(const auto of_grant, open(SerializeTokens(tokens)));
  EXPECT_EQ(of_grant.token(), tokens.access_token);
  ASSERT_OK_AND_ASSIGN(const auto own, open(SerializeOwnToken("own-canary")));
  EXPECT_EQ(own.token(), "own-canary");
  ASSERT_OK_AND_ASSIGN(const auto none, open(SerializeOwnToken("")));
  EXPECT_EQ(none.token(), "");
  const std::string whole = SerializeTokens(tokens);
  for (const std::string& bytes : {whole.substr(0, whole.size() - 1), whole.substr(1),
                                   std::string("\x0a\x7f"
                                               "canary"),
                                   std::string("canary"), std::string("\x08\x01")}) {
    EXPECT_THAT(open(bytes).status(),
                StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("canary"))));
  }
  EXPECT_THAT(
      OpenedAccessToken::From([](std::string&) { return absl::DataLossError("damaged"); }).status(),
      StatusIs(absl::StatusCode::kDataLoss, "damaged"));
}

}  // namespace
}  // namespace authurl::testing
