#include "storage/pending_connection_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/storage/connections_fixture.h"
#include "tests/support/build_kind.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using record::v1::Flow;
using record::v1::PendingConnection;

const absl::Time kExpired = kNow + kPendingConnectionLifetime;

class PendingConnectionStoreTest : public ConnectionsTest {
 protected:
  // Spends a flow and offers pages of a person, each with a token of its own, under the session
  // token "session of <name>".
  absl::Status Offer(absl::string_view name, const std::vector<std::string>& pages,
                     absl::string_view subject = "person", absl::string_view binding = "",
                     absl::string_view org = "acme") {
    const auto spent = Spend(name, org);
    if (!spent.ok()) return spent.status();
    std::vector<std::string> own_tokens;
    for (const std::string& page : pages) own_tokens.push_back(absl::StrCat(page, " by ", name));
    std::vector<NewAccount> accounts;
    for (size_t i = 0; i < pages.size(); ++i) {
      accounts.push_back({TestAccount(pages[i], "", org), own_tokens[i]});
    }
    PendingConnection pending;
    pending.set_tenant_id("tenant");
    pending.set_session_binding_hash(std::string(binding));
    pending.add_granted_scopes("pages");
    const TokenSet tokens = TestTokens(name);
    return store_->pending_connections().Offer(kNoLimit, org, FlowId(name), Token(name), pending,
                                               {TestGrant(subject, org), tokens}, accounts, kNow);
  }

  static std::string Token(absl::string_view name) { return absl::StrCat("session of ", name); }
  static std::string IdOf(absl::string_view name) { return PendingConnectionId(Token(name)); }

  absl::StatusOr<PendingConnectionStore::Finalized> Finalize(absl::string_view name,
                                                             const std::vector<std::string>& ids,
                                                             absl::string_view binding = "",
                                                             absl::string_view org = "acme",
                                                             absl::Time now = kNow) {
    return store_->pending_connections().Finalize(kNoLimit, org, IdOf(name), binding, ids, now);
  }
};

TEST_F(PendingConnectionStoreTest, WhatIsOfferedIsConnectedOnceItIsChosen) {
  ASSERT_OK(Offer("a", {"page-1", "page-2", "page-3"}));
  const Flow waiting = FlowNamed("a");
  EXPECT_EQ(waiting.needs_choice().session_digest(), DigestId(Token("a")));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto pending,
                       store_->pending_connections().Get(kNoLimit, IdOf("a"), kNow));
  EXPECT_EQ(pending.org_id(), "acme");
  EXPECT_EQ(pending.network(), "google");
  EXPECT_EQ(pending.expires_at_ms(), absl::ToUnixMillis(kExpired));
  ASSERT_EQ(pending.choices_size(), 3);
  EXPECT_EQ(pending.choices(1).network_unique_id(), "page-2");
  EXPECT_EQ(pending.choices(1).username(), "user-canary-page-2");

  ASSERT_OK_AND_ASSIGN(const auto finalized, Finalize("a", {"page-3", "page-1", "page-3"}));
  EXPECT_FALSE(finalized.is_replayed);
  const auto& accounts = finalized.connected.accounts;
  ASSERT_EQ(accounts.size(), 2u);
  EXPECT_EQ(accounts[0].network_unique_id(), "page-1");
  EXPECT_EQ(accounts[0].tenant_id(), "tenant");
  EXPECT_THAT(accounts[0].granted_scopes(), ElementsAre("pages"));
  ASSERT_OK_AND_ASSIGN(const AccountWithToken found,
                       store_->accounts().GetWithToken(kNoLimit, "acme", accounts[1].id()));
  EXPECT_EQ(found.access_token, "page-3 by a");
  EXPECT_THAT(found.account, EqualsProto(accounts[1]));
  const Flow flow = FlowNamed("a");
  EXPECT_THAT(flow.completed().account_ids(), ElementsAre(accounts[0].id(), accounts[1].id()));
  EXPECT_EQ(flow.completed().grant_id(), finalized.connected.grant_id);
  EXPECT_EQ(AccessTokenOf(finalized.connected.grant_id), "access-canary-a");
}

TEST_F(PendingConnectionStoreTest, TheSameChoiceIsAnsweredTheSameAndAnotherOneIsRefused) {
  ASSERT_OK(Offer("a", {"page-1", "page-2"}));
  ASSERT_OK_AND_ASSIGN(const auto first, Finalize("a", {"page-1", "page-2"}));
  ASSERT_OK_AND_ASSIGN(const auto again, Finalize("a", {"page-2", "page-1"}));
  EXPECT_TRUE(again.is_replayed);
  EXPECT_EQ(again.connected.grant_id, first.connected.grant_id);
  ASSERT_EQ(again.connected.accounts.size(), 2u);
  EXPECT_THAT(again.connected.accounts[0], EqualsProto(first.connected.accounts[0]));
  EXPECT_THAT(Finalize("a", {"page-1"}), HasReason("SESSION_ALREADY_USED"));
  EXPECT_THAT(Finalize("a", {}), HasReason("SESSION_ALREADY_USED"));
}

TEST_F(PendingConnectionStoreTest, OfManyWhoChooseAtOnceOneConnects) {
  constexpr int kThreads = 32;
  ASSERT_OK(Offer("a", {"page-1", "page-2"}));
  std::atomic<int> wrong = 0;
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto finalized = Finalize("a", {t % 2 == 0 ? "page-1" : "page-2"});
      if (finalized.ok() && !finalized->is_replayed) ++done;
      if (!finalized.ok() && ReasonOf(finalized.status()) != "SESSION_ALREADY_USED") ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(Rows(), "1 flows, 1 grants, 1 social_accounts, 1 pending_connections");
}

TEST_F(PendingConnectionStoreTest, OnlyWhatIsOfferedToTheOrganizationAndSessionCanBeChosen) {
  ASSERT_OK(Offer("a", {"page-1"}, "person", "binding"));
  EXPECT_THAT(Finalize("a", {"page-1"}), HasReason("SESSION_BINDING_MISMATCH"));
  EXPECT_THAT(Finalize("a", {"page-1"}, "binding", "other"), HasReason("SESSION_NOT_FOUND"));
  EXPECT_THAT(Finalize("b", {"page-1"}, "binding"), HasReason("SESSION_NOT_FOUND"));
  EXPECT_THAT(Finalize("a", {"page-1", "page-2"}, "binding"), HasReason("CHOICE_NOT_FOUND"));
  EXPECT_THAT(Finalize("a", {}, "binding"), HasReason("CHOICE_NOT_FOUND"));
  EXPECT_THAT(Finalize("a", {"page-1"}, "binding", "acme", kExpired), HasReason("SESSION_EXPIRED"));
  EXPECT_THAT(store_->pending_connections().Get(kNoLimit, IdOf("a"), kExpired),
              HasReason("SESSION_EXPIRED"));
  // Whoever reads the database has no token.
  EXPECT_THAT(store_->pending_connections().Get(kNoLimit, Token("a"), kNow),
              HasReason("SESSION_NOT_FOUND"));
  EXPECT_OK(Finalize("a", {"page-1"}, "binding"));
}

TEST_F(PendingConnectionStoreTest, AnOfferThatNobodyTakesGoesWithItsGrant) {
  ASSERT_OK(Offer("a", {"page-1"}));
  ASSERT_OK_AND_ASSIGN(const auto pending,
                       store_->pending_connections().Get(kNoLimit, IdOf("a"), kNow));
  ASSERT_OK_AND_ASSIGN(auto purged, store_->pending_connections().Purge(kExpired, 10));
  EXPECT_EQ(purged.removed, 0);
  const absl::Time later = kExpired + absl::Milliseconds(1);
  ASSERT_OK_AND_ASSIGN(purged, store_->pending_connections().Purge(later, 10));
  EXPECT_EQ(purged.removed, 1);
  ASSERT_EQ(purged.disconnected_grants.size(), 1u);
  EXPECT_EQ(purged.disconnected_grants[0].grant_id, pending.grant_id());
  EXPECT_EQ(FlowNamed("a").failed().reason(), "SESSION_EXPIRED");
  EXPECT_EQ(AccessTokenOf(pending.grant_id()), "access-canary-a");
  ASSERT_OK_AND_ASSIGN(const auto due, store_->grants().ListDue(kNoLimit, later, 10));
  EXPECT_THAT(due, SizeIs(1));
  EXPECT_OK(store_->grants().Delete(kNoLimit, "acme", pending.grant_id()));
  EXPECT_EQ(Rows(), "1 flows, 0 grants, 0 social_accounts, 0 pending_connections");
}

TEST_F(PendingConnectionStoreTest, AGrantThatIsUsedOrOfferedAgainStaysWhereAnOfferExpires) {
  ASSERT_OK(Offer("a", {"page-1"}));
  ASSERT_OK(Offer("b", {"page-2"}));
  // The second consent is of the same person and took the place of the first.
  ASSERT_OK(Finalize("a", {"page-1"}));
  ASSERT_OK(Offer("c", {"page-3"}, "somebody"));
  ASSERT_OK(Offer("d", {"page-4"}, "somebody"));
  EXPECT_EQ(Rows(), "4 flows, 2 grants, 1 social_accounts, 4 pending_connections");
  const absl::Time later = kExpired + absl::Milliseconds(1);
  ASSERT_OK_AND_ASSIGN(const auto purged, store_->pending_connections().Purge(later, 10));
  EXPECT_EQ(purged.removed, 4);
  // Of the second person's grant once only, with its last offer.
  EXPECT_THAT(purged.disconnected_grants, SizeIs(1));
  EXPECT_TRUE(FlowNamed("a").has_completed());
  EXPECT_TRUE(FlowNamed("b").has_failed());
}

TEST_F(PendingConnectionStoreTest, AnOfferOfAPersonWhoIsConnectedRenewsWhatThereIs) {
  ASSERT_OK_AND_ASSIGN(const Connected connected, Connect("a", "person", {"page-1"}));
  ASSERT_OK(Offer("b", {"page-1", "page-2"}));
  EXPECT_EQ(AccessTokenOf(connected.grant_id), "access-canary-b");
  ASSERT_OK_AND_ASSIGN(
      const AccountWithToken found,
      store_->accounts().GetWithToken(kNoLimit, "acme", connected.accounts[0].id()));
  EXPECT_EQ(found.access_token, "page-1 by b");
  ASSERT_OK_AND_ASSIGN(const auto finalized, Finalize("b", {"page-1"}));
  EXPECT_EQ(finalized.connected.accounts[0].id(), connected.accounts[0].id());
  EXPECT_EQ(finalized.connected.grant_id, connected.grant_id);
}

TEST_F(PendingConnectionStoreTest, ManyAccountsAreOfferedAndNoMore) {
  std::vector<std::string> pages;
  for (int i = 0; i < kMaxChoices; ++i) pages.push_back(absl::StrCat("page-", i));
  ASSERT_OK(Offer("a", pages));
  ASSERT_OK_AND_ASSIGN(const auto finalized, Finalize("a", pages));
  EXPECT_THAT(finalized.connected.accounts, SizeIs(kMaxChoices));
  pages.emplace_back("one more");
  EXPECT_THAT(Offer("b", pages, "somebody"), HasReason("TOO_MANY_ACCOUNTS"));
  EXPECT_EQ(FlowNamed("b").outcome_case(), Flow::OUTCOME_NOT_SET);
  EXPECT_THAT(Offer("c", {std::string(kMaxChoicesBytes, 'x')}, "somebody"),
              HasReason("TOO_MANY_ACCOUNTS"));
}

// Whoever did not hear that it was offered offers again, and somebody may have chosen meanwhile.
TEST_F(PendingConnectionStoreTest, AnOfferThatWasChosenFromIsNoFailure) {
  ASSERT_OK(Offer("a", {"page-1", "page-2"}));
  ASSERT_OK(Finalize("a", {"page-1"}));
  const TokenSet tokens = TestTokens("a");
  EXPECT_OK(store_->pending_connections().Offer(kNoLimit, "acme", FlowId("a"), Token("a"), {},
                                                {TestGrant("person"), tokens},
                                                {{TestAccount("page-1"), ""}}, kNow));
}

TEST_F(PendingConnectionStoreTest, NothingIsConnectedWhereWhatItNeedsIsGone) {
  using Accounts = SocialNetworkStore::Accounts;
  ASSERT_OK(Offer("a", {"page-1"}));
  EXPECT_THAT(store_->social_networks().Delete(kNoLimit, "acme", "acme-google"),
              HasReason("CONFIGURATION_IN_USE"));
  EXPECT_THAT(
      store_->social_networks().Delete(kNoLimit, "acme", "acme-google", Accounts::kDisconnect),
      HasReason("REVOCATION_IN_PROGRESS"));
  EXPECT_THAT(Finalize("a", {"page-1"}), HasReason("SESSION_NOT_FOUND"));
  ASSERT_OK(Offer("b", {"page-1"}, "person", "", "other"));
  ASSERT_OK(store_->social_networks().Delete(kNoLimit, "other", "other-google", Accounts::kKeep));
  EXPECT_THAT(Finalize("b", {"page-1"}, "", "other"), HasReason("SOCIAL_NETWORK_NOT_FOUND"));
  ASSERT_OK(store_->DeleteOrganization(kNoLimit, "other", kNow));
  EXPECT_THAT(Finalize("b", {"page-1"}, "", "other"), HasReason("ORGANIZATION_NOT_FOUND"));
  EXPECT_THAT(store_->pending_connections().Get(kNoLimit, IdOf("b"), kNow),
              HasReason("SESSION_NOT_FOUND"));
  // What expired is purged all the same.
  ASSERT_OK_AND_ASSIGN(const auto purged,
                       store_->pending_connections().Purge(kExpired + absl::Seconds(1), 10));
  EXPECT_EQ(purged.removed, 2);
  EXPECT_THAT(purged.disconnected_grants, IsEmpty());
}

TEST_F(PendingConnectionStoreTest, AnOrganizationHasABoundedNumberOfOffers) {
  ReopenWith({.pending_connections = 2});
  ASSERT_OK(Offer("a", {"page-1"}, "person-1"));
  ASSERT_OK(Offer("b", {"page-1"}, "person-2"));
  EXPECT_THAT(Offer("c", {"page-1"}, "person-3"), HasReason("RATE_LIMITED"));
  EXPECT_OK(Offer("d", {"page-1"}, "person-1", "", "other"));
}

TEST_F(PendingConnectionStoreTest, WhatIsDamagedIsToldAndPurgedAndSpoilsNothingElse) {
  ASSERT_OK(Offer("a", {"page-1"}, "person-1"));
  ASSERT_OK(Offer("b", {"page-1"}, "person-2"));
  Edit(absl::StrCat("UPDATE pending_connections SET tokens = choices WHERE id = '",
                    DigestId(Token("a")), "'"));
  EXPECT_OK(store_->pending_connections().Get(kNoLimit, IdOf("a"), kNow));
  EXPECT_THAT(Finalize("a", {"page-1"}), StatusIs(absl::StatusCode::kInternal, _));
  Edit(absl::StrCat("UPDATE pending_connections SET choices = x'0001' WHERE id = '",
                    DigestId(Token("a")), "'"));
  EXPECT_THAT(store_->pending_connections().Get(kNoLimit, IdOf("a"), kNow),
              StatusIs(absl::StatusCode::kInternal, _));
  EXPECT_OK(Finalize("b", {"page-1"}));
  ASSERT_OK_AND_ASSIGN(const auto purged,
                       store_->pending_connections().Purge(kExpired + absl::Seconds(1), 10));
  EXPECT_EQ(purged.removed, 2);
}

}  // namespace
}  // namespace authurl::testing
