// stored_grant_fixture.h: accounts that are connected in an open store, at a made-up network that
// answers what a test has told it to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "core/flow/token_response.h"
#include "server/flow/flow_metrics.h"
#include "server/flow/flow_tools.h"
#include "server/system/clock.h"
#include "server/system/thread_pool.h"
#include "storage/credential_store.h"
#include "storage/digest_id.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/storage/forwarding_backend.h"
#include "tests/support/eventually.h"
#include "tests/support/no_limit.h"
#include "tests/support/notification.h"
#include "tests/support/scripted_client.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {

// What is told once, on whatever thread.
template <typename Value>
class Told final {
 public:
  // To be handed out once. May outlive this.
  auto Listener() const {
    return [state = state_](Value value) {
      state->value.emplace(std::move(value));
      state->told.Notify();  // Aborts the test where it comes twice.
    };
  }
  // Waits for it. To be called once.
  Value Take() {
    EXPECT_TRUE(state_->told.WaitForNotificationWithTimeout(kPatience));
    return std::move(state_->value).value();
  }

 private:
  struct State {
    Notification told;
    std::optional<Value> value;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A backend whose next commits fail, or begin late.
class FaultyBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  // The next `count` commits are not done.
  void FailCommits(int count, absl::Status error) {
    const std::lock_guard lock(mutex_);
    failing_ = count;
    error_ = std::move(error);
  }
  // Runs before the next commit.
  void BeforeNext(std::function<void()> happens) {
    const std::lock_guard lock(mutex_);
    before_next_ = std::move(happens);
  }

  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    std::function<void()> before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(before_next_, nullptr);
      if (failing_ > 0) {
        --failing_;
        return {error_};
      }
    }
    if (before) before();
    return ForwardingBackend::Commit(context, batch);
  }

 private:
  std::mutex mutex_;
  int failing_ = 0;  // Guarded by mutex_, as those below.
  absl::Status error_;
  std::function<void()> before_next_;
};

// Parts of the network's entry.
inline constexpr char kProfilePart[] = R"pb(
  profile {
    request { url: "https://api.net.example/me" }
    id: "/id"
    username: "/login"
    display_name: "/name"
    avatar_url: "/picture"
  }
)pb";
inline constexpr char kListPart[] = R"pb(
  accounts {
    when: WHEN_CONNECTING
    what: "pages"
    request { url: "https://api.net.example/pages" }
    list: "/data"
    id: "/id"
    access_token: "/access_token"
  }
)pb";
inline constexpr char kRevocationPart[] = R"pb(
  revocation {
    request { url: "https://api.net.example/revoke" }
    ends: ENDS_GRANT
  }
)pb";

// Every secret has "canary" in it.
class StoredGrantTest : public ::testing::Test {
 protected:
  // When the accounts are connected.
  static constexpr absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);
  static constexpr char kOldSecret[] = "client-secret-canary-1";

  void SetUp() override {
    auto backend =
        std::make_unique<FaultyBackend>(OpenSqliteBackend(folder_.File("test.db")).value());
    backend_ = backend.get();
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(std::move(backend), sealer_, random_));
    record::v1::Organization acme;
    acme.set_org_id("acme");
    ASSERT_OK(store_->CreateOrganization(kNoLimit, acme));
    record::v1::SocialNetworkSettings settings;
    settings.set_id("sn_1");
    settings.set_org_id("acme");
    settings.set_network("net");
    settings.set_version(1);
    settings.set_client_key("client-1");
    ASSERT_OK(store_->social_networks().Create(kNoLimit, settings, kOldSecret));
    UseEntry("refresh { rotation: ROTATION_ALWAYS }");
  }
  void TearDown() override { pool_.Stop(); }

  // The network "net", with such parts. Before the first call.
  void UseEntry(const std::string& parts) {
    const std::string text = absl::StrCat(
        R"pb(
          networks {
            id: "net"
            display_name: "Net"
            status: STATUS_LIVE
            authorization_endpoint: "https://net.example/authorize"
            pkce { mode: MODE_SUPPORTED }
            exchange {
              request { url: "https://api.net.example/token" client_auth: CLIENT_AUTH_SECRET_POST }
              answer { subject: "/user" }
            }
            documentation: "https://net.example/docs"
            checked_on: "2026-11-23"
        )pb",
        parts, "}");
    ASSERT_OK_AND_ASSIGN(catalog_, NetworkCatalog::Parse(text));
  }

  FlowTools Tools() { return {http_, *store_, catalog_, pool_, clock_, random_, metrics_}; }

  absl::Time Now() const { return absl::FromUnixMillis(now_ms_); }
  void Advance(absl::Duration by) { now_ms_ += absl::ToInt64Milliseconds(by); }

  // Tokens that are known by a label, from now on.
  TokenSet Tokens(absl::string_view label, absl::Duration life = absl::Hours(2)) const {
    TokenSet tokens;
    tokens.access_token = absl::StrCat("access-canary-", label);
    tokens.refresh_token = absl::StrCat("refresh-canary-", label);
    if (life != absl::InfiniteDuration()) tokens.access_token_expires_at = Now() + life;
    tokens.subject = "person";
    return tokens;
  }
  // What the token endpoint answers with such.
  static std::string TokensBody(absl::string_view label, absl::Duration life = absl::Hours(2)) {
    return absl::StrCat(R"({"access_token":"access-canary-)", label,
                        R"(","refresh_token":"refresh-canary-)", label, R"(","expires_in":)",
                        absl::ToInt64Seconds(life), "}");
  }

  // A flow of the person that connects accounts, by their ids at the network; `own_token` is their
  // own. Remembers the grant, and the first of them.
  void Connect(const TokenSet& tokens, const std::vector<std::string>& ids = {"person"},
               absl::string_view own_token = "") {
    record::v1::Flow flow;
    flow.set_id(DigestId(absl::StrCat("flow ", ++flows_)));
    flow.set_org_id(org_id_);
    flow.set_network(network_);
    flow.set_social_network_id(configuration_);
    flow.set_social_network_version(1);
    flow.set_tenant_id("tenant");
    flow.set_state_expires_at_ms(absl::ToUnixMillis(Now() + absl::Minutes(20)));
    ASSERT_OK(store_->flows().Spend(kNoLimit, flow, Now()));
    record::v1::Grant grant;
    grant.set_org_id(org_id_);
    grant.set_social_network_id(configuration_);
    grant.set_social_network_version(1);
    grant.set_network(network_);
    grant.set_client_id("client-1");
    grant.set_subject(subject_);
    std::vector<NewAccount> accounts;
    for (const std::string& id : ids) {
      record::v1::SocialAccount account;
      account.set_social_network_id(configuration_);
      account.set_network(network_);
      account.set_tenant_id("tenant");
      account.set_account_type(record::v1::ACCOUNT_TYPE_PERSONAL);
      account.set_network_unique_id(id);
      account.set_username("old-name");
      accounts.push_back({account, own_token});
    }
    ASSERT_OK_AND_ASSIGN(const Connected connected,
                         store_->flows().Complete(kNoLimit, org_id_, flow.id(),
                                                  {grant, tokens, false, Now() + absl::Hours(100)},
                                                  accounts, Now()));
    grant_id_ = connected.grant_id;
    account_id_ = connected.accounts.at(0).id();
    account_ids_.clear();
    for (const auto& account : connected.accounts) account_ids_.push_back(account.id());
  }

  record::v1::SocialAccount Account() const {
    const auto account = store_->accounts().Get(kNoLimit, org_id_, account_id_);
    EXPECT_OK(account);
    return account.ok() ? *account : record::v1::SocialAccount();
  }
  // "ACTIVE", or the reason why it needs to be reconnected.
  std::string AccountStatus() const {
    const record::v1::SocialAccount account = Account();
    return account.status() == record::v1::ACCOUNT_STATUS_ACTIVE ? "ACTIVE"
                                                                 : account.status_reason();
  }
  record::v1::Grant StoredGrant() const {
    const auto grant = store_->grants().Get(kNoLimit, org_id_, grant_id_);
    EXPECT_OK(grant);
    return grant.ok() ? *grant : record::v1::Grant();
  }
  std::string StoredAccessToken() const {
    const auto opened = store_->grants().GetWithTokens(kNoLimit, org_id_, grant_id_);
    EXPECT_OK(opened);
    return opened.ok() ? opened->tokens.access_token : "";
  }
  // What the organisation was told, as "type reason".
  std::vector<std::string> EventsOf(record::v1::EventType type) const {
    const auto page = store_->events().List(kNoLimit, org_id_, 0, {.rows = 1000});
    EXPECT_OK(page);
    std::vector<std::string> reasons;
    if (!page.ok()) return reasons;
    for (const auto& event : page->events) {
      if (event.event.type() == type) reasons.push_back(event.event.reason());
    }
    return reasons;
  }
  // Another process, which is to refresh the grant.
  bool AnotherTakesTheLease() {
    const auto lease = store_->grants().TakeLease(kNoLimit, org_id_, grant_id_, "another", Now());
    EXPECT_OK(lease);
    return lease.ok() && lease->is_taken;
  }

  // A call that failed after it may have been sent, and one that was not.
  static absl::Status Lost() {
    return MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", "It did not answer");
  }
  static absl::Status NotSent() { return Unsent(Lost()); }

  const TempDir folder_;
  const RandomSource random_ = FillRandom;
  const KeyRing ring_ = KeyRing::Parse(NewKeyRingText(FillRandom)).value();
  const Sealer sealer_{ring_};
  std::unique_ptr<CredentialStore> store_;
  FaultyBackend* backend_ = nullptr;  // The store's.
  NetworkCatalog catalog_;
  ScriptedClient http_;
  std::atomic<int64_t> now_ms_ = absl::ToUnixMillis(kStart);
  const Clock clock_ = [this] { return Now(); };
  ThreadPool pool_{4};
  FlowMetrics metrics_;

  // Of the next flow.
  std::string org_id_ = "acme";
  std::string network_ = "net";
  std::string configuration_ = "sn_1";
  std::string subject_ = "person";

  int flows_ = 0;
  std::string grant_id_;
  std::string account_id_;
  std::vector<std::string> account_ids_;
};

}  // namespace authurl::testing
